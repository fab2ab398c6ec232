/** How a picture stands in a view: scale and place, and what moving and zooming do to them. */
import type { View } from './overlay'

export interface Sizes {
  image: [number, number]
  view: [number, number]
}

export const MOST = 40

export function fitted({ image, view }: Sizes, margin = 12): View {
  const scale = Math.min((view[0] - 2 * margin) / image[0], (view[1] - 2 * margin) / image[1])
  return { scale, x: (view[0] - image[0] * scale) / 2, y: (view[1] - image[1] * scale) / 2 }
}

/** Zoom so that the point of the picture under the pointer stays there. */
export function zoomed(now: View, by: number, x: number, y: number, least: number): View {
  const scale = Math.min(MOST, Math.max(least, now.scale * by))
  const ratio = scale / now.scale
  return { scale, x: x - (x - now.x) * ratio, y: y - (y - now.y) * ratio }
}

/** Move, but never so far that nothing of the picture is seen. */
export function moved(now: View, dx: number, dy: number, { image, view }: Sizes, kept = 40): View {
  const within = (value: number, length: number, room: number): number => Math.min(room - kept, Math.max(kept - length, value))
  return { scale: now.scale, x: within(now.x + dx, image[0] * now.scale, view[0]), y: within(now.y + dy, image[1] * now.scale, view[1]) }
}

export const toImage = (now: View, x: number, y: number): [number, number] => [(x - now.x) / now.scale, (y - now.y) / now.scale]

/** The squares of a picture that are to be seen: level 0 is the whole of it, each further one halves it. */
export interface Square {
  level: number
  x: number
  y: number
  left: number
  top: number
  side: number
}

export function squares(now: View, { image, view }: Sizes, tile: number, density: number): Square[] {
  const last = Math.max(0, Math.ceil(Math.log2(Math.max(image[0], image[1]) / tile)))
  const level = Math.min(last, Math.max(0, Math.floor(Math.log2(1 / (now.scale * density)))))
  const side = tile * 2 ** level
  const [x1, y1] = toImage(now, 0, 0)
  const [x2, y2] = toImage(now, view[0], view[1])
  const made: Square[] = []
  for (let y = Math.max(0, Math.floor(y1 / side)); y * side < Math.min(y2, image[1]); y += 1) {
    for (let x = Math.max(0, Math.floor(x1 / side)); x * side < Math.min(x2, image[0]); x += 1) {
      made.push({ level, x, y, left: x * side, top: y * side, side })
    }
  }
  return made
}
