import { describe, expect, it } from 'vitest'
import { maskFromRuns } from '@/canvas/editor/geometry/mask'
import type { CommandName } from '@/canvas/editor/types'
import { box, createObject, Session } from './session'

const three = () => [createObject('a', box(10, 10, 50, 50)), createObject('b', box(20, 20, 30, 30)), createObject('c', box(70, 50, 90, 70))]

describe('copies', () => {
  it('are beside the original in the same image, and selected', () => {
    const session = new Session(three())
    session.model.select(['a', 'c'])
    expect(session.model.command('copy')).toBe(true)
    expect(session.model.command('paste')).toBe(true)
    expect(session.model.command('paste')).toBe(true)
    expect(session.ids).toHaveLength(7)
    expect(session.ids.slice(3).map((id) => session.geometry(id))).toEqual([box(22, 22, 62, 62), box(80, 60, 100, 80), box(34, 34, 74, 74), box(80, 60, 100, 80)])
    expect(session.model.selection).toEqual(session.ids.slice(5))
    expect(session.acts.map(({ label }) => label)).toEqual(['paste', 'paste'])
  })

  it('are inside another image, without score and track', () => {
    const first = new Session([createObject('a', box(80, 60, 95, 75), { score: 0.5, track: 't', attributes: { color: 'red' } })])
    first.model.select(['a'])
    first.model.command('copy')
    const second = new Session()
    second.model.setImageSize([60, 60])
    second.model.command('paste')
    const [id] = second.ids
    expect(second.model.scene.get(id as string)).toMatchObject({ geometry: box(45, 45, 60, 60), score: null, track: null, attributes: { color: 'red' } })
    expect(id).not.toBe('a')
  })

  it('of masks are cut to the size of another image', () => {
    const first = new Session([createObject('m', maskFromRuns(100, 80, [[10, 10, 70], [90, 0, 5]]))])
    first.model.select(['m'])
    first.model.command('copy')
    const second = new Session()
    second.model.setImageSize([50, 40])
    second.model.command('paste')
    expect(second.geometry(second.ids[0] as string)).toEqual(maskFromRuns(50, 40, [[10, 10, 40]]))
  })

  it('are made by duplicate, and moved by cut', () => {
    const session = new Session(three())
    expect(session.model.command('duplicate')).toBe(false)
    session.model.select(['b'])
    session.model.command('duplicate')
    expect(session.ids).toHaveLength(4)
    session.model.select(['b'])
    session.model.command('cut')
    expect(session.ids).not.toContain('b')
    session.model.command('paste')
    expect(session.geometry(session.model.selection[0] as string)).toEqual(box(20, 20, 30, 30))
  })
})

describe('the order', () => {
  const drawn = (session: Session): string[] => session.model.scene.within(-1, -1, 200, 200).map(({ id }) => id)

  it('is by size at first', () => {
    const session = new Session(three())
    expect(drawn(session)).toEqual(['a', 'c', 'b'])
  })

  it('is changed by a step over what overlaps', () => {
    const session = new Session(three())
    session.model.select(['a'])
    expect(session.model.command('bring-forward')).toBe(true)
    expect(session.model.scene.get('a')?.order).toBe(1)
    expect(session.model.command('bring-forward')).toBe(false)
    expect(session.model.command('send-backward')).toBe(true)
    session.model.select([])
    expect(drawn(session)[0]).toBe('a')
  })

  it('is changed over all', () => {
    const session = new Session(three())
    session.model.select(['a'])
    session.model.command('bring-to-front')
    session.model.select(['b'])
    session.model.command('send-to-back')
    session.model.select([])
    expect(drawn(session)).toEqual(['b', 'c', 'a'])
    expect(session.acts.every(({ label }) => label === 'order')).toBe(true)
  })

  it('puts new objects on top', () => {
    const session = new Session([createObject('a', box(10, 10, 50, 50), { order: 7 })])
    session.model.setTool('box')
    session.drag([[5, 5], [95, 75]])
    expect(session.model.scene.get(session.ids[1] as string)?.order).toBe(7)
  })
})

describe('selecting by keys', () => {
  it('goes through the objects and begins again, without hidden and locked ones', () => {
    const session = new Session([...three(), createObject('d', box(1, 1, 5, 5), { score: 0.2, accepted: false })])
    session.model.setVisibility({ hiddenIds: new Set(), lockedIds: new Set(['b']), hiddenClasses: new Set(), minScore: 0.5 })
    const visited: string[] = []
    for (let count = 0; count < 3; count += 1) {
      session.model.command('select-next')
      visited.push(...session.model.selection)
    }
    expect(visited).toEqual(['a', 'c', 'a'])
    session.model.command('select-previous')
    expect(session.model.selection).toEqual(['c'])
    session.model.command('select-all')
    expect(session.model.selection).toEqual(['a', 'c'])
    expect(session.model.command('cancel')).toBe(true)
    expect(session.model.selection).toEqual([])
  })

  it('moves the view to an object that is outside', () => {
    const session = new Session(three())
    session.model.viewport.transform = { scale: 4, x: 0, y: 0 }
    session.model.select(['b'])
    session.model.command('select-next')
    const { view } = session.model
    expect([view.x + 80 * view.scale, view.y + 60 * view.scale]).toEqual([50, 40])
  })

  it('zooms to the selection', () => {
    const session = new Session(three())
    session.model.viewport.setViewSize([600, 400])
    session.model.select(['b'])
    session.model.command('zoom-selection')
    expect(session.model.view.scale).toBe(24)
    session.model.command('fit')
    expect(session.model.view.scale).toBeCloseTo(4.7)
  })
})

it('deletes and moves the selection with any tool, unless something is being drawn', () => {
  const session = new Session(three())
  session.model.select(['b'])
  session.model.setTool('polygon')
  expect(session.model.command('nudge-right')).toBe(true)
  session.click(5, 5)
  expect(session.model.command('delete')).toBe(false)
  session.model.command('cancel')
  expect(session.model.command('delete')).toBe(true)
  expect(session.ids).toEqual(['a', 'c'])
})

describe('the pointer of the keyboard', () => {
  const repeat = (session: Session, command: CommandName, count: number): void => {
    for (let index = 0; index < count; index += 1) session.model.command(command)
  }

  it('draws a box without a mouse', () => {
    const session = new Session()
    session.model.setTool('box')
    session.model.viewport.setViewSize([100, 80])
    session.model.viewport.transform = { scale: 1, x: 0, y: 0 }
    expect(session.model.command('cursor-click')).toBe(false)
    session.model.command('cursor-left') // shows the pointer in the middle
    repeat(session, 'cursor-up', 1)
    session.model.command('cursor-click')
    repeat(session, 'cursor-right', 2)
    repeat(session, 'cursor-down-1', 5)
    expect(session.model.tool.draftSize).toEqual([20, 5])
    session.model.command('cursor-click')
    expect(session.geometry(session.ids[0] as string)).toEqual(box(50, 30, 70, 35))
  })

  it('selects', () => {
    const session = new Session([createObject('a', box(40, 30, 60, 50))])
    session.model.command('cursor-left')
    session.model.command('cursor-click')
    expect(session.model.selection).toEqual(['a'])
  })

  it('moves the view at its border', () => {
    const session = new Session()
    session.model.viewport.transform = { scale: 4, x: 0, y: 0 }
    session.model.command('cursor-right')
    repeat(session, 'cursor-right', 9)
    const { pointer, view } = session.model
    expect(pointer?.screenX).toBe(76)
    expect(view.x).toBe(-64)
    expect(pointer?.x).toBe(35)
  })
})
