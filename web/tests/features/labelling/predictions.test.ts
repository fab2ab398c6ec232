import { describe, expect, it } from 'vitest'
import { drawObject } from '@/canvas/objectRenderer'
import { Scene } from '@/canvas/editor/scene'
import { acceptChanges, isBelow, neighbourPrediction, predictionAfter, predictionsToCheck, rejectChanges } from '@/features/labelling/studio/predictions'
import { ItemDocument } from '@/features/labelling/sync/document'
import { changesFor, editsFromChanges } from '@/features/labelling/sync/edits'
import { inverseEdits, UndoStack } from '@/features/labelling/sync/undo'
import type { LabelObject } from '@/features/labelling/sync/types'
import { box, detail } from './edits'

const prediction = (id: string, score: number | null, others: Partial<LabelObject> = {}): LabelObject => box(id, 0, { score, accepted: false, source: 'net@1', ...others })
const EVERYTHING = { minScore: 0, hiddenIds: new Set<string>(), hiddenClasses: new Set<string>() }
const OBJECTS = [prediction('a', 0.9), box('mine'), prediction('b', 0.4, { class: 'dust' }), prediction('c', null), box('sure', 0, { score: 0.1 })]
const ids = (objects: readonly LabelObject[]): string[] => objects.map(({ id }) => id)
const context = { item: 'a.png', base: 10, group: '0198f000-0000-7000-8000-000000000000' }

describe('predictions to check', () => {
  it('are those that are visible and not decided', () => {
    expect(ids(predictionsToCheck(OBJECTS, EVERYTHING))).toEqual(['a', 'b', 'c'])
    expect(ids(predictionsToCheck(OBJECTS, { ...EVERYTHING, minScore: 0.5 }))).toEqual(['a', 'c'])
    expect(ids(predictionsToCheck(OBJECTS, { ...EVERYTHING, hiddenIds: new Set(['a']), hiddenClasses: new Set(['dust']) }))).toEqual(['c'])
  })

  it('are hidden by their score, and other objects are not', () => {
    expect(OBJECTS.filter((object) => isBelow(object, 0.5)).map(({ id }) => id)).toEqual(['b'])
    const scene = new Scene()
    scene.setSize([100, 100])
    scene.setObjects(OBJECTS)
    scene.setVisibility({ hiddenIds: new Set(), lockedIds: new Set(), hiddenClasses: new Set(), minScore: 0.5 })
    expect(scene.visible().map(({ id }) => id).sort()).toEqual(['a', 'c', 'mine', 'sure'])
  })

  it('follow each other in the order of the objects', () => {
    const predictions = predictionsToCheck(OBJECTS, EVERYTHING)
    expect(neighbourPrediction(OBJECTS, predictions, null, 1)).toBe('a')
    expect(neighbourPrediction(OBJECTS, predictions, null, -1)).toBe('c')
    expect(neighbourPrediction(OBJECTS, predictions, 'mine', 1)).toBe('b')
    expect(neighbourPrediction(OBJECTS, predictions, 'mine', -1)).toBe('a')
    expect(neighbourPrediction(OBJECTS, predictions, 'c', 1)).toBeNull()
    expect(neighbourPrediction(OBJECTS, [], null, 1)).toBeNull()
  })

  it('go on at the beginning after the last one, until none is left', () => {
    const predictions = predictionsToCheck(OBJECTS, EVERYTHING)
    expect(predictionAfter(OBJECTS, predictions, 'a')).toBe('b')
    expect(predictionAfter(OBJECTS, predictions, 'c')).toBe('a')
    expect(predictionAfter(OBJECTS, predictions.slice(0, 1), 'a')).toBeNull()
  })
})

describe('a decision', () => {
  const apply = (document: ItemDocument, changes: Parameters<typeof editsFromChanges>[0], undo = new UndoStack()) => {
    const edits = editsFromChanges(changes, context, document)
    for (const edit of edits) {
      undo.add(edit, edit.object && edit.kind === 'patch' ? document.valuesOf(edit.object, Object.keys(edit.fields)) : {}, null)
      document.addPending(edit)
    }
    return { edits, undo }
  }

  it('is one edit for each prediction, and undone as one act', () => {
    const document = new ItemDocument(detail(OBJECTS))
    const before = structuredClone([...document.objects.values()])
    const { edits, undo } = apply(document, acceptChanges(predictionsToCheck(OBJECTS, EVERYTHING)))
    expect(edits.map(({ object, fields }) => [object, fields])).toEqual(['a', 'b', 'c'].map((id) => [id, { accepted: true }]))
    expect([...document.objects.values()].every(({ accepted }) => accepted)).toBe(true)
    expect(document.objects.get('a')).toMatchObject({ score: 0.9, source: 'net@1' })
    const group = undo.nextUndo
    for (const edit of group ? inverseEdits(group, { ...context, group: 'undo' }) : []) document.addPending(edit)
    expect([...document.objects.values()]).toEqual(before)
  })

  it('is made by a correction, which undo takes back with it', () => {
    const document = new ItemDocument(detail([prediction('a', 0.9), box('mine')]))
    const { edits, undo } = apply(document, [{ kind: 'patch', id: 'a', fields: { class: 'dust' } }, { kind: 'patch', id: 'mine', fields: { class: 'dust' } }])
    expect(edits.map(({ fields }) => fields)).toEqual([{ class: 'dust', accepted: true }, { class: 'dust' }])
    for (const edit of undo.nextUndo ? inverseEdits(undo.nextUndo, context) : []) document.addPending(edit)
    expect(document.objects.get('a')).toMatchObject({ class: 'cell', accepted: false })
    expect(apply(document, [{ kind: 'patch', id: 'a', fields: { attributes: { round: true } } }]).edits[0]?.fields).toEqual({ 'attributes.round': true, accepted: true })
  })

  it('is not made by a change of the order', () => {
    const document = new ItemDocument(detail([prediction('a', 0.9)]))
    expect(apply(document, [{ kind: 'patch', id: 'a', fields: { order: 5 } }]).edits[0]?.fields).toEqual({ order: 5 })
  })

  it('is not needed for a copy', () => {
    const document = new ItemDocument(detail([]))
    apply(document, [{ kind: 'put', object: prediction('copy', null) }])
    expect(document.objects.get('copy')?.accepted).toBe(true)
  })

  it('can be a rejection, after which nothing is drawn', () => {
    const document = new ItemDocument(detail([prediction('a', 0.9)]))
    const before = new Map(document.objects)
    apply(document, rejectChanges([...document.objects.values()]))
    expect(changesFor(['a'], before, document)).toEqual([{ kind: 'delete', id: 'a' }])
  })

  it('of another person arrives', () => {
    const document = new ItemDocument(detail([prediction('a', 0.9)]))
    const before = new Map(document.objects)
    document.confirm({ object: 'a', kind: 'patch', fields: { accepted: true }, seq: 11, author: 'Ben' })
    expect(changesFor(['a'], before, document)).toMatchObject([{ kind: 'patch', id: 'a', fields: { accepted: true } }])
  })
})

describe('a prediction on the canvas', () => {
  it('is dashed, and an accepted object is not', () => {
    const drawn = (object: LabelObject): [number[][], number] => {
      const dashes: number[][] = []
      let current: number[] = []
      let fill = 0
      const canvas = {
        globalAlpha: 1,
        setLineDash: (dash: number[]) => (current = dash),
        fillRect: () => (fill = canvas.globalAlpha),
        strokeRect: () => dashes.push(current),
      }
      const view = { x: 0, y: 0, scale: 1 }
      drawObject(canvas as unknown as CanvasRenderingContext2D, { ...object, bounds: [0, 0, 10, 10] }, view, { classes: new Map(), fillOpacity: 0.5 })
      expect(current).toEqual([])
      return [dashes, fill]
    }
    const [dashes, fill] = drawn(prediction('a', 0.9))
    expect(dashes[0]?.length).toBeGreaterThan(1)
    const [solid, solidFill] = drawn(box('b'))
    expect(solid).toEqual([[]])
    expect(fill).toBeLessThan(solidFill)
  })
})
