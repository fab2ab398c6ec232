/** Fewer points for lines that were drawn freehand. Independent of Vue. */
import type { Point } from '../../shapes'
import { distance, nearestOnSegment } from './hit'

/**
 * Removes points that are near the line through the others (Ramer 1972, Douglas and Peucker 1973). The first and the last point stay.
 *
 * @param tolerance - how far the line may move, in the unit of the points.
 */
export function simplify(points: readonly Point[], tolerance: number): Point[] {
  if (points.length <= 2) return [...points]
  const isKept = new Uint8Array(points.length)
  isKept[0] = isKept[points.length - 1] = 1
  // A stack of its own: a long stroke would be too deep for calls.
  const ranges: [number, number][] = [[0, points.length - 1]]
  for (let range = ranges.pop(); range; range = ranges.pop()) {
    const [first, last] = range
    let farthest = -1
    let farthestDistance = tolerance
    for (let index = first + 1; index < last; index += 1) {
      const point = points[index] as Point
      const length = distance(point, nearestOnSegment(point, points[first] as Point, points[last] as Point))
      if (length > farthestDistance) {
        farthest = index
        farthestDistance = length
      }
    }
    if (farthest < 0) continue
    isKept[farthest] = 1
    ranges.push([first, farthest], [farthest, last])
  }
  return points.filter((_, index) => isKept[index])
}

/** Without points that are equal to the one before them. */
export const withoutRepeats = (points: readonly Point[]): Point[] =>
  points.filter((point, index) => index === 0 || distance(point, points[index - 1] as Point) > 0)
