import { describe, expect, it } from 'vitest'
import { box, createObject, Session } from './session'

const nested = () => [createObject('large', box(10, 10, 70, 70)), createObject('small', box(20, 20, 40, 40)), createObject('other', box(80, 10, 95, 30))]

describe('selecting', () => {
  it('takes the smallest object, and goes down the stack with further clicks', () => {
    const session = new Session(nested())
    const selected: (string | undefined)[] = []
    for (let count = 0; count < 3; count += 1) {
      session.click(30, 30)
      selected.push(session.model.selection[0])
    }
    expect(selected).toEqual(['small', 'large', 'small'])
  })

  it('adds and removes with Ctrl, selects inside a marquee, and clears on nothing', () => {
    const session = new Session(nested())
    session.click(30, 30)
    session.click(85, 20, { ctrl: true })
    expect(session.model.selection).toEqual(['small', 'other'])
    session.click(85, 20, { ctrl: true })
    expect(session.model.selection).toEqual(['small'])
    session.drag([[2, 2], [99, 78]], { ctrl: true })
    expect(new Set(session.model.selection)).toEqual(new Set(['small', 'large', 'other']))
    session.click(78, 78)
    expect(session.model.selection).toEqual([])
    expect(session.acts).toEqual([])
  })

  it('pans by a drag on nothing', () => {
    const session = new Session(nested())
    expect(session.drag([[78, 78], [50, 50]])).toBe('pan')
  })

  it('ignores hidden and locked objects', () => {
    const session = new Session(nested())
    session.model.setVisibility({ hiddenIds: new Set(['small']), lockedIds: new Set(['large']), hiddenClasses: new Set(), minScore: 0 })
    session.click(30, 30)
    expect(session.model.selection).toEqual([])
  })
})

describe('moving', () => {
  it('moves the selected object as one act, and stops at the border', () => {
    const session = new Session(nested())
    session.drag([[30, 30], [35, 32], [45, 25]])
    expect(session.geometry('small')).toEqual(box(35, 15, 55, 35))
    expect(session.acts).toEqual([{ changes: [{ kind: 'patch', id: 'small', fields: { geometry: box(35, 15, 55, 35) } }], label: 'move' }])
    session.drag([[45, 25], [45, -200]])
    expect(session.geometry('small')).toEqual(box(35, 0, 55, 20))
  })

  it('drags a selected object below a smaller one', () => {
    const session = new Session(nested())
    session.model.select(['large'])
    session.drag([[30, 30], [31, 36]])
    expect(session.geometry('large')).toEqual(box(11, 16, 71, 76))
  })

  it('makes no edit if nothing has moved', () => {
    const session = new Session(nested())
    session.drag([[30, 30], [45, 25], [30, 30]])
    expect(session.acts).toEqual([])
  })

  it('moves by keys', () => {
    const session = new Session(nested())
    session.model.select(['small', 'other'])
    expect(session.model.command('nudge-left-10')).toBe(true)
    expect(session.model.command('nudge-down')).toBe(true)
    expect(session.geometry('small')).toEqual(box(10, 21, 30, 41))
    expect(session.geometry('other')).toEqual(box(70, 11, 85, 31))
    expect(session.acts).toHaveLength(2)
  })

  it('does not move locked objects', () => {
    const session = new Session(nested())
    session.model.select(['small'])
    session.model.setVisibility({ hiddenIds: new Set(), lockedIds: new Set(['small']), hiddenClasses: new Set(), minScore: 0 })
    expect(session.model.command('nudge-left')).toBe(false)
    expect(session.model.command('delete')).toBe(false)
  })

  it('is taken back by Escape', () => {
    const session = new Session(nested())
    session.model.pointerDown(session.pointer(30, 30, { isPressed: true }))
    session.model.pointerMove(session.pointer(50, 50, { isPressed: true, isDrag: true }))
    expect(session.model.command('cancel')).toBe(true)
    session.model.pointerUp(session.pointer(50, 50, { isDrag: true }))
    expect(session.geometry('small')).toEqual(box(20, 20, 40, 40))
    expect(session.acts).toEqual([])
  })
})

describe('resizing', () => {
  it('drags a corner, with the opposite one in place', () => {
    const session = new Session(nested())
    session.model.select(['small'])
    session.drag([[41, 40], [61, 50]])
    expect(session.geometry('small')).toEqual(box(20, 20, 60, 50))
    expect(session.acts[0]?.label).toBe('resize')
  })

  it('has the same handles at any zoom', () => {
    for (const scale of [0.5, 1, 20]) {
      const session = new Session([createObject('a', box(0, 0, 50, 50))], {}, scale)
      session.model.select(['a'])
      session.drag([[50 + 4 / scale, 50], [60 + 4 / scale, 60]])
      expect(session.geometry('a'), String(scale)).toEqual(box(0, 0, 60, 60))
    }
  })

  it('moves an object that is smaller than its handles', () => {
    const session = new Session([createObject('a', box(40, 40, 46, 44))])
    session.model.select(['a'])
    session.drag([[41, 41], [51, 46]])
    expect(session.geometry('a')).toEqual(box(50, 45, 56, 49))
  })

  it('moves a polygon whose points are too near for handles', () => {
    const session = new Session([createObject('a', { type: 'polygon', parts: [[[[40, 40], [44, 40], [44, 44], [40, 44]]]] })])
    session.model.select(['a'])
    session.drag([[40, 40], [50, 50]])
    expect(session.geometry('a')).toEqual({ type: 'polygon', parts: [[[[50, 50], [54, 50], [54, 54], [50, 54]]]] })
  })

  it('scales a selection of several', () => {
    const session = new Session([createObject('a', box(20, 20, 30, 30)), createObject('b', box(40, 40, 60, 60))])
    session.model.select(['a', 'b'])
    session.drag([[72, 72], [52, 52]]) // the frame is drawn 12 px around the selection
    expect(session.geometry('a')).toEqual(box(20, 20, 25, 25))
    expect(session.acts).toHaveLength(1)
  })
})

it('deletes the selection as one act', () => {
  const session = new Session(nested())
  session.model.select(['small', 'other'])
  session.model.command('delete')
  expect(session.ids).toEqual(['large'])
  expect(session.model.selection).toEqual([])
  expect(session.acts).toHaveLength(1)
})

it('deselects an object that another person deletes', () => {
  const session = new Session(nested())
  session.model.select(['small'])
  session.model.apply([{ kind: 'delete', id: 'small' }])
  expect(session.model.selection).toEqual([])
  expect(session.acts).toEqual([])
})
