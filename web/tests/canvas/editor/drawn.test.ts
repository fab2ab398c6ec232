import { describe, expect, it } from 'vitest'
import { box, createObject, Session } from './session'

describe('an object that was just drawn', () => {
  function drawn(): Session {
    const session = new Session([createObject('a', box(60, 10, 90, 40))])
    session.model.setTool('box')
    session.drag([[10, 10], [30, 30]])
    return session
  }

  it('is selected, but not by the user', () => {
    const { model } = drawn()
    expect(model.selection).toHaveLength(1)
    expect(model.isSelectionDrawn).toBe(true)
  })

  it('is like any other once the user selects it', () => {
    const session = drawn()
    session.model.select([...session.model.selection])
    expect(session.model.isSelectionDrawn).toBe(false)
  })

  it('is like any other once the user clicks on it', () => {
    const session = drawn()
    session.model.setTool('select')
    expect(session.model.isSelectionDrawn).toBe(true)
    session.click(20, 20)
    expect(session.model.selection).toHaveLength(1)
    expect(session.model.isSelectionDrawn).toBe(false)
  })

  it('is no longer the selection once another object is selected', () => {
    const session = drawn()
    session.model.select(['a'])
    expect(session.model.isSelectionDrawn).toBe(false)
  })
})
