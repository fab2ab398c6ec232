/** Joining, subtracting and slicing areas. Independent of Vue. */
import { difference, intersection, setPrecision, union } from 'polyclip-ts'
import { boxCorners, type Geometry, type Point } from '../../shapes'
import { areaOf, boundsOf } from './bounds'
import { distance } from './hit'

export type Polygon = Extract<Geometry, { type: 'polygon' }>
type MultiPolygon = Point[][][]

const ELLIPSE_POINTS = 64
/** A smaller piece is what rounding leaves, in square pixels. */
const MIN_AREA = 1e-3
/** For inputs on which exact arithmetic and the library's search for a ring disagree. */
const FALLBACK_PRECISION = 1e-13

/** The outline of a geometry with an area; null for others. */
export function toPolygon(geometry: Geometry): Polygon | null {
  switch (geometry.type) {
    case 'polygon':
      return geometry
    case 'box': {
      const { x1, y1, x2, y2 } = geometry
      return { type: 'polygon', parts: [[[[x1, y1], [x2, y1], [x2, y2], [x1, y2]]]] }
    }
    case 'rotated_box':
      return { type: 'polygon', parts: [[boxCorners(geometry.cx, geometry.cy, geometry.width, geometry.height, geometry.angle)]] }
    case 'ellipse': {
      const corners = Array.from({ length: ELLIPSE_POINTS }, (_, index): Point => {
        const angle = (index / ELLIPSE_POINTS) * 2 * Math.PI
        const rotation = (geometry.angle * Math.PI) / 180
        const [x, y] = [geometry.rx * Math.cos(angle), geometry.ry * Math.sin(angle)]
        return [geometry.cx + x * Math.cos(rotation) - y * Math.sin(rotation), geometry.cy + x * Math.sin(rotation) + y * Math.cos(rotation)]
      })
      return { type: 'polygon', parts: [[corners]] }
    }
    default:
      return null
  }
}

function clip(operation: typeof union, subject: MultiPolygon, others: MultiPolygon[]): MultiPolygon {
  let result: MultiPolygon
  try {
    result = operation(subject, ...others)
  } catch {
    setPrecision(FALLBACK_PRECISION)
    try {
      result = operation(subject, ...others)
    } finally {
      setPrecision()
    }
  }
  // The library repeats the first point of a ring at its end.
  const parts = result.map((part) => part.map((ring) => ring.slice(0, -1)))
  return parts.filter((part) => areaOf({ type: 'polygon', parts: [part] }) > MIN_AREA)
}

const polygonOf = (parts: MultiPolygon): Polygon | null => (parts.length ? { type: 'polygon', parts } : null)

/** The area that any of several polygons covers. */
export function join(polygons: readonly Polygon[]): Polygon | null {
  const [first, ...others] = polygons
  return first ? polygonOf(clip(union, first.parts, others.map(({ parts }) => parts))) : null
}

/** Subtracts polygons from a polygon. Returns null if nothing remains. */
export const subtract = (polygon: Polygon, others: readonly Polygon[]): Polygon | null =>
  polygonOf(clip(difference, polygon.parts, others.map(({ parts }) => parts)))

/**
 * Cuts a polygon along a line whose ends are outside of it.
 *
 * @returns the pieces, the largest first: one if the line does not cut.
 */
export function slice(polygon: Polygon, line: readonly Point[]): Polygon[] {
  const side = sideOf(line, polygon)
  if (!side) return [polygon]
  const pieces = [clip(intersection, polygon.parts, [side]), clip(difference, polygon.parts, [side])]
  if (pieces.some(({ length }) => !length)) return [polygon]
  const polygons = pieces.flat().map((part): Polygon => ({ type: 'polygon', parts: [part] }))
  return polygons.sort((first, second) => areaOf(second) - areaOf(first))
}

/** The part of the plane around a polygon that is on one side of a line. */
function sideOf(line: readonly Point[], polygon: Polygon): MultiPolygon | null {
  const start = line[0]
  const end = line.at(-1)
  if (!start || !end || line.length < 2) return null
  const all: Point[] = [...line]
  const [x1, y1, x2, y2] = boundsOf(polygon)
  all.push([x1, y1], [x2, y2])
  const [left, top, right, bottom] = boundsOf({ type: 'polyline', points: all })
  const [cx, cy] = [(left + right) / 2, (top + bottom) / 2]
  const radius = Math.hypot(right - left, bottom - top) + 1
  // From both ends straight to a circle around everything, and along the circle back.
  const first = exitOf(start, line[1] as Point, [cx, cy], radius)
  const last = exitOf(end, line.at(-2) as Point, [cx, cy], radius)
  const angleOf = ([x, y]: Point): number => Math.atan2(y - cy, x - cx)
  const startAngle = angleOf(last)
  let turn = angleOf(first) - startAngle
  if (turn <= 0) turn += 2 * Math.PI
  const steps = 16
  // Outside of the circle, so that its chords do not cut the area.
  const arc = Array.from({ length: steps - 1 }, (_, index): Point => {
    const angle = startAngle + (turn * (index + 1)) / steps
    return [cx + 2 * radius * Math.cos(angle), cy + 2 * radius * Math.sin(angle)]
  })
  return [[[first, ...line, last, ...arc]]]
}

/** Where a line that is continued beyond its end leaves a circle. */
function exitOf(end: Point, previous: Point, [cx, cy]: Point, radius: number): Point {
  const length = distance(previous, end) || 1
  const [dx, dy] = [(end[0] - previous[0]) / length, (end[1] - previous[1]) / length]
  const [x, y] = [end[0] - cx, end[1] - cy]
  const along = x * dx + y * dy
  const reach = -along + Math.sqrt(Math.max(0, along * along - (x * x + y * y - radius * radius)))
  return [end[0] + reach * dx, end[1] + reach * dy]
}
