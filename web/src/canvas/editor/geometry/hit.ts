/** Which geometries are at a point or in a rectangle. Independent of Vue. */
import { boxCorners, type Geometry, type Point } from '../../shapes'
import { boundsOf, type Bounds } from './bounds'

export const distance = ([x1, y1]: Point, [x2, y2]: Point): number => Math.hypot(x2 - x1, y2 - y1)

/** The point of a segment that is nearest to a point. */
export function nearestOnSegment([x, y]: Point, [x1, y1]: Point, [x2, y2]: Point): Point {
  const [dx, dy] = [x2 - x1, y2 - y1]
  const squared = dx * dx + dy * dy
  const position = squared ? Math.min(1, Math.max(0, ((x - x1) * dx + (y - y1) * dy) / squared)) : 0
  return [x1 + position * dx, y1 + position * dy]
}

export function isInRing(ring: Point[], [x, y]: Point): boolean {
  let isInside = false
  let [previousX, previousY] = ring.at(-1) ?? [0, 0]
  for (const [nextX, nextY] of ring) {
    if (nextY > y !== previousY > y && x < ((previousX - nextX) * (y - nextY)) / (previousY - nextY) + nextX) isInside = !isInside
    ;[previousX, previousY] = [nextX, nextY]
  }
  return isInside
}

function isNearPath(points: Point[], point: Point, tolerance: number, isClosed: boolean): boolean {
  if (points.length === 1) return distance(points[0] as Point, point) <= tolerance
  return points.some((end, index) => {
    const start = index ? points[index - 1] : isClosed ? points.at(-1) : undefined
    return start !== undefined && distance(nearestOnSegment(point, start, end), point) <= tolerance
  })
}

/** A point in the coordinates of a frame: its centre is the origin, and its angle 0. */
export function toLocal([x, y]: Point, { cx, cy, angle }: { cx: number; cy: number; angle: number }): Point {
  const radians = (angle * Math.PI) / 180
  const [dx, dy] = [x - cx, y - cy]
  return [dx * Math.cos(radians) + dy * Math.sin(radians), dy * Math.cos(radians) - dx * Math.sin(radians)]
}

/** Whether a column-major mask covers a point. */
function isInMask({ width, height, counts }: Extract<Geometry, { type: 'mask' }>, [x, y]: Point): boolean {
  const [column, row] = [Math.floor(x), Math.floor(y)]
  if (column < 0 || row < 0 || column >= width || row >= height) return false
  const position = column * height + row
  let end = 0
  for (const [index, count] of counts.entries()) {
    end += count
    if (position < end) return index % 2 === 1
  }
  return false
}

/**
 * Whether a geometry is at a point.
 *
 * @param tolerance - how far lines and points reach, in pixels of the image.
 */
export function isAt(geometry: Geometry, point: Point, tolerance: number): boolean {
  const [x, y] = point
  switch (geometry.type) {
    case 'box':
      return x >= geometry.x1 - tolerance && x <= geometry.x2 + tolerance && y >= geometry.y1 - tolerance && y <= geometry.y2 + tolerance
    case 'rotated_box': {
      const [localX, localY] = toLocal(point, geometry)
      return Math.abs(localX) <= geometry.width / 2 + tolerance && Math.abs(localY) <= geometry.height / 2 + tolerance
    }
    case 'ellipse': {
      const [localX, localY] = toLocal(point, geometry)
      return (localX / (geometry.rx + tolerance)) ** 2 + (localY / (geometry.ry + tolerance)) ** 2 <= 1
    }
    case 'polygon': {
      const rings = geometry.parts.flat()
      return rings.reduce((isInside, ring) => isInside !== isInRing(ring, point), false) || rings.some((ring) => isNearPath(ring, point, tolerance, true))
    }
    case 'mask':
      return isInMask(geometry, point)
    case 'polyline':
      return isNearPath(geometry.points, point, tolerance, false)
    case 'points':
      return geometry.points.some((other) => distance(other, point) <= tolerance)
    case 'keypoints': {
      const [x1, y1, x2, y2] = boundsOf(geometry)
      return x >= x1 - tolerance && x <= x2 + tolerance && y >= y1 - tolerance && y <= y2 + tolerance
    }
  }
}

/** Whether all of a geometry is inside a rectangle. */
export function isWithin(geometry: Geometry, [left, top, right, bottom]: Bounds): boolean {
  const [x1, y1, x2, y2] = boundsOf(geometry)
  return x1 >= left && y1 >= top && x2 <= right && y2 <= bottom
}

/** The corners of a frame, clockwise from its top left. */
export const frameCorners = (frame: { cx: number; cy: number; width: number; height: number; angle: number }): Point[] =>
  boxCorners(frame.cx, frame.cy, frame.width, frame.height, frame.angle)
