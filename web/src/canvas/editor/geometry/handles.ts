/** Handles to change a geometry, and what dragging them does. Independent of Vue. */
import type { Geometry, Point } from '../../shapes'
import { frameOf, type Bounds, type Frame } from './bounds'
import { distance, frameCorners } from './hit'
import { canRotate } from './transform'

/** What a handle changes; `position` is where it is in the image. */
export type Handle =
  | { kind: 'frame'; side: Point; position: Point }
  | { kind: 'rotate'; position: Point }
  | { kind: 'vertex'; path: number; index: number; position: Point }
  /** Between two vertices; the new one comes at `index`. */
  | { kind: 'middle'; path: number; index: number; position: Point }

/** In screen pixels. */
const FRAME_MARGIN = 12 // around geometries that have handles at their points
const ROTATION_DISTANCE = 24
const MIN_SIDE_FOR_EDGES = 40 // a shorter side has no handle in its middle
const MIN_FRAME = 24
const MIN_SPACING = 8 // on average
const MIN_SEGMENT_FOR_MIDDLE = 24

const SIDES: Point[] = [[-1, -1], [1, -1], [1, 1], [-1, 1], [0, -1], [1, 0], [0, 1], [-1, 0]]

/** The paths of a geometry whose points are dragged one by one: rings, or a line, or points. */
export function pathsOf(geometry: Geometry): Point[][] {
  if (geometry.type === 'polygon') return geometry.parts.flat()
  return 'points' in geometry ? [geometry.points] : []
}

/** Replaces one of the paths. A hole with fewer than three points is removed, and a part with its outer ring. */
export function withPath<T extends Geometry>(geometry: T, path: number, points: Point[]): T {
  if (geometry.type !== 'polygon') return { ...geometry, points }
  let index = -1
  const parts = geometry.parts.map((part) =>
    part.map((ring) => {
      index += 1
      return index === path ? points : ring
    }),
  )
  const complete = parts.filter(([outer]) => outer && outer.length >= 3).map((part) => part.filter((ring) => ring.length >= 3))
  return { ...geometry, parts: complete }
}

/** The point of a frame at a side, with a margin around it in pixels of the image. */
export function framePoint(frame: Frame, [sideX, sideY]: Point, margin: number): Point {
  const radians = (frame.angle * Math.PI) / 180
  const [x, y] = [sideX * (frame.width / 2 + margin), sideY * (frame.height / 2 + margin)]
  return [frame.cx + x * Math.cos(radians) - y * Math.sin(radians), frame.cy + x * Math.sin(radians) + y * Math.cos(radians)]
}

function frameHandles(frame: Frame, scale: number, margin: number, hasEdges: boolean): Handle[] {
  return SIDES.filter(([sideX, sideY]) => {
    if (sideX && sideY) return true
    return hasEdges && (sideX ? frame.height : frame.width) * scale >= MIN_SIDE_FOR_EDGES
  }).map((side) => ({ kind: 'frame', side, position: framePoint(frame, side, margin / scale) }))
}

const rotationHandle = (frame: Frame, scale: number, margin: number): Handle => ({
  kind: 'rotate', position: framePoint(frame, [0, -1], (margin + ROTATION_DISTANCE) / scale),
})

/** How far the frame with the handles is from the geometry, in screen pixels. */
export const frameMargin = (geometry: Geometry): number => (pathsOf(geometry).length ? FRAME_MARGIN : 0)

/**
 * The handles of one object; the first of several at a point is the one to take.
 *
 * @param scale - screen pixels per image pixel: handles keep their size on the screen.
 */
export function handlesOf(geometry: Geometry, scale: number): Handle[] {
  if (geometry.type === 'mask') return []
  const frame = frameOf(geometry)
  // Handles must not cover a small object, which could then not be moved.
  const margin = Math.max(0, (MIN_FRAME - Math.min(frame.width, frame.height) * scale) / 2)
  if (geometry.type === 'box') return frameHandles(frame, scale, margin, true)
  if (geometry.type === 'rotated_box' || geometry.type === 'ellipse') {
    return [...frameHandles(frame, scale, margin, true), rotationHandle(frame, scale, margin)]
  }
  const handles: Handle[] = []
  if (hasRoomForPoints(geometry, frame, scale)) handles.push(...pointHandles(geometry))
  if (geometry.type === 'polygon' || geometry.type === 'polyline') handles.push(...middleHandles(geometry, scale))
  if (Math.max(frame.width, frame.height) * scale > 2 * FRAME_MARGIN) {
    handles.push(...frameHandles(frame, scale, FRAME_MARGIN, false), rotationHandle(frame, scale, FRAME_MARGIN))
  }
  return handles
}

function pointHandles(geometry: Geometry): Handle[] {
  return pathsOf(geometry).flatMap((points, path) =>
    points.map((position, index): Handle => ({ kind: 'vertex', path, index, position })).filter((_, index) => geometry.type !== 'keypoints' || geometry.visibility[index]),
  )
}

/** Whether handles at the points would leave something of the geometry to be seen and pressed. */
function hasRoomForPoints(geometry: Geometry, frame: Frame, scale: number): boolean {
  if (geometry.type === 'points') return true
  if (geometry.type === 'keypoints') return Math.max(frame.width, frame.height) * scale >= MIN_FRAME
  let length = 0
  let count = 0
  for (const points of pathsOf(geometry)) {
    count += points.length
    points.forEach((point, index) => (length += index ? distance(point, points[index - 1] as Point) : 0))
  }
  return length * scale >= count * MIN_SPACING
}

function middleHandles(geometry: Geometry, scale: number): Handle[] {
  const handles: Handle[] = []
  pathsOf(geometry).forEach((points, path) => {
    points.forEach((start, index) => {
      const end = points[index + 1] ?? (geometry.type === 'polygon' ? points[0] : undefined)
      if (!end || distance(start, end) * scale < MIN_SEGMENT_FOR_MIDDLE) return
      handles.push({ kind: 'middle', path, index: index + 1, position: [(start[0] + end[0]) / 2, (start[1] + end[1]) / 2] })
    })
  })
  return handles
}

/** The handles of a selection of several objects. */
export function groupHandles(frame: Frame, geometries: readonly Geometry[], scale: number): Handle[] {
  const handles = geometries.some(({ type }) => type === 'mask') ? [] : frameHandles(frame, scale, FRAME_MARGIN, true)
  if (geometries.every(canRotate)) handles.push(rotationHandle(frame, scale, FRAME_MARGIN))
  return handles
}

/** The handle at a point, within a distance in pixels of the image. */
export function handleAt(handles: readonly Handle[], point: Point, reach: number): Handle | null {
  let nearest: Handle | null = null
  let nearestDistance = reach
  for (const handle of handles) {
    const length = distance(handle.position, point)
    if (length < nearestDistance) {
      nearest = handle
      nearestDistance = length
    }
  }
  return nearest
}

const RESIZE_CURSORS = ['ew-resize', 'nwse-resize', 'ns-resize', 'nesw-resize']

export function handleCursor(handle: Handle, angle: number): string {
  if (handle.kind === 'rotate') return 'grab'
  if (handle.kind === 'vertex') return 'move'
  if (handle.kind === 'middle') return 'copy'
  const direction = (Math.atan2(handle.side[1], handle.side[0]) * 180) / Math.PI + angle
  return RESIZE_CURSORS[(((Math.round(direction / 45) % 4) + 4) % 4)] as string
}

/** The outline of a frame with a margin in screen pixels, as its corners. */
export const frameOutline = (frame: Frame, scale: number, margin: number): Point[] =>
  frameCorners({ ...frame, width: frame.width + (2 * margin) / scale, height: frame.height + (2 * margin) / scale })

export const isInsideBounds = ([x1, y1, x2, y2]: Bounds, [x, y]: Point): boolean => x >= x1 && x <= x2 && y >= y1 && y <= y2
