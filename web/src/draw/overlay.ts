/** Draws objects on a canvas that lies over a picture. */
import { corners, maskRuns, type ClassLook, type Point, type Thing } from './shapes'

export interface View {
  /** Canvas pixels for each pixel of the image, and where the image begins. */
  scale: number
  x: number
  y: number
}

export interface Look {
  classes: Map<string, ClassLook>
  hidden?: Set<string>
  chosen?: string | null
  labels?: boolean
  line?: number
  fill?: number
}

const PLAIN = '#1f6feb'

export function colorOf(name: string, classes: Map<string, ClassLook>): string {
  return classes.get(name)?.color ?? PLAIN
}

export function drawThings(context: CanvasRenderingContext2D, things: Thing[], view: View, look: Look): void {
  const shown = things.filter((one) => !look.hidden?.has(one.class))
  const area = (one: Thing) => (one.bounds[2] - one.bounds[0]) * (one.bounds[3] - one.bounds[1])
  shown.sort((one, other) => area(other) - area(one))
  for (const thing of shown) drawThing(context, thing, view, look)
  if (look.labels) for (const thing of shown) drawLabel(context, thing, view, look)
}

function drawThing(context: CanvasRenderingContext2D, thing: Thing, view: View, look: Look): void {
  const color = colorOf(thing.class, look.classes)
  const isChosen = look.chosen === thing.id
  const to = ([x, y]: Point): Point => [view.x + x * view.scale, view.y + y * view.scale]
  context.strokeStyle = color
  context.fillStyle = color
  context.lineWidth = (look.line ?? 2) * (isChosen ? 2 : 1)
  context.lineJoin = 'round'
  const fill = isChosen ? Math.min(1, (look.fill ?? 0.12) * 2.5) : (look.fill ?? 0.12)
  const shape = thing.geometry
  switch (shape.type) {
    case 'box':
      paint(context, [[to([shape.x1, shape.y1]), to([shape.x2, shape.y1]), to([shape.x2, shape.y2]), to([shape.x1, shape.y2])]], fill)
      break
    case 'rotated_box':
      paint(context, [corners(shape.cx, shape.cy, shape.width, shape.height, shape.angle).map(to)], fill)
      break
    case 'polygon':
      for (const part of shape.parts) paint(context, part.map((ring) => ring.map(to)), Math.max(fill, 0.22))
      break
    case 'ellipse': {
      context.beginPath()
      const [x, y] = to([shape.cx, shape.cy])
      context.ellipse(x, y, shape.rx * view.scale, shape.ry * view.scale, (shape.angle * Math.PI) / 180, 0, 2 * Math.PI)
      finish(context, fill)
      break
    }
    case 'mask':
      context.globalAlpha = Math.max(0.45, fill)
      for (const [x, from, until] of maskRuns(shape.height, shape.counts)) {
        context.fillRect(view.x + x * view.scale, view.y + from * view.scale, Math.max(view.scale, 0.5), (until - from) * view.scale)
      }
      context.globalAlpha = 1
      break
    case 'polyline':
      path(context, shape.points.map(to), false)
      context.stroke()
      break
    case 'points':
      for (const point of shape.points) dot(context, to(point), 3, true)
      break
    case 'keypoints':
      for (const [from, until] of look.classes.get(thing.class)?.skeleton ?? []) {
        const [one, other] = [shape.points[from], shape.points[until]]
        if (one && other && shape.visibility[from] && shape.visibility[until]) {
          path(context, [to(one), to(other)], false)
          context.stroke()
        }
      }
      for (const [index, point] of shape.points.entries()) {
        if (shape.visibility[index]) dot(context, to(point), 3, shape.visibility[index] === 2)
      }
  }
}

function path(context: CanvasRenderingContext2D, points: Point[], closed: boolean): void {
  context.beginPath()
  points.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)))
  if (closed) context.closePath()
}

function paint(context: CanvasRenderingContext2D, rings: Point[][], fill: number): void {
  context.beginPath()
  for (const ring of rings) {
    ring.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)))
    context.closePath()
  }
  finish(context, fill)
}

function finish(context: CanvasRenderingContext2D, fill: number): void {
  context.globalAlpha = fill
  context.fill('evenodd')
  context.globalAlpha = 1
  context.stroke()
}

function dot(context: CanvasRenderingContext2D, [x, y]: Point, radius: number, filled: boolean): void {
  context.beginPath()
  context.arc(x, y, radius, 0, 2 * Math.PI)
  if (filled) context.fill()
  context.stroke()
}

function drawLabel(context: CanvasRenderingContext2D, thing: Thing, view: View, look: Look): void {
  const text = thing.score === null ? thing.class : `${thing.class} ${thing.score.toFixed(2)}`
  const color = colorOf(thing.class, look.classes)
  context.font = '600 11px system-ui, sans-serif'
  const width = context.measureText(text).width + 8
  const x = view.x + thing.bounds[0] * view.scale
  const y = Math.max(0, view.y + thing.bounds[1] * view.scale - 16)
  context.fillStyle = color
  context.fillRect(x - 1, y, width, 16)
  context.fillStyle = isLight(color) ? '#000' : '#fff'
  context.fillText(text, x + 3, y + 12)
}

/** Whether black can be read on a colour better than white, as WCAG 2 reckons it. */
export function isLight(color: string): boolean {
  const value = Number.parseInt(color.slice(1), 16)
  const linear = [value >> 16, (value >> 8) & 255, value & 255].map((part) => {
    const share = part / 255
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * (linear[0] ?? 0) + 0.7152 * (linear[1] ?? 0) + 0.0722 * (linear[2] ?? 0) > 0.179
}
