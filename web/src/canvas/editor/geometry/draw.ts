/** Geometries from what is drawn with the pointer. Independent of Vue. */
import type { Point } from '../../shapes'
import { boundsBetween, type Bounds } from './bounds'

/**
 * The rectangle that a drag draws.
 *
 * @param anchor - where the drag began: a corner, or the centre.
 * @param size - the image in which the rectangle must stay; null for no limit.
 */
export function dragBounds(
  [anchorX, anchorY]: Point, [x, y]: Point, { isSquare, isFromCentre, size }: { isSquare: boolean; isFromCentre: boolean; size: [number, number] | null },
): Bounds {
  let dx = x - anchorX
  let dy = y - anchorY
  const [signX, signY] = [dx < 0 ? -1 : 1, dy < 0 ? -1 : 1]
  /** How far the rectangle may reach from the anchor. */
  const limit = (anchor: number, sign: number, length: number | undefined): number => {
    if (length === undefined) return Infinity
    if (isFromCentre) return Math.min(anchor, length - anchor)
    return sign < 0 ? anchor : length - anchor
  }
  const limitX = Math.max(0, limit(anchorX, signX, size?.[0]))
  const limitY = Math.max(0, limit(anchorY, signY, size?.[1]))
  if (isSquare) {
    const side = Math.min(Math.max(Math.abs(dx), Math.abs(dy)), limitX, limitY)
    dx = side * signX
    dy = side * signY
  } else {
    dx = Math.min(Math.abs(dx), limitX) * signX
    dy = Math.min(Math.abs(dy), limitY) * signY
  }
  return boundsBetween(isFromCentre ? [anchorX - dx, anchorY - dy] : [anchorX, anchorY], [anchorX + dx, anchorY + dy])
}
