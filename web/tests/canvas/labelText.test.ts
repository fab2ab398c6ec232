import { describe, expect, it } from 'vitest'
import { labelText } from '@/canvas/objectRenderer'

describe('labels on the image', () => {
  it('have the class and the score', () => {
    expect(labelText({ class: 'ship', score: null })).toBe('ship')
    expect(labelText({ class: 'ship', score: 0.5 })).toBe('ship 0.50')
  })

  it('cut long class names, at whole characters', () => {
    expect(labelText({ class: 'x'.repeat(24), score: null })).toBe('x'.repeat(24))
    expect(labelText({ class: 'x'.repeat(25), score: 0.25 })).toBe(`${'x'.repeat(23)}… 0.25`)
    expect(labelText({ class: '🚢'.repeat(30), score: null })).toBe(`${'🚢'.repeat(23)}…`)
  })
})
