/** Draws labelled objects on a 2D canvas that lies over the image. Independent of Vue. */
import { boxCorners, maskRuns, type ClassStyle, type ImageObject, type Point } from './shapes'
import type { ViewTransform } from './viewport'

export interface RenderStyle {
  classes: Map<string, ClassStyle>
  hiddenClasses?: Set<string>
  selectedId?: string | null
  /** Objects that the server has refused. */
  unsavedIds?: ReadonlySet<string>
  hasLabels?: boolean
  lineWidth?: number
  /** Of areas, 0 to 1; each geometry has its own by default. */
  fillOpacity?: number
}

type Context = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D

const DEFAULT_COLOR = '#1f6feb'
const FILL_OPACITY = 0.12
const SELECTED_FILL_OPACITY = 0.3
const MIN_POLYGON_OPACITY = 0.22
const MASK_OPACITY = 0.45
const LABEL_HEIGHT = 16
/** Of the outline of a prediction that is not decided yet and of an object that is not saved, in screen pixels. */
const PREDICTION_DASH = [7, 5]
const PREDICTION_FILL_FACTOR = 0.4

/** A mask has no outline, so it is less transparent than other areas. */
const MASK_FACTOR = 1.8

export const maskOpacity = ({ fillOpacity }: RenderStyle): number => (fillOpacity === undefined ? MASK_OPACITY : Math.min(1, fillOpacity * MASK_FACTOR))

const classColor = (name: string, classes: Map<string, ClassStyle>): string => classes.get(name)?.color ?? DEFAULT_COLOR

/** The objects from the largest to the smallest, so that small ones stay visible on top. */
export function sortForDrawing(objects: readonly ImageObject[]): ImageObject[] {
  const areas = new Map(objects.map((object) => {
    const [x1, y1, x2, y2] = object.bounds
    return [object, (x2 - x1) * (y2 - y1)] as const
  }))
  return [...objects].sort((first, second) => (areas.get(second) ?? 0) - (areas.get(first) ?? 0))
}

/** Draws the objects, the largest first. */
export function drawObjects(context: Context, objects: readonly ImageObject[], view: ViewTransform, style: RenderStyle): void {
  const visible = sortForDrawing(objects.filter((object) => !style.hiddenClasses?.has(object.class)))
  for (const object of visible) drawObject(context, object, view, style)
  if (style.hasLabels) for (const object of visible) drawLabel(context, object, view, style)
}

export function drawObject(context: Context, object: ImageObject, view: ViewTransform, style: RenderStyle): void {
  if (object.accepted !== false && !style.unsavedIds?.has(object.id)) {
    drawShape(context, object, view, style, [])
    return
  }
  context.setLineDash(PREDICTION_DASH)
  drawShape(context, object, view, { ...style, fillOpacity: (style.fillOpacity ?? FILL_OPACITY) * PREDICTION_FILL_FACTOR }, PREDICTION_DASH)
  context.setLineDash([])
}

/** @param dash - of the outline, in screen pixels; the context has it already. */
function drawShape(context: Context, object: ImageObject, view: ViewTransform, style: RenderStyle, dash: readonly number[]): void {
  const color = classColor(object.class, style.classes)
  const isSelected = style.selectedId === object.id
  const toScreen = ([x, y]: Point): Point => [view.x + x * view.scale, view.y + y * view.scale]
  const lineWidth = (style.lineWidth ?? 2) * (isSelected ? 2 : 1)
  context.strokeStyle = color
  context.fillStyle = color
  context.lineWidth = lineWidth
  context.lineJoin = 'round'
  const opacity = style.fillOpacity ?? (isSelected ? SELECTED_FILL_OPACITY : FILL_OPACITY)
  const shape = object.geometry
  switch (shape.type) {
    case 'box': {
      const [x, y] = toScreen([shape.x1, shape.y1])
      const width = (shape.x2 - shape.x1) * view.scale
      const height = (shape.y2 - shape.y1) * view.scale
      context.globalAlpha = opacity
      context.fillRect(x, y, width, height)
      context.globalAlpha = 1
      context.strokeRect(x, y, width, height)
      break
    }
    case 'rotated_box':
      drawRing(context, boxCorners(shape.cx, shape.cy, shape.width, shape.height, shape.angle).map(toScreen), opacity)
      break
    case 'polygon': {
      const path = polygonPath(shape)
      context.save()
      context.translate(view.x, view.y)
      context.scale(view.scale, view.scale)
      context.lineWidth = lineWidth / view.scale
      if (dash.length) context.setLineDash(dash.map((length) => length / view.scale))
      context.globalAlpha = style.fillOpacity ?? Math.max(opacity, MIN_POLYGON_OPACITY)
      context.fill(path, 'evenodd') // rings inside rings are holes
      context.globalAlpha = 1
      context.stroke(path)
      context.restore()
      break
    }
    case 'ellipse': {
      const [x, y] = toScreen([shape.cx, shape.cy])
      const rotation = (shape.angle * Math.PI) / 180
      context.beginPath()
      context.ellipse(x, y, shape.rx * view.scale, shape.ry * view.scale, rotation, 0, 2 * Math.PI)
      fillAndStroke(context, opacity)
      break
    }
    case 'mask':
      context.globalAlpha = maskOpacity(style)
      drawMask(context, shape, view, color)
      context.globalAlpha = 1
      break
    case 'polyline':
      drawLine(context, shape.points.map(toScreen))
      break
    case 'points':
      for (const point of shape.points) drawDot(context, toScreen(point), true)
      break
    case 'keypoints':
      for (const [start, end] of style.classes.get(object.class)?.skeleton ?? []) {
        const startPoint = shape.points[start]
        const endPoint = shape.points[end]
        if (startPoint && endPoint && shape.visibility[start] && shape.visibility[end]) {
          drawLine(context, [toScreen(startPoint), toScreen(endPoint)])
        }
      }
      // Visibility as in COCO: 0 is not labelled, 1 is occluded (an open dot), 2 is visible.
      for (const [index, point] of shape.points.entries()) {
        if (shape.visibility[index]) drawDot(context, toScreen(point), shape.visibility[index] === 2)
      }
  }
}

type Polygon = Extract<ImageObject['geometry'], { type: 'polygon' }>
type Mask = Extract<ImageObject['geometry'], { type: 'mask' }>

// Paths and bitmaps are made once for each geometry, in pixels of the image, and used at every zoom.

const polygonPaths = new WeakMap<Polygon, Path2D>()

function polygonPath(polygon: Polygon): Path2D {
  let path = polygonPaths.get(polygon)
  if (!path) {
    path = new Path2D()
    for (const ring of polygon.parts.flat()) {
      ring.forEach(([x, y], index) => (index ? path?.lineTo(x, y) : path?.moveTo(x, y)))
      path.closePath()
    }
    polygonPaths.set(polygon, path)
  }
  return path
}

interface MaskBitmap {
  canvas: OffscreenCanvas
  left: number
  top: number
  color: string
}

/** 256 MB in all. If the masks of an image are more, each time all of them are drawn again from their runs. */
const MAX_MASK_PIXELS = 64_000_000
const maskBitmaps = new Map<Mask, MaskBitmap>() // the least recently drawn first
let maskPixels = 0

function drawMask(context: Context, mask: Mask, view: ViewTransform, color: string): void {
  const bitmap = maskBitmap(mask, color)
  if (bitmap) {
    const { canvas, left, top } = bitmap
    context.imageSmoothingEnabled = view.scale < 1
    context.drawImage(canvas, view.x + left * view.scale, view.y + top * view.scale, canvas.width * view.scale, canvas.height * view.scale)
    return
  }
  for (const [x, top, bottom] of maskRuns(mask.height, mask.counts)) {
    context.fillRect(view.x + x * view.scale, view.y + top * view.scale, Math.max(view.scale, 0.5), (bottom - top) * view.scale)
  }
}

/** The pixels of a mask within its bounds; null if it is empty or too large to keep. */
function maskBitmap(mask: Mask, color: string): MaskBitmap | null {
  const known = maskBitmaps.get(mask)
  if (known?.color === color) {
    maskBitmaps.delete(mask)
    maskBitmaps.set(mask, known)
    return known
  }
  const runs = [...maskRuns(mask.height, mask.counts)]
  let [left, top, right, bottom] = [Infinity, Infinity, 0, 0]
  for (const [x, start, end] of runs) {
    left = Math.min(left, x)
    right = Math.max(right, x + 1)
    top = Math.min(top, start)
    bottom = Math.max(bottom, end)
  }
  const pixels = (right - left) * (bottom - top)
  if (!runs.length || pixels > MAX_MASK_PIXELS / 8) return null
  const canvas = new OffscreenCanvas(right - left, bottom - top)
  const context = canvas.getContext('2d')
  if (!context) return null
  // Written as pixels: a large mask has tens of thousands of runs, too many for a rectangle each.
  const image = context.createImageData(canvas.width, canvas.height)
  const values = new Uint32Array(image.data.buffer)
  for (const [x, start, end] of runs) {
    const stop = (end - top) * canvas.width
    for (let index = (start - top) * canvas.width + x - left; index < stop; index += canvas.width) values[index] = 0xffffffff
  }
  context.putImageData(image, 0, 0)
  context.globalCompositeOperation = 'source-in'
  context.fillStyle = color
  context.fillRect(0, 0, canvas.width, canvas.height)
  const bitmap = { canvas, left, top, color }
  if (!known) maskPixels += pixels
  maskBitmaps.set(mask, bitmap)
  for (const [oldest, { canvas: { width, height } }] of maskBitmaps) {
    if (maskPixels <= MAX_MASK_PIXELS) break
    maskBitmaps.delete(oldest)
    maskPixels -= width * height
  }
  return bitmap
}

function tracePath(context: Context, points: Point[]): void {
  points.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)))
}

function drawLine(context: Context, points: Point[]): void {
  context.beginPath()
  tracePath(context, points)
  context.stroke()
}

function drawRing(context: Context, ring: Point[], opacity: number): void {
  context.beginPath()
  tracePath(context, ring)
  context.closePath()
  fillAndStroke(context, opacity)
}

function fillAndStroke(context: Context, opacity: number): void {
  context.globalAlpha = opacity
  context.fill()
  context.globalAlpha = 1
  context.stroke()
}

function drawDot(context: Context, [x, y]: Point, isFilled: boolean): void {
  context.beginPath()
  context.arc(x, y, 3, 0, 2 * Math.PI)
  if (isFilled) context.fill()
  context.stroke()
}

const LABEL_FONT = '600 11px system-ui, sans-serif'
const MAX_MEASURED_TEXTS = 10_000
const textWidths = new Map<string, number>()

function measureLabel(context: Context, text: string): number {
  let width = textWidths.get(text)
  if (width === undefined) {
    width = context.measureText(text).width
    if (textWidths.size >= MAX_MEASURED_TEXTS) textWidths.clear()
    textWidths.set(text, width)
  }
  return width
}

const MAX_LABEL_LENGTH = 24

/** The text of a label. Long class names are cut, since they would cover other objects; lists show them in full. */
export function labelText({ class: name, score }: Pick<ImageObject, 'class' | 'score'>): string {
  const characters = [...name]
  const shown = characters.length > MAX_LABEL_LENGTH ? `${characters.slice(0, MAX_LABEL_LENGTH - 1).join('')}…` : name
  return score === null ? shown : `${shown} ${score.toFixed(2)}`
}

export function drawLabel(context: Context, object: ImageObject, view: ViewTransform, style: RenderStyle): void {
  const name = style.classes.get(object.class)?.name ?? object.class
  const text = labelText({ class: name, score: object.score })
  const color = classColor(object.class, style.classes)
  context.font = LABEL_FONT
  const width = measureLabel(context, text) + 8
  const x = view.x + object.bounds[0] * view.scale
  const y = Math.max(0, view.y + object.bounds[1] * view.scale - LABEL_HEIGHT)
  context.fillStyle = color
  context.fillRect(x - 1, y, width, LABEL_HEIGHT)
  context.fillStyle = isLightColor(color) ? '#000' : '#fff'
  context.fillText(text, x + 3, y + 12)
}

/** Whether black text has more contrast on a colour (#rrggbb) than white, by the relative luminance of WCAG 2. */
export function isLightColor(color: string): boolean {
  const rgb = Number.parseInt(color.slice(1), 16)
  const linear = [rgb >> 16, (rgb >> 8) & 255, rgb & 255].map((channel) => {
    const value = channel / 255
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * (linear[0] ?? 0) + 0.7152 * (linear[1] ?? 0) + 0.0722 * (linear[2] ?? 0) > 0.179
}
