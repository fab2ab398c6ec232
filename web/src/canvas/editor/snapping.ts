/** Points that are attracted by the outlines of other objects, so that neighbours share a border. Independent of Vue. */
import type { Geometry, Point } from '../shapes'
import { distance, frameCorners, nearestOnSegment } from './geometry/hit'
import type { Scene } from './scene'

interface Outline {
  points: Point[]
  isClosed: boolean
}

function outlinesOf(geometry: Geometry): Outline[] {
  switch (geometry.type) {
    case 'polygon':
      return geometry.parts.flat().map((points) => ({ points, isClosed: true }))
    case 'polyline':
      return [{ points: geometry.points, isClosed: false }]
    case 'box': {
      const { x1, y1, x2, y2 } = geometry
      return [{ points: [[x1, y1], [x2, y1], [x2, y2], [x1, y2]], isClosed: true }]
    }
    case 'rotated_box':
      return [{ points: frameCorners(geometry), isClosed: true }]
    default:
      return []
  }
}

/**
 * The nearest vertex of another object within reach, or else the nearest point of an edge, or else the point itself.
 *
 * @param reach - in pixels of the image.
 * @param exceptId - the object that is being changed.
 */
export function snapToNeighbours(scene: Scene, point: Point, reach: number, exceptId: string | null = null): Point {
  const [x, y] = point
  let vertex: Point | null = null
  let edge: Point | null = null
  let vertexDistance = reach
  let edgeDistance = reach
  for (const { id, geometry } of scene.touching([x - reach, y - reach, x + reach, y + reach])) {
    if (id === exceptId) continue
    for (const { points, isClosed } of outlinesOf(geometry)) {
      points.forEach((end, index) => {
        const length = distance(end, point)
        if (length <= vertexDistance) {
          vertex = end
          vertexDistance = length
        }
        const start = index ? points[index - 1] : isClosed ? points.at(-1) : undefined
        if (!start) return
        const nearest = nearestOnSegment(point, start, end)
        const edgeLength = distance(nearest, point)
        if (edgeLength <= edgeDistance) {
          edge = nearest
          edgeDistance = edgeLength
        }
      })
    }
  }
  return vertex ?? edge ?? point
}
