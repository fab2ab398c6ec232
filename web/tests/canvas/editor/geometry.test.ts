import { describe, expect, it } from 'vitest'
import { areaOf, boundsOf, frameOf } from '@/canvas/editor/geometry/bounds'
import { dragBounds } from '@/canvas/editor/geometry/draw'
import { isAt } from '@/canvas/editor/geometry/hit'
import { maskFromRuns } from '@/canvas/editor/geometry/mask'
import { clampMovement, resizeFrame, rotate, scale, translate } from '@/canvas/editor/geometry/transform'
import { maskRuns, type Geometry, type Point } from '@/canvas/shapes'
import { createRandom } from './random'

const GEOMETRIES: Geometry[] = [
  { type: 'box', x1: 10, y1: 20, x2: 40, y2: 50 },
  { type: 'rotated_box', cx: 30, cy: 30, width: 20, height: 10, angle: 30 },
  { type: 'ellipse', cx: 30, cy: 30, rx: 20, ry: 10, angle: 120 },
  { type: 'polygon', parts: [[[[10, 10], [40, 10], [40, 40], [10, 40]], [[20, 20], [30, 20], [30, 30]]]] },
  { type: 'polyline', points: [[1, 2], [30, 40], [20, 5]] },
  { type: 'points', points: [[3, 4], [8, 8]] },
  { type: 'keypoints', points: [[5, 5], [9, 30]], visibility: [2, 1], box: { x1: 1, y1: 1, x2: 40, y2: 40 } },
  { type: 'mask', width: 50, height: 60, counts: [60 * 10 + 5, 20, 40, 20, 50 * 60 - 60 * 10 - 5 - 80] },
]

describe.each(GEOMETRIES.map((geometry) => [geometry.type, geometry] as const))('a %s', (type, geometry) => {
  it('moves there and back', () => {
    expect(translate(translate(geometry, 3, -2), -3, 2)).toEqual(geometry)
    const [x1, y1, x2, y2] = boundsOf(geometry)
    const moved = boundsOf(translate(geometry, 3, 2))
    for (const [index, value] of [x1 + 3, y1 + 2, x2 + 3, y2 + 2].entries()) expect(moved[index]).toBeCloseTo(value, 9)
  })

  it('is rotated by 360 degrees in steps and keeps its area', () => {
    let rotated = geometry
    for (let step = 0; step < 12; step += 1) rotated = rotate(rotated, [25, 25], 30)
    if (type === 'keypoints') return // the box is drawn anew around the points
    expect(areaOf(rotated)).toBeCloseTo(areaOf(geometry), 6)
    const bounds = boundsOf(rotated)
    for (const [index, value] of boundsOf(geometry).entries()) expect(bounds[index]).toBeCloseTo(value, 6)
  })

  it('is resized with its frame', () => {
    if (type === 'mask') return
    const from = frameOf(geometry)
    const to = { ...from, cx: from.cx + 5, width: from.width * 2, height: from.height * 3 }
    const resized = scale(geometry, from, to)
    const frame = frameOf(resized)
    for (const key of ['cx', 'cy', 'width', 'height'] as const) expect(frame[key]).toBeCloseTo(to[key], 9)
    if (type !== 'keypoints') expect(areaOf(resized)).toBeCloseTo(areaOf(geometry) * 6, 6)
  })

  it('is found inside, and not far outside', () => {
    const [x1, y1, x2, y2] = boundsOf(geometry)
    const inside: Point = type === 'polygon' || type === 'mask' ? [11, 12] : 'points' in geometry ? (geometry.points[0] as Point) : [(x1 + x2) / 2, (y1 + y2) / 2]
    expect(isAt(geometry, inside, 2)).toBe(true)
    expect(isAt(geometry, [x2 + 10, y2 + 10], 2)).toBe(false)
  })
})

describe('hit tests', () => {
  it('miss the hole of a polygon and the corner of a rotated box', () => {
    expect(isAt(GEOMETRIES[3] as Geometry, [28, 22], 0.5)).toBe(false)
    expect(isAt(GEOMETRIES[1] as Geometry, [21, 36], 0)).toBe(false)
  })
})

describe('a drag of a frame', () => {
  const frame = { cx: 50, cy: 40, width: 20, height: 10, angle: 0 }

  it('keeps the opposite corner', () => {
    const random = createRandom(7)
    for (let round = 0; round < 100; round += 1) {
      const rotated = { ...frame, angle: random() * 360 }
      const side: Point = [random() < 0.5 ? -1 : 1, random() < 0.5 ? -1 : 1]
      const target = resizeFrame(rotated, side, [random() * 100, random() * 80])
      const corner = (value: typeof frame): Point => {
        const radians = (value.angle * Math.PI) / 180
        const [x, y] = [(-side[0] * value.width) / 2, (-side[1] * value.height) / 2]
        return [value.cx + x * Math.cos(radians) - y * Math.sin(radians), value.cy + x * Math.sin(radians) + y * Math.cos(radians)]
      }
      expect(corner(target)[0]).toBeCloseTo(corner(rotated)[0], 6)
      expect(corner(target)[1]).toBeCloseTo(corner(rotated)[1], 6)
    }
  })

  it('keeps the ratio, or the centre', () => {
    const ratio = resizeFrame(frame, [1, 1], [90, 50], { keepsRatio: true })
    expect(ratio.width / ratio.height).toBeCloseTo(2)
    const centred = resizeFrame(frame, [1, 0], [70, 0], { isFromCentre: true })
    expect(centred).toMatchObject({ cx: 50, cy: 40, width: 40, height: 10 })
  })

  it('mirrors points that are dragged over the opposite side', () => {
    const line: Geometry = { type: 'polyline', points: [[10, 10], [20, 15]] }
    const from = frameOf(line)
    const mirrored = scale(line, from, resizeFrame(from, [1, 0], [0, 0]))
    expect(mirrored).toMatchObject({ points: [[10, 10], [0, 15]] })
  })
})

describe('drawing a rectangle', () => {
  const size: [number, number] = [100, 80]
  it.each([
    ['down right', [10, 10], [30, 20], {}, [10, 10, 30, 20]],
    ['up left', [30, 20], [10, 10], {}, [10, 10, 30, 20]],
    ['a square', [10, 10], [30, 15], { isSquare: true }, [10, 10, 30, 30]],
    ['a square at the border', [90, 10], [100, 70], { isSquare: true }, [90, 10, 100, 20]],
    ['from the centre', [50, 40], [60, 45], { isFromCentre: true }, [40, 35, 60, 45]],
    ['from a centre near the border', [5, 40], [60, 45], { isFromCentre: true }, [0, 35, 10, 45]],
  ] as const)('%s', (_, anchor, point, options, expected) => {
    expect(dragBounds([...anchor], [...point], { isSquare: false, isFromCentre: false, size, ...options })).toEqual(expected)
  })
})

describe('a movement', () => {
  it('ends at the border of the image', () => {
    expect(clampMovement([10, 10, 20, 20], -50, 90, [100, 80])).toEqual([-10, 60])
  })

  it('does not jump if the object is outside already', () => {
    expect(clampMovement([-10, 10, 20, 20], 0, 0, [100, 80])).toEqual([0, 0])
    expect(clampMovement([-10, 10, 20, 20], -5, 0, [100, 80])[0]).toBeCloseTo(0)
    expect(clampMovement([-10, 10, 20, 20], 4, 0, [100, 80])[0]).toBe(4)
  })
})

describe('a mask', () => {
  it('is the same after it was decoded and encoded', () => {
    const random = createRandom(3)
    for (let round = 0; round < 50; round += 1) {
      const [width, height] = [1 + Math.floor(random() * 6), 1 + Math.floor(random() * 6)]
      const counts: number[] = [Math.floor(random() * 3)]
      let total = counts[0] as number
      while (total < width * height) {
        const count = Math.min(width * height - total, 1 + Math.floor(random() * 5))
        counts.push(count)
        total += count
      }
      if (total !== width * height) continue
      expect(maskFromRuns(width, height, maskRuns(height, counts)).counts).toEqual(counts)
    }
  })

  it('loses what leaves the image when it moves', () => {
    const mask = maskFromRuns(4, 4, [[0, 0, 4], [1, 1, 3]])
    expect([...maskRuns(4, (translate(mask, -1, 2) as typeof mask).counts)]).toEqual([[0, 3, 4]])
  })
})
