import { describe, expect, it } from 'vitest'
import { ItemDocument } from '@/features/labelling/sync/document'
import { applied, box, detail, edit, ME, OTHER } from './edits'

const boxAt = (x1: number) => ({ type: 'box', x1, y1: 0, x2: x1 + 10, y2: 10 }) as const

describe('an item', () => {
  it('shows the user’s edits before the server has confirmed them', () => {
    const document = new ItemDocument(detail([box('a')]))
    expect(document.addPending(edit('patch', 'a', { class: 'nucleus' }))).toEqual(['a'])
    document.addPending(edit('put', 'b', { class: 'cell', geometry: boxAt(5), attributes: { round: true }, order: 1 }))
    document.addPending(edit('patch', 'b', { 'attributes.round': null, 'attributes.size': 3 }))
    expect(document.objects.get('a')?.class).toBe('nucleus')
    expect(document.objects.get('b')).toMatchObject({ geometry: boxAt(5), attributes: { size: 3 }, order: 1 })
    expect(document.state.state).toBe('in_progress')
    document.addPending(edit('delete', 'a'))
    expect([...document.objects.keys()]).toEqual(['b'])
    document.addPending(edit('restore', 'a'))
    expect(document.objects.get('a')?.class).toBe('nucleus')
  })

  it('merges different fields, and gives a field to its last writer in whatever order edits arrive', () => {
    const edits = [
      applied(edit('patch', 'a', { geometry: boxAt(1) }), 11, OTHER),
      applied(edit('patch', 'a', { class: 'nucleus' }), 12, ME),
      applied(edit('patch', 'a', { geometry: boxAt(3) }), 13, ME),
      applied(edit('delete', 'b'), 14, OTHER),
      applied(edit('patch', 'b', { class: 'nucleus' }), 15, ME),
    ]
    for (const order of [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3, 2]]) {
      const document = new ItemDocument(detail([box('a'), box('b')]))
      for (const index of order) for (const each of edits.slice(index, index + 1)) document.confirm(each)
      expect(document.objects.get('a')).toMatchObject({ class: 'nucleus', geometry: boxAt(3) })
      expect(document.objects.has('b')).toBe(false) // delete wins
      expect(document.originOf('a', 'geometry')).toMatchObject({ seq: 13, author: ME })
    }
  })

  it('keeps an unconfirmed edit above those of others, until it is withdrawn', () => {
    const document = new ItemDocument(detail([box('a')]))
    const mine = edit('patch', 'a', { geometry: boxAt(5) })
    document.addPending(mine)
    expect(document.confirm(applied(edit('patch', 'a', { geometry: boxAt(7) }), 11, OTHER))).toEqual([])
    expect(document.objects.get('a')?.geometry).toEqual(boxAt(5))
    expect(document.removePending(mine.id)).toEqual(['a'])
    expect(document.objects.get('a')?.geometry).toEqual(boxAt(7))
  })

  it('does not flicker when an edit is confirmed', () => {
    const document = new ItemDocument(detail([box('a')]))
    const mine = edit('patch', 'a', { geometry: boxAt(5) })
    document.addPending(mine)
    expect(document.confirm(applied(mine, 11))).toEqual([])
    expect(document.removePending(mine.id)).toEqual([])
    expect(document.objects.get('a')?.geometry).toEqual(boxAt(5))
  })

  it('learns from the log who has changed what, and how deleted objects were', () => {
    const document = new ItemDocument(detail([box('a', 5)], 20))
    document.addHistory(applied(edit('patch', 'a', { geometry: boxAt(3) }), 11, ME))
    document.addHistory(applied(edit('patch', 'a', { geometry: boxAt(5) }), 12, OTHER))
    document.addHistory(applied(edit('put', 'b', { class: 'cell', geometry: boxAt(1), attributes: { size: 1 } }), 13, ME))
    document.addHistory(applied(edit('patch', 'b', { 'attributes.size': 2 }), 14, ME))
    document.addHistory(applied(edit('delete', 'b'), 15, ME))
    document.addHistory(applied(edit('delete', 'c'), 16, ME, { class: 'nucleus', geometry: boxAt(7), attributes: {}, order: 4 }))
    expect([...document.objects.keys()]).toEqual(['a'])
    expect(document.objects.get('a')?.geometry).toEqual(boxAt(5))
    expect(document.originOf('a', 'geometry')?.author).toBe(OTHER)
    document.addPending(edit('restore', 'b'))
    document.addPending(edit('restore', 'c'))
    expect(document.objects.get('b')).toMatchObject({ geometry: boxAt(1), attributes: { size: 2 } })
    expect(document.objects.get('c')).toMatchObject({ class: 'nucleus', geometry: boxAt(7), order: 4 })
  })

  it('follows the state of the item', () => {
    const document = new ItemDocument(detail([]))
    document.confirm(applied(edit('state', null, { state: 'skipped', reason: 'blurred' }), 12, OTHER))
    expect(document.state).toEqual({ state: 'skipped', reason: 'blurred' })
    document.confirm(applied(edit('state', null, { state: 'labelled' }), 11, OTHER))
    expect(document.state.state).toBe('skipped')
    document.addPending(edit('state', null, { state: 'empty', reason: null }))
    expect(document.state).toEqual({ state: 'empty', reason: null })
  })
})
