import { describe, expect, it } from 'vitest'
import { uuidv7 } from '@/canvas/editor/uuid'

describe('a UUID of version 7', () => {
  it('has the version, the variant and the time', () => {
    const now = Date.now() + 10_000
    const id = uuidv7(now)
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)).toBe(now)
  })

  it('ascends within a millisecond, and when the clock is set back', () => {
    const now = Date.now() + 20_000
    const ids = Array.from({ length: 10_000 }, (_, index) => uuidv7(now - (index % 7)))
    expect([...ids].sort()).toEqual(ids)
    expect(new Set(ids).size).toBe(ids.length)
  })
})
