/** Draws labelled objects on a 2D canvas that lies over the image. Independent of Vue. */
import { boxCorners, maskRuns, type ClassStyle, type ImageObject, type Point } from './shapes'
import type { ViewTransform } from './viewport'

export interface RenderStyle {
  classes: Map<string, ClassStyle>
  hiddenClasses?: Set<string>
  selectedId?: string | null
  hasLabels?: boolean
  lineWidth?: number
}

type Context = CanvasRenderingContext2D

const DEFAULT_COLOR = '#1f6feb'
const FILL_OPACITY = 0.12
const SELECTED_FILL_OPACITY = 0.3
const MIN_POLYGON_OPACITY = 0.22
const MASK_OPACITY = 0.45
const LABEL_HEIGHT = 16

const classColor = (name: string, classes: Map<string, ClassStyle>): string => classes.get(name)?.color ?? DEFAULT_COLOR

/** Draws the objects, the largest first, so that small ones stay visible on top. */
export function drawObjects(context: Context, objects: ImageObject[], view: ViewTransform, style: RenderStyle): void {
  const visible = objects.filter((object) => !style.hiddenClasses?.has(object.class))
  const area = ({ bounds: [x1, y1, x2, y2] }: ImageObject): number => (x2 - x1) * (y2 - y1)
  visible.sort((first, second) => area(second) - area(first))
  for (const object of visible) drawObject(context, object, view, style)
  if (style.hasLabels) for (const object of visible) drawLabel(context, object, view, style)
}

function drawObject(context: Context, object: ImageObject, view: ViewTransform, style: RenderStyle): void {
  const color = classColor(object.class, style.classes)
  const isSelected = style.selectedId === object.id
  const toScreen = ([x, y]: Point): Point => [view.x + x * view.scale, view.y + y * view.scale]
  context.strokeStyle = color
  context.fillStyle = color
  context.lineWidth = (style.lineWidth ?? 2) * (isSelected ? 2 : 1)
  context.lineJoin = 'round'
  const opacity = isSelected ? SELECTED_FILL_OPACITY : FILL_OPACITY
  const shape = object.geometry
  switch (shape.type) {
    case 'box': {
      const corners: Point[] = [[shape.x1, shape.y1], [shape.x2, shape.y1], [shape.x2, shape.y2], [shape.x1, shape.y2]]
      drawRings(context, [corners.map(toScreen)], opacity)
      break
    }
    case 'rotated_box':
      drawRings(context, [boxCorners(shape.cx, shape.cy, shape.width, shape.height, shape.angle).map(toScreen)], opacity)
      break
    case 'polygon':
      for (const part of shape.parts) {
        drawRings(context, part.map((ring) => ring.map(toScreen)), Math.max(opacity, MIN_POLYGON_OPACITY))
      }
      break
    case 'ellipse': {
      const [x, y] = toScreen([shape.cx, shape.cy])
      const rotation = (shape.angle * Math.PI) / 180
      context.beginPath()
      context.ellipse(x, y, shape.rx * view.scale, shape.ry * view.scale, rotation, 0, 2 * Math.PI)
      fillAndStroke(context, opacity)
      break
    }
    case 'mask':
      context.globalAlpha = MASK_OPACITY
      for (const [x, top, bottom] of maskRuns(shape.height, shape.counts)) {
        const [left, screenTop] = toScreen([x, top])
        context.fillRect(left, screenTop, Math.max(view.scale, 0.5), (bottom - top) * view.scale)
      }
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

function tracePath(context: Context, points: Point[]): void {
  points.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)))
}

function drawLine(context: Context, points: Point[]): void {
  context.beginPath()
  tracePath(context, points)
  context.stroke()
}

function drawRings(context: Context, rings: Point[][], opacity: number): void {
  context.beginPath()
  for (const ring of rings) {
    tracePath(context, ring)
    context.closePath()
  }
  fillAndStroke(context, opacity)
}

function fillAndStroke(context: Context, opacity: number): void {
  context.globalAlpha = opacity
  context.fill('evenodd') // rings inside rings are holes
  context.globalAlpha = 1
  context.stroke()
}

function drawDot(context: Context, [x, y]: Point, isFilled: boolean): void {
  context.beginPath()
  context.arc(x, y, 3, 0, 2 * Math.PI)
  if (isFilled) context.fill()
  context.stroke()
}

function drawLabel(context: Context, object: ImageObject, view: ViewTransform, style: RenderStyle): void {
  const text = object.score === null ? object.class : `${object.class} ${object.score.toFixed(2)}`
  const color = classColor(object.class, style.classes)
  context.font = '600 11px system-ui, sans-serif'
  const width = context.measureText(text).width + 8
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
