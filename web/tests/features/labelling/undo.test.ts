import { describe, expect, it } from 'vitest'
import { ItemDocument } from '@/features/labelling/sync/document'
import type { Edit } from '@/features/labelling/sync/types'
import { inverseEdits, laterAuthors, repeatedEdits, UndoStack } from '@/features/labelling/sync/undo'
import { applied, box, detail, edit, ME, OTHER } from './edits'

const context = (group: string) => ({ item: 'a.png', base: 10, group })

/** An item with an undo stack, as a page has it. */
class Page {
  document = new ItemDocument(detail([box('a')]))
  undo = new UndoStack()
  log: { edit: Edit; before: Record<string, unknown> }[] = []

  run(edits: Edit[]): void {
    for (const each of edits) {
      const before = each.kind === 'patch' && each.object ? this.document.valuesOf(each.object, Object.keys(each.fields)) : {}
      this.document.addPending(each)
      this.undo.add(each, before, null)
      this.log.push({ edit: each, before })
    }
  }

  undoOnce(): void {
    if (this.undo.nextUndo) this.run(inverseEdits(this.undo.nextUndo, context(`undo ${this.log.length}`)))
  }

  redoOnce(): void {
    if (this.undo.nextRedo) this.run(repeatedEdits(this.undo.nextRedo, context(`redo ${this.log.length}`)))
  }

  get state(): string {
    return JSON.stringify([...this.document.objects.values()].sort((first, second) => first.id.localeCompare(second.id)))
  }

  /** The same page after a reload: the stacks come from the log. */
  reloaded(): Page {
    const page = new Page()
    for (const [index, { edit: each, before }] of this.log.entries()) {
      page.document.confirm(applied(each, 11 + index, ME, before))
      page.undo.add(each, before, 11 + index)
      page.log.push({ edit: each, before })
    }
    return page
  }
}

function page(): Page {
  const created = new Page()
  created.run([edit('patch', 'a', { class: 'nucleus' }, { group: '1' })])
  created.run([
    edit('put', 'b', { class: 'cell', geometry: { type: 'box', x1: 1, y1: 2, x2: 3, y2: 4 }, attributes: { round: true }, order: 1 }, { group: '2' }),
    edit('patch', 'a', { 'attributes.size': 3, order: 2 }, { group: '2' }),
  ])
  created.run([edit('delete', 'a', {}, { group: '3' })])
  return created
}

describe('undo', () => {
  it('goes back act by act, and forward again', () => {
    const current = page()
    const states = [current.state]
    while (current.undo.canUndo) {
      current.undoOnce()
      states.push(current.state)
    }
    expect(new Set(states).size).toBe(4)
    expect(states.at(-1)).toBe(new Page().state)
    for (const state of states.toReversed().slice(1)) {
      current.redoOnce()
      expect(current.state).toBe(state)
    }
    expect(current.undo.canRedo).toBe(false)
  })

  it('goes on after a reload', () => {
    const before = page()
    before.undoOnce()
    const after = before.reloaded()
    expect(after.state).toBe(before.state)
    after.redoOnce()
    expect(after.state).toBe(page().state)
    for (let count = 0; count < 3; count += 1) after.undoOnce()
    expect(after.state).toBe(new Page().state)
    expect(after.undo.canUndo).toBe(false)
  })

  it('forgets what could be redone after a new act', () => {
    const current = page()
    current.undoOnce()
    current.run([edit('patch', 'a', { order: 7 })])
    expect(current.undo.canRedo).toBe(false)
    current.undoOnce()
    current.undoOnce()
    expect(current.document.objects.has('b')).toBe(false)
  })

  it('drops an edit that did not take place', () => {
    const stack = new UndoStack()
    const refused = edit('patch', 'a', { order: 1 })
    stack.add(refused, { order: 0 }, null)
    stack.remove(refused.id)
    expect(stack.canUndo).toBe(false)
  })

  it('names the people who have changed the same field since', () => {
    const document = new ItemDocument(detail([box('a')]))
    const stack = new UndoStack()
    const mine = edit('patch', 'a', { geometry: box('a', 5).geometry })
    document.confirm(applied(mine, 11))
    stack.add(mine, {}, 11)
    const authors = (): string[] => (stack.nextUndo ? laterAuthors(stack.nextUndo, ME, (object, field) => document.originOf(object ?? '', field)) : [])
    document.confirm(applied(edit('patch', 'a', { class: 'nucleus' }), 12, OTHER))
    expect(authors()).toEqual([])
    document.confirm(applied(edit('patch', 'a', { geometry: box('a', 7).geometry }), 13, OTHER))
    expect(authors()).toEqual([OTHER])
  })
})
