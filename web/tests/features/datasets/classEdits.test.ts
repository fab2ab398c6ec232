import { describe, expect, it } from 'vitest'
import { appendEdit, applyEdit, ClassEditError, replayEdits, toClassRows, type ClassEdit } from '@/features/datasets/classes/classEdits'

const classAnswer = (name: string, objects: number, parent: string | null = null) => ({
  column: 'objects',
  name,
  color: '#e69f00',
  parent,
  keypoints: [],
  objects,
  items: Math.min(objects, 3),
})
const rows = toClassRows([classAnswer('vehicle', 0), classAnswer('car', 5, 'vehicle'), classAnswer('taxi', 2, 'car')])
const column = { column: 'objects' }

describe('class edits', () => {
  it('change the classes', () => {
    const renamed = replayEdits(rows, [{ action: 'rename', name: 'car', new_name: 'auto', ...column }]).rows
    expect(renamed.map((row) => row.name)).toEqual(['vehicle', 'auto', 'taxi'])
    expect(renamed[2]?.parent).toBe('auto')
    const merged = replayEdits(rows, [{ action: 'merge', name: 'taxi', target: 'car', ...column }]).rows
    expect(merged.map((row) => [row.name, row.objects, row.isMerged])).toEqual([['vehicle', 0, false], ['car', 7, true]])
    const removed = replayEdits(rows, [{ action: 'remove', name: 'car', with_objects: true, ...column }]).rows
    expect(removed[1]?.parent).toBe('vehicle')
    const added = replayEdits(rows, [{ action: 'add', name: 'bus', ...column }]).rows
    expect(added[3]).toMatchObject({ name: 'bus', originalName: null, color: '#56b4e9' })
  })

  it.each<ClassEdit>([
    { action: 'rename', name: 'car', new_name: 'taxi', ...column },
    { action: 'rename', name: 'unknown', new_name: 'x', ...column },
    { action: 'rename', name: 'car', new_name: ' ', ...column },
    { action: 'add', name: 'car', ...column },
    { action: 'merge', name: 'car', target: 'car', ...column },
  ])('that are impossible change nothing: %o', (edit) => {
    expect(() => applyEdit(rows, edit)).toThrow(ClassEditError)
    expect(replayEdits(rows, [edit])).toEqual({ rows, edits: [] })
  })

  it('are dropped if they depend on one that is undone', () => {
    const rename: ClassEdit = { action: 'rename', name: 'car', new_name: 'auto', ...column }
    const dependent: ClassEdit = { action: 'recolor', name: 'auto', color: '#000000', ...column }
    const independent: ClassEdit = { action: 'recolor', name: 'taxi', color: '#111111', ...column }
    expect(replayEdits(rows, [dependent, independent]).edits).toEqual([independent])
    const edits = [rename, dependent, independent]
    expect(appendEdit(edits, { action: 'recolor', name: 'taxi', color: '#222222', ...column })).toHaveLength(3)
    expect(appendEdit(edits, { action: 'recolor', name: 'auto', color: '#222222', ...column })).toHaveLength(4)
  })
})
