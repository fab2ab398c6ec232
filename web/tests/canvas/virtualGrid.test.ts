import { describe, expect, it } from 'vitest'
import {
  contentHeight, MAX_SCROLL_HEIGHT, offsetFromScrollTop, scrollHeight, scrollTopFromOffset, visibleRange, type GridLayout,
} from '@/canvas/virtualGrid'

const layout = (count: number): GridLayout => ({ count, columns: 7, rowHeight: 190, viewHeight: 800 })

describe('a virtual grid', () => {
  it.each([0, 1, 50, 100_000, 1_000_000, 50_000_000])('shows the first and the last of %i items within the maximum height', (count) => {
    const grid = layout(count)
    expect(scrollHeight(grid)).toBeLessThanOrEqual(MAX_SCROLL_HEIGHT)
    expect(visibleRange(grid, offsetFromScrollTop(grid, 0))[0]).toBe(0)
    const endOffset = offsetFromScrollTop(grid, scrollHeight(grid) - grid.viewHeight)
    expect(visibleRange(grid, endOffset)[1]).toBe(count)
  })

  it.each([500, 1_000_000, 50_000_000])('converts offsets of %i items to scroll positions and back', (count) => {
    const grid = layout(count)
    for (const fraction of [0, 0.1, 0.5, 0.999, 1]) {
      const offset = fraction * Math.max(0, contentHeight(grid) - grid.viewHeight)
      expect(offsetFromScrollTop(grid, scrollTopFromOffset(grid, offset))).toBeCloseTo(offset, 3)
    }
  })
})
