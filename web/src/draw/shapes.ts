/** What the server says of an object, and what is drawn of it. Nothing here knows of the page. */

export type Point = [number, number]

export type Shape =
  | { type: 'box'; x1: number; y1: number; x2: number; y2: number }
  | { type: 'rotated_box'; cx: number; cy: number; width: number; height: number; angle: number }
  | { type: 'polygon'; parts: Point[][][] }
  | { type: 'mask'; width: number; height: number; counts: number[] }
  | { type: 'polyline'; points: Point[] }
  | { type: 'points'; points: Point[] }
  | { type: 'keypoints'; points: Point[]; visibility: number[]; box: { x1: number; y1: number; x2: number; y2: number } | null }
  | { type: 'ellipse'; cx: number; cy: number; rx: number; ry: number; angle: number }

export interface Thing {
  id: string
  class: string
  score: number | null
  track: string | null
  geometry: Shape
  bounds: [number, number, number, number]
  attributes: Record<string, unknown>
}

export interface ClassLook {
  name: string
  color: string
  skeleton: [number, number][]
}

/** The corners of a box that is turned clockwise by degrees. */
export function corners(cx: number, cy: number, width: number, height: number, angle: number): Point[] {
  const turn = (angle * Math.PI) / 180
  const [cos, sin] = [Math.cos(turn), Math.sin(turn)]
  const half: Point[] = [[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]
  return half.map(([fx, fy]) => {
    const [dx, dy] = [fx * width, fy * height]
    return [cx + dx * cos - dy * sin, cy + dx * sin + dy * cos]
  })
}

/** The vertical runs of a mask as x, y from, y to: its counts go down the columns, beginning with background. */
export function* maskRuns(height: number, counts: number[]): Generator<[number, number, number]> {
  let at = 0
  for (const [index, count] of counts.entries()) {
    if (index % 2 === 1) {
      let from = at
      const end = at + count
      while (from < end && height > 0) {
        const x = Math.floor(from / height)
        const to = Math.min(end, (x + 1) * height)
        yield [x, from - x * height, to - x * height]
        from = to
      }
    }
    at += count
  }
}

/** Whether a point lies in the bounds of a thing, and how large those are: of several the smallest is meant. */
export function hit(things: Thing[], x: number, y: number): Thing | null {
  let found: Thing | null = null
  let least = Infinity
  for (const thing of things) {
    const [x1, y1, x2, y2] = thing.bounds
    const area = (x2 - x1) * (y2 - y1)
    if (x >= x1 && x <= x2 && y >= y1 && y <= y2 && area < least) [found, least] = [thing, area]
  }
  return found
}
