/** Bounds, areas and points of geometries. Independent of Vue. */
import { boxCorners, maskRuns, type Geometry, type Point } from '../../shapes'

/** x1, y1, x2, y2. */
export type Bounds = [number, number, number, number]

/** A rectangle rotated clockwise around its centre, in degrees. */
export interface Frame {
  cx: number
  cy: number
  width: number
  height: number
  angle: number
}

export function boundsOfPoints(points: Iterable<Point>): Bounds | null {
  const bounds: Bounds = [Infinity, Infinity, -Infinity, -Infinity]
  for (const [x, y] of points) {
    if (x < bounds[0]) bounds[0] = x
    if (y < bounds[1]) bounds[1] = y
    if (x > bounds[2]) bounds[2] = x
    if (y > bounds[3]) bounds[3] = y
  }
  return bounds[0] <= bounds[2] ? bounds : null
}

/** The smallest rectangle around several; null for none. */
export function unionOf(rectangles: Iterable<Bounds>): Bounds | null {
  const corners: Point[] = []
  for (const [x1, y1, x2, y2] of rectangles) corners.push([x1, y1], [x2, y2])
  return boundsOfPoints(corners)
}

function maskBounds(mask: Extract<Geometry, { type: 'mask' }>): Bounds | null {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity]
  for (const [x, start, end] of maskRuns(mask.height, mask.counts)) {
    left = Math.min(left, x)
    right = Math.max(right, x + 1)
    top = Math.min(top, start)
    bottom = Math.max(bottom, end)
  }
  return left < right ? [left, top, right, bottom] : null
}

/** The axis-aligned bounds; a geometry without points has its bounds at the origin. */
export function boundsOf(geometry: Geometry): Bounds {
  return findBounds(geometry) ?? [0, 0, 0, 0]
}

function findBounds(geometry: Geometry): Bounds | null {
  switch (geometry.type) {
    case 'box':
      return [geometry.x1, geometry.y1, geometry.x2, geometry.y2]
    case 'rotated_box':
      return boundsOfPoints(boxCorners(geometry.cx, geometry.cy, geometry.width, geometry.height, geometry.angle))
    case 'ellipse': {
      const radians = (geometry.angle * Math.PI) / 180
      const halfWidth = Math.hypot(geometry.rx * Math.cos(radians), geometry.ry * Math.sin(radians))
      const halfHeight = Math.hypot(geometry.rx * Math.sin(radians), geometry.ry * Math.cos(radians))
      return [geometry.cx - halfWidth, geometry.cy - halfHeight, geometry.cx + halfWidth, geometry.cy + halfHeight]
    }
    case 'polygon':
      return boundsOfPoints(geometry.parts.flatMap((part) => part[0] ?? []))
    case 'polyline':
    case 'points':
      return boundsOfPoints(geometry.points)
    case 'mask':
      return maskBounds(geometry)
    case 'keypoints': {
      const points = geometry.points.filter((_, index) => geometry.visibility[index])
      if (geometry.box) points.push([geometry.box.x1, geometry.box.y1], [geometry.box.x2, geometry.box.y2])
      return boundsOfPoints(points)
    }
  }
}

function ringArea(ring: Point[]): number {
  let sum = 0
  ring.forEach(([x1, y1], index) => {
    const [x2, y2] = ring[(index + 1) % ring.length] as Point
    sum += x1 * y2 - x2 * y1
  })
  return Math.abs(sum) / 2
}

/** The area in square pixels; 0 for lines and points. */
export function areaOf(geometry: Geometry): number {
  switch (geometry.type) {
    case 'box':
      return (geometry.x2 - geometry.x1) * (geometry.y2 - geometry.y1)
    case 'rotated_box':
      return geometry.width * geometry.height
    case 'ellipse':
      return Math.PI * geometry.rx * geometry.ry
    case 'polygon':
      return geometry.parts.reduce((sum, [outer = [], ...holes]) => sum + ringArea(outer) - holes.reduce((area, hole) => area + ringArea(hole), 0), 0)
    case 'mask':
      return geometry.counts.reduce((sum, count, index) => sum + (index % 2 ? count : 0), 0)
    case 'keypoints': {
      const [x1, y1, x2, y2] = boundsOf(geometry)
      return (x2 - x1) * (y2 - y1)
    }
    default:
      return 0
  }
}

export const frameOfBounds = ([x1, y1, x2, y2]: Bounds): Frame => ({ cx: (x1 + x2) / 2, cy: (y1 + y2) / 2, width: x2 - x1, height: y2 - y1, angle: 0 })

/** The frame that is resized and rotated: for most geometries their bounds, for those with an angle their own. */
export function frameOf(geometry: Geometry): Frame {
  if (geometry.type === 'rotated_box') {
    const { cx, cy, width, height, angle } = geometry
    return { cx, cy, width, height, angle }
  }
  if (geometry.type === 'ellipse') return { cx: geometry.cx, cy: geometry.cy, width: 2 * geometry.rx, height: 2 * geometry.ry, angle: geometry.angle }
  return frameOfBounds(boundsOf(geometry))
}

/** A rectangle from any two opposite corners. */
export const boundsBetween = ([x1, y1]: Point, [x2, y2]: Point): Bounds => [Math.min(x1, x2), Math.min(y1, y2), Math.max(x1, x2), Math.max(y1, y2)]

export const clampPoint = ([x, y]: Point, [width, height]: [number, number]): Point => [Math.min(width, Math.max(0, x)), Math.min(height, Math.max(0, y))]
