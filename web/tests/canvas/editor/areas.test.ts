import { describe, expect, it } from 'vitest'
import { areaOf, boundsOf } from '@/canvas/editor/geometry/bounds'
import { join, slice, subtract, type Polygon } from '@/canvas/editor/geometry/clipping'
import { isAt } from '@/canvas/editor/geometry/hit'
import { maskFromRuns } from '@/canvas/editor/geometry/mask'
import type { Geometry, Point } from '@/canvas/shapes'
import { createRandom } from './random'
import { box, createObject, Session } from './session'

const square = (x: number, y: number, size: number): Polygon => ({ type: 'polygon', parts: [[[[x, y], [x + size, y], [x + size, y + size], [x, y + size]]]] })

/** A star around a centre, whose outline does not cross itself. */
function star(random: () => number, cx: number, cy: number): Polygon {
  const ring = Array.from({ length: 9 }, (_, index): Point => {
    const angle = (index / 9) * 2 * Math.PI
    const radius = 5 + random() * 25
    return [cx + radius * Math.cos(angle), cy + radius * Math.sin(angle)]
  })
  return { type: 'polygon', parts: [[ring]] }
}

const contains = (geometry: Geometry | null, point: Point): boolean => geometry !== null && isAt(geometry, point, 0)

/** Points that are not near an outline, where a test of a point is exact. */
function samplePoints(random: () => number, ...polygons: Polygon[]): Point[] {
  const points = Array.from({ length: 300 }, (): Point => [random() * 100, random() * 80])
  return points.filter((point) => polygons.every((polygon) => isAt(polygon, point, 0.01) === isAt(polygon, point, 0)))
}

describe('areas of random polygons', () => {
  it('are joined, subtracted and sliced as sets of points', () => {
    const random = createRandom(21)
    for (let round = 0; round < 25; round += 1) {
      const first = star(random, 40, 40)
      const second = star(random, 40 + random() * 30, 30 + random() * 20)
      const joined = join([first, second])
      const rest = subtract(first, [second])
      const line: Point[] = [[-5, random() * 80], [40 * random() + 30, random() * 80], [110, random() * 80]]
      const pieces = slice(first, line)
      for (const point of samplePoints(random, first, second)) {
        expect(contains(joined, point)).toBe(contains(first, point) || contains(second, point))
        expect(contains(rest, point)).toBe(contains(first, point) && !contains(second, point))
        if (pieces.every((piece) => isAt(piece, point, 0.01) === isAt(piece, point, 0))) {
          expect(pieces.filter((piece) => contains(piece, point))).toHaveLength(contains(first, point) ? 1 : 0)
        }
      }
      expect(pieces.reduce((sum, piece) => sum + areaOf(piece), 0)).toBeCloseTo(areaOf(first), 1)
      expect(areaOf(joined as Polygon)).toBeCloseTo(areaOf(second) + areaOf(rest as Polygon), 1)
    }
  })
})

describe('slicing', () => {
  it('cuts along a bent line, and keeps holes', () => {
    const ring = subtract(square(10, 10, 40), [square(25, 25, 10)]) as Polygon
    const pieces = slice(ring, [[30, 0], [30, 60]])
    expect(pieces.map((piece) => areaOf(piece))).toEqual([750, 750])
    expect(pieces.map(boundsOf).sort()).toEqual([[10, 10, 30, 50], [30, 10, 50, 50]])
  })

  it('gives one piece if the line misses', () => {
    expect(slice(square(10, 10, 40), [[0, 0], [60, 0]])).toEqual([square(10, 10, 40)])
  })

  it('is done by the tool, which ends with the point beyond the polygon', () => {
    const session = new Session([createObject('a', square(10, 10, 40), { attributes: { color: 'red' } })])
    session.model.select(['a'])
    expect(session.model.command('slice')).toBe(true)
    session.click(5, 30)
    session.click(30, 30)
    expect(session.ids).toHaveLength(1)
    session.click(60, 30)
    expect(session.ids).toHaveLength(2)
    expect(session.acts).toMatchObject([{ label: 'slice', changes: [{ kind: 'patch', id: 'a' }, { kind: 'put', object: { attributes: { color: 'red' } } }] }])
    expect(session.model.tool.name).toBe('select')
  })
})

describe('joining and subtracting objects', () => {
  const objects = () => [createObject('a', square(10, 10, 20)), createObject('b', box(20, 20, 40, 40)), createObject('c', { type: 'polyline', points: [[1, 1], [2, 2]] })]

  it('joins to the first selected object', () => {
    const session = new Session(objects())
    session.model.select(['a', 'b'])
    expect(session.model.command('join')).toBe(true)
    expect(session.ids).toEqual(['a', 'c'])
    expect(areaOf(session.geometry('a') as Geometry)).toBe(700)
    expect(session.acts).toHaveLength(1)
  })

  it('takes the others from the first', () => {
    const session = new Session(objects())
    session.model.select(['b', 'a'])
    expect(session.model.command('subtract')).toBe(true)
    expect(session.ids).toEqual(['a', 'b', 'c'])
    expect(areaOf(session.geometry('b') as Geometry)).toBe(300)
  })

  it('needs several areas', () => {
    const session = new Session(objects())
    session.model.select(['a'])
    expect(session.model.command('join')).toBe(false)
    session.model.select(['a', 'c'])
    expect(session.model.command('join')).toBe(false)
    expect(session.hints.at(-1)).toBe('choose-areas')
  })

  it('joins a mask with a polygon to a mask', () => {
    const session = new Session([createObject('m', maskFromRuns(100, 80, [[10, 10, 20]])), createObject('p', square(11, 10, 2))])
    session.model.select(['m', 'p'])
    session.model.command('join')
    expect(session.geometry('m')).toEqual(maskFromRuns(100, 80, [[10, 10, 20], [11, 10, 12], [12, 10, 12]]))
  })

  it('makes a mask of a polygon', () => {
    const session = new Session([createObject('a', square(10.4, 10.6, 3))])
    session.model.select(['a'])
    session.model.command('to-mask')
    expect(session.geometry('a')).toEqual(maskFromRuns(100, 80, [[10, 11, 14], [11, 11, 14], [12, 11, 14]]))
  })
})

describe('a hole', () => {
  it('is drawn with Alt inside a polygon', () => {
    const session = new Session([createObject('a', square(10, 10, 40))])
    session.model.setTool('polygon')
    session.click(20, 20, { alt: true })
    session.click(30, 20)
    session.click(30, 30)
    session.model.command('finish')
    expect(session.ids).toEqual(['a'])
    expect(areaOf(session.geometry('a') as Geometry)).toBe(1550)
    expect(session.acts.map(({ label }) => label)).toEqual(['add-hole'])
    session.click(80, 70, { alt: true })
    expect(session.hints.at(-1)).toBe('choose-polygon')
    expect(session.model.tool.hasDraft).toBe(false)
  })
})
