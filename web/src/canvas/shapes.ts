/** Labelled objects as the API returns them, and geometry on them. Independent of Vue. */

export type Point = [number, number]

export type Geometry =
  | { type: 'box'; x1: number; y1: number; x2: number; y2: number }
  | { type: 'rotated_box'; cx: number; cy: number; width: number; height: number; angle: number }
  | { type: 'polygon'; parts: Point[][][] }
  | { type: 'mask'; width: number; height: number; counts: number[] }
  | { type: 'polyline'; points: Point[] }
  | { type: 'points'; points: Point[] }
  | { type: 'keypoints'; points: Point[]; visibility: number[]; box: { x1: number; y1: number; x2: number; y2: number } | null }
  | { type: 'ellipse'; cx: number; cy: number; rx: number; ry: number; angle: number }

/** An object of an image. Coordinates are absolute pixels; `bounds` is x1, y1, x2, y2. */
export interface ImageObject {
  id: string
  class: string
  score: number | null
  track: string | null
  geometry: Geometry
  bounds: [number, number, number, number]
  attributes: Record<string, unknown>
  /** False for a prediction that is not decided yet. */
  accepted?: boolean
}

/** How the objects of a class are drawn. `skeleton` holds pairs of keypoint indices. */
export interface ClassStyle {
  name: string
  color: string
  skeleton: [number, number][]
}

/** The corners of a box rotated clockwise by `angle` degrees, clockwise from its top left. */
export function boxCorners(cx: number, cy: number, width: number, height: number, angle: number): Point[] {
  const radians = (angle * Math.PI) / 180
  const cos = Math.cos(radians)
  const sin = Math.sin(radians)
  const unitCorners: Point[] = [[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]
  return unitCorners.map(([unitX, unitY]) => {
    const dx = unitX * width
    const dy = unitY * height
    return [cx + dx * cos - dy * sin, cy + dx * sin + dy * cos]
  })
}

/** Decodes run lengths (column-major, background first, as in COCO) into vertical runs: x, first y, end y. */
export function* maskRuns(height: number, counts: number[]): Generator<[number, number, number]> {
  let position = 0
  for (const [index, count] of counts.entries()) {
    if (index % 2 === 1) {
      let start = position
      const end = position + count
      while (start < end && height > 0) {
        const x = Math.floor(start / height)
        const columnEnd = Math.min(end, (x + 1) * height)
        yield [x, start - x * height, columnEnd - x * height]
        start = columnEnd
      }
    }
    position += count
  }
}

/** The object whose bounds contain a point. Of several, the smallest: a large one would hide those inside it. */
export function objectAt(objects: ImageObject[], x: number, y: number): ImageObject | null {
  let smallest: ImageObject | null = null
  let smallestArea = Infinity
  for (const object of objects) {
    const [x1, y1, x2, y2] = object.bounds
    const area = (x2 - x1) * (y2 - y1)
    if (x >= x1 && x <= x2 && y >= y1 && y <= y2 && area < smallestArea) {
      smallest = object
      smallestArea = area
    }
  }
  return smallest
}
