/** Moving, resizing and rotating geometries. Independent of Vue. */
import type { Geometry, Point } from '../../shapes'
import { boundsBetween, boundsOf, type Bounds, type Frame } from './bounds'
import { toLocal } from './hit'
import { translateMask } from './mask'

const MIN_SIZE = 1 // pixels of the image

/** Applies a function to all points; only for geometries that consist of points. */
function mapPoints<T extends Geometry & { type: 'polygon' | 'polyline' | 'points' | 'keypoints' }>(geometry: T, map: (point: Point) => Point): T {
  if (geometry.type === 'polygon') return { ...geometry, parts: geometry.parts.map((part) => part.map((ring) => ring.map(map))) }
  if (geometry.type === 'keypoints') {
    const { box } = geometry
    const [x1, y1, x2, y2] = box ? boundsBetween(map([box.x1, box.y1]), map([box.x2, box.y2])) : []
    return { ...geometry, points: geometry.points.map(map), box: box && { ...box, x1, y1, x2, y2 } }
  }
  return { ...geometry, points: geometry.points.map(map) }
}

/** Moves a geometry; a mask by whole pixels. */
export function translate(geometry: Geometry, dx: number, dy: number): Geometry {
  switch (geometry.type) {
    case 'box':
      return { ...geometry, x1: geometry.x1 + dx, y1: geometry.y1 + dy, x2: geometry.x2 + dx, y2: geometry.y2 + dy }
    case 'rotated_box':
    case 'ellipse':
      return { ...geometry, cx: geometry.cx + dx, cy: geometry.cy + dy }
    case 'mask':
      return translateMask(geometry, Math.round(dx), Math.round(dy))
    default:
      return mapPoints(geometry, ([x, y]) => [x + dx, y + dy])
  }
}

/** Shortens a movement so that bounds which are inside the image stay inside; from outside, they may only come nearer. */
export function clampMovement([x1, y1, x2, y2]: Bounds, dx: number, dy: number, [width, height]: [number, number]): Point {
  const clamp = (delta: number, start: number, end: number, size: number): number =>
    Math.min(Math.max(0, size - end), Math.max(Math.min(0, -start), delta))
  return [clamp(dx, x1, x2, width), clamp(dy, y1, y2, height)]
}

/**
 * Resizes a frame by dragging one of its handles to a point. A handle that is dragged over the opposite side mirrors the frame: its width or height
 * becomes negative.
 *
 * @param handle - the side or corner: -1, 0 or 1 across and down.
 */
export function resizeFrame(
  frame: Frame, [handleX, handleY]: Point, point: Point, { keepsRatio = false, isFromCentre = false }: { keepsRatio?: boolean; isFromCentre?: boolean } = {},
): Frame {
  const [localX, localY] = toLocal(point, frame)
  const reach = isFromCentre ? 2 : 1
  const extent = (length: number, handle: number, local: number): number => {
    if (!handle) return length
    const size = isFromCentre ? reach * handle * local : length / 2 + handle * local
    return Math.abs(size) < MIN_SIZE ? (size < 0 ? -MIN_SIZE : MIN_SIZE) : size
  }
  let width = extent(frame.width, handleX, localX)
  let height = extent(frame.height, handleY, localY)
  if (keepsRatio && handleX && handleY && frame.width && frame.height) {
    const scale = Math.max(Math.abs(width / frame.width), Math.abs(height / frame.height))
    width = Math.sign(width) * scale * frame.width
    height = Math.sign(height) * scale * frame.height
  }
  // The opposite side stays in place, or the centre does.
  const shiftX = isFromCentre ? 0 : (handleX * (width - frame.width)) / 2
  const shiftY = isFromCentre ? 0 : (handleY * (height - frame.height)) / 2
  const radians = (frame.angle * Math.PI) / 180
  return {
    cx: frame.cx + shiftX * Math.cos(radians) - shiftY * Math.sin(radians),
    cy: frame.cy + shiftX * Math.sin(radians) + shiftY * Math.cos(radians),
    width,
    height,
    angle: frame.angle,
  }
}

/** Maps a geometry as one frame is mapped to another with the same angle. A mask cannot be resized. */
export function scale(geometry: Geometry, from: Frame, to: Frame): Geometry {
  const scaleX = from.width ? to.width / from.width : 1
  const scaleY = from.height ? to.height / from.height : 1
  const radians = (from.angle * Math.PI) / 180
  const map = (point: Point): Point => {
    const [localX, localY] = toLocal(point, from)
    const [x, y] = [localX * scaleX, localY * scaleY]
    return [to.cx + x * Math.cos(radians) - y * Math.sin(radians), to.cy + x * Math.sin(radians) + y * Math.cos(radians)]
  }
  /** How lengths along the axes of a rotated geometry change: exact if both angles are equal. */
  const lengthFactors = (angle: number): Point => {
    const difference = ((angle - from.angle) * Math.PI) / 180
    const [cos, sin] = [Math.cos(difference), Math.sin(difference)]
    return [Math.hypot(scaleX * cos, scaleY * sin), Math.hypot(scaleX * sin, scaleY * cos)]
  }
  switch (geometry.type) {
    case 'box': {
      const [x1, y1, x2, y2] = boundsBetween(map([geometry.x1, geometry.y1]), map([geometry.x2, geometry.y2]))
      return { ...geometry, x1, y1, x2, y2 }
    }
    case 'rotated_box': {
      const [cx, cy] = map([geometry.cx, geometry.cy])
      const [factorX, factorY] = lengthFactors(geometry.angle)
      return { ...geometry, cx, cy, width: geometry.width * factorX, height: geometry.height * factorY }
    }
    case 'ellipse': {
      const [cx, cy] = map([geometry.cx, geometry.cy])
      const [factorX, factorY] = lengthFactors(geometry.angle)
      return { ...geometry, cx, cy, rx: geometry.rx * factorX, ry: geometry.ry * factorY }
    }
    case 'mask':
      return geometry
    default:
      return mapPoints(geometry, map)
  }
}

/** Whether a geometry can be rotated without becoming one of another type. */
export const canRotate = (geometry: Geometry): boolean => geometry.type !== 'box' && geometry.type !== 'mask'

/** An angle in [0, 360). */
export const normalizeAngle = (angle: number): number => ((angle % 360) + 360) % 360

/** Rotates clockwise around a point. */
export function rotate(geometry: Geometry, [centreX, centreY]: Point, degrees: number): Geometry {
  const radians = (degrees * Math.PI) / 180
  const map = ([x, y]: Point): Point => {
    const [dx, dy] = [x - centreX, y - centreY]
    return [centreX + dx * Math.cos(radians) - dy * Math.sin(radians), centreY + dx * Math.sin(radians) + dy * Math.cos(radians)]
  }
  switch (geometry.type) {
    case 'box':
    case 'mask':
      return geometry
    case 'rotated_box':
    case 'ellipse': {
      const [cx, cy] = map([geometry.cx, geometry.cy])
      return { ...geometry, cx, cy, angle: normalizeAngle(geometry.angle + degrees) }
    }
    case 'keypoints': {
      const rotated = mapPoints({ ...geometry, box: null }, map)
      if (!geometry.box) return rotated
      const [x1, y1, x2, y2] = boundsOf(rotated)
      return { ...rotated, box: { ...geometry.box, x1, y1, x2, y2 } }
    }
    default:
      return mapPoints(geometry, map)
  }
}
