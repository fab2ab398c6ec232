import { describe, expect, it } from 'vitest'
import { heightOf, offsetOf, scrollHeightOf, scrollTopOf, TALLEST, visible, type Grid } from '@/draw/scrolling'
import { corners, hit, maskRuns, type Thing } from '@/draw/shapes'
import { isLight } from '@/draw/overlay'
import { fitted, moved, squares, toImage, zoomed } from '@/draw/viewing'

const grid = (count: number): Grid => ({ count, columns: 7, rowHeight: 190, viewHeight: 800 })

describe('a grid of any length', () => {
  it('reaches its first and its last item, and no element is too tall', () => {
    for (const count of [0, 1, 50, 100_000, 1_000_000, 50_000_000]) {
      const one = grid(count)
      expect(scrollHeightOf(one)).toBeLessThanOrEqual(TALLEST)
      expect(visible(one, offsetOf(one, 0))[0]).toBe(0)
      const end = offsetOf(one, scrollHeightOf(one) - one.viewHeight)
      expect(visible(one, end)[1]).toBe(count)
    }
  })
  it('knows where the bar stands for a place, and the other way round', () => {
    for (const count of [500, 1_000_000, 50_000_000]) {
      const one = grid(count)
      for (const share of [0, 0.1, 0.5, 0.999, 1]) {
        const offset = share * Math.max(0, heightOf(one) - one.viewHeight)
        expect(offsetOf(one, scrollTopOf(one, offset))).toBeCloseTo(offset, 3)
      }
    }
  })
})

describe('shapes', () => {
  it('runs of a mask are its pixels, column by column', () => {
    // 3 wide, 4 high: background 2, object 5, background 5
    const pixels = [...maskRuns(4, [2, 5, 5])].flatMap(([x, from, to]) => Array.from({ length: to - from }, (_, y) => `${x},${from + y}`))
    expect(pixels).toEqual(['0,2', '0,3', '1,0', '1,1', '1,2'])
  })
  it('corners of a turned box are clockwise from its own top left', () => {
    const [first, second] = corners(10, 10, 4, 2, 90)
    expect(first?.map(Math.round)).toEqual([11, 8])
    expect(second?.map(Math.round)).toEqual([11, 12])
  })
  it('of several under the pointer the smallest is meant', () => {
    const thing = (id: string, bounds: Thing['bounds']): Thing => ({ id, class: 'a', score: null, track: null, attributes: {}, bounds, geometry: { type: 'points', points: [] } })
    const things = [thing('small', [2, 2, 4, 4]), thing('large', [0, 0, 10, 10])]
    expect(hit(things, 3, 3)?.id).toBe('small')
    expect(hit(things, 8, 8)?.id).toBe('large')
    expect(hit(things, 20, 8)).toBeNull()
  })
  it('writes black on light colours', () => {
    expect([isLight('#f0e442'), isLight('#0072b2')]).toEqual([true, false])
  })
})

describe('zooming and moving', () => {
  const sizes = { image: [4000, 3000] as [number, number], view: [800, 600] as [number, number] }
  it('fits all of a picture', () => {
    const view = fitted(sizes)
    expect(toImage(view, view.x, view.y)).toEqual([0, 0])
    expect(view.x + 4000 * view.scale).toBeLessThanOrEqual(800)
    expect(view.y + 3000 * view.scale).toBeLessThanOrEqual(600)
  })
  it('keeps what is under the pointer where it is', () => {
    let view = fitted(sizes)
    for (const by of [1.5, 3, 0.2, 40, 1000]) {
      const before = toImage(view, 300, 200)
      view = zoomed(view, by, 300, 200, 0.05)
      const after = toImage(view, 300, 200)
      expect(after[0]).toBeCloseTo(before[0], 6)
      expect(after[1]).toBeCloseTo(before[1], 6)
    }
  })
  it('never loses the picture', () => {
    const view = moved(fitted(sizes), 1e6, -1e6, sizes)
    expect(view.x).toBeLessThan(800)
    expect(view.y + 3000 * view.scale).toBeGreaterThan(0)
  })
  it('fetches squares that cover what is seen, and no more than are needed', () => {
    const view = zoomed(fitted(sizes), 6, 400, 300, 0.05)
    const found = squares(view, sizes, 512, 1)
    const [x1, y1] = toImage(view, 0, 0)
    const [x2, y2] = toImage(view, 800, 600)
    expect(Math.min(...found.map((one) => one.left))).toBeLessThanOrEqual(Math.max(0, x1))
    expect(Math.max(...found.map((one) => one.left + one.side))).toBeGreaterThanOrEqual(Math.min(4000, x2))
    expect(Math.min(...found.map((one) => one.top))).toBeLessThanOrEqual(Math.max(0, y1))
    expect(Math.max(...found.map((one) => one.top + one.side))).toBeGreaterThanOrEqual(Math.min(3000, y2))
    expect(found.length).toBeLessThan(20)
  })
})
