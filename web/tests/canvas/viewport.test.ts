import { describe, expect, it } from 'vitest'
import { fit, pan, screenToImage, visibleTiles, zoomAt, type ViewportSizes } from '@/canvas/viewport'

const sizes: ViewportSizes = { image: [4000, 3000], view: [800, 600] }

describe('the viewport', () => {
  it('fits the whole image', () => {
    const view = fit(sizes)
    expect(screenToImage(view, view.x, view.y)).toEqual([0, 0])
    expect(view.x + 4000 * view.scale).toBeLessThanOrEqual(800)
    expect(view.y + 3000 * view.scale).toBeLessThanOrEqual(600)
  })

  it('keeps the point under the pointer in place when zooming', () => {
    let view = fit(sizes)
    for (const factor of [1.5, 3, 0.2, 40, 1000]) {
      const before = screenToImage(view, 300, 200)
      view = zoomAt(view, factor, 300, 200, 0.05)
      const after = screenToImage(view, 300, 200)
      expect(after[0]).toBeCloseTo(before[0], 6)
      expect(after[1]).toBeCloseTo(before[1], 6)
    }
  })

  it('never pans the image out of view', () => {
    const view = pan(fit(sizes), 1e6, -1e6, sizes)
    expect(view.x).toBeLessThan(800)
    expect(view.y + 3000 * view.scale).toBeGreaterThan(0)
  })

  it('needs only the tiles that cover the visible area', () => {
    const view = zoomAt(fit(sizes), 6, 400, 300, 0.05)
    const tiles = visibleTiles(view, sizes, 512, 1)
    const [x1, y1] = screenToImage(view, 0, 0)
    const [x2, y2] = screenToImage(view, 800, 600)
    expect(Math.min(...tiles.map((tile) => tile.left))).toBeLessThanOrEqual(Math.max(0, x1))
    expect(Math.max(...tiles.map((tile) => tile.left + tile.size))).toBeGreaterThanOrEqual(Math.min(4000, x2))
    expect(Math.min(...tiles.map((tile) => tile.top))).toBeLessThanOrEqual(Math.max(0, y1))
    expect(Math.max(...tiles.map((tile) => tile.top + tile.size))).toBeGreaterThanOrEqual(Math.min(3000, y2))
    expect(tiles.length).toBeLessThan(20)
  })
})
