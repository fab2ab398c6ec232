import { describe, expect, it } from 'vitest'
import { box, Session } from './session'

function start(): Session {
  const session = new Session()
  session.model.setTool('box')
  return session
}

describe('the box tool', () => {
  it.each([
    ['a drag down right', [[10, 10], [40, 30]]],
    ['a drag up left', [[40, 30], [10, 10]]],
    ['a drag up right', [[10, 30], [40, 10]]],
  ] as [string, [number, number][]][])('draws by %s', (_, points) => {
    const session = start()
    session.drag(points)
    const [id] = session.ids
    expect(session.geometry(id as string)).toEqual(box(10, 10, 40, 30))
    expect(session.model.selection).toEqual([id])
    expect(session.acts).toMatchObject([{ changes: [{ kind: 'put', object: { class: 'ship', source: 'manual' } }], label: 'draw' }])
  })

  it('draws by two clicks', () => {
    const session = start()
    session.click(10, 10)
    expect(session.model.tool.hasDraft).toBe(true)
    session.hover(30, 20)
    expect(session.model.tool.draftSize).toEqual([20, 10])
    session.click(40, 30)
    expect(session.geometry(session.ids[0] as string)).toEqual(box(10, 10, 40, 30))
    expect(session.model.tool.hasDraft).toBe(false)
  })

  it('stays inside the image, unless it may leave it', () => {
    const session = start()
    session.drag([[-20, 60], [300, 300]])
    expect(session.geometry(session.ids[0] as string)).toEqual(box(0, 60, 100, 80))
    const free = new Session([], { isClamped: false })
    free.model.setTool('box')
    free.drag([[-20, 60], [300, 300]])
    expect(free.geometry(free.ids[0] as string)).toEqual(box(-20, 60, 300, 300))
  })

  it('refuses a box under three pixels of the screen', () => {
    const session = start()
    session.drag([[10, 10], [40, 12]])
    expect(session.ids).toEqual([])
    expect(session.hints.at(-1)).toBe('too-small')
    session.doubleClick(10, 10)
    expect(session.ids).toEqual([])
    session.model.viewport.transform = { scale: 2, x: 0, y: 0 }
    session.drag([[10, 10], [40, 12]])
    expect(session.ids).toHaveLength(1)
    expect(session.hints.at(-1)).toBeNull()
  })

  it('asks for a class', () => {
    const session = start()
    session.model.activeClass = null
    session.drag([[10, 10], [40, 30]])
    expect(session.hints).toEqual(['choose-class'])
    session.model.activeClass = 'ship'
    expect(session.hints.at(-1)).toBeNull()
  })

  it('puts the draft aside', () => {
    const session = start()
    session.click(10, 10)
    expect(session.model.command('cancel')).toBe(true)
    expect(session.model.command('cancel')).toBe(false)
    session.click(10, 10)
    session.model.setTool('select')
    expect(session.ids).toEqual([])
  })
})
