/** The transform from image to screen, and zooming and panning. Independent of Vue. */

/** Screen pixels per image pixel, and the screen position of the image's top-left corner. */
export interface ViewTransform {
  scale: number
  x: number
  y: number
}

export interface ViewportSizes {
  image: [number, number]
  view: [number, number]
}

/** A tile of an image pyramid. Level 0 is full resolution; each further level halves it. */
export interface ImageTile {
  level: number
  x: number
  y: number
  left: number
  top: number
  size: number
}

const MAX_SCALE = 40

/** The transform that shows the whole image, centred. */
export function fit({ image, view }: ViewportSizes, margin = 12): ViewTransform {
  const scale = Math.min((view[0] - 2 * margin) / image[0], (view[1] - 2 * margin) / image[1])
  return { scale, x: (view[0] - image[0] * scale) / 2, y: (view[1] - image[1] * scale) / 2 }
}

/** Zooms by a factor, keeping the image point under the pointer (x, y) in place. */
export function zoomAt(transform: ViewTransform, factor: number, x: number, y: number, minScale: number): ViewTransform {
  const scale = Math.min(MAX_SCALE, Math.max(minScale, transform.scale * factor))
  const ratio = scale / transform.scale
  return { scale, x: x - (x - transform.x) * ratio, y: y - (y - transform.y) * ratio }
}

/** Moves the image, but keeps at least `minVisible` pixels of it on the screen. */
export function pan(transform: ViewTransform, dx: number, dy: number, { image, view }: ViewportSizes, minVisible = 40): ViewTransform {
  const clamp = (offset: number, imageLength: number, viewLength: number): number =>
    Math.min(viewLength - minVisible, Math.max(minVisible - imageLength, offset))
  return {
    scale: transform.scale,
    x: clamp(transform.x + dx, image[0] * transform.scale, view[0]),
    y: clamp(transform.y + dy, image[1] * transform.scale, view[1]),
  }
}

export const screenToImage = (transform: ViewTransform, x: number, y: number): [number, number] => [
  (x - transform.x) / transform.scale,
  (y - transform.y) / transform.scale,
]

/** The tiles that cover the visible part of the image, at the level that matches the zoom. */
export function visibleTiles(transform: ViewTransform, { image, view }: ViewportSizes, tileSize: number, pixelRatio: number): ImageTile[] {
  const lastLevel = Math.max(0, Math.ceil(Math.log2(Math.max(image[0], image[1]) / tileSize)))
  const level = Math.min(lastLevel, Math.max(0, Math.floor(Math.log2(1 / (transform.scale * pixelRatio)))))
  const size = tileSize * 2 ** level
  const [x1, y1] = screenToImage(transform, 0, 0)
  const [x2, y2] = screenToImage(transform, view[0], view[1])
  const tiles: ImageTile[] = []
  for (let y = Math.max(0, Math.floor(y1 / size)); y * size < Math.min(y2, image[1]); y += 1) {
    for (let x = Math.max(0, Math.floor(x1 / size)); x * size < Math.min(x2, image[0]); x += 1) {
      tiles.push({ level, x, y, left: x * size, top: y * size, size })
    }
  }
  return tiles
}
