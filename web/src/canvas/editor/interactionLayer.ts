/** What follows the pointer: the selected objects with their handles, what is being drawn, and other people's marks. Independent of Vue. */
import { drawLabel, drawObject, maskOpacity, type RenderStyle } from '../objectRenderer'
import type { Geometry, Point } from '../shapes'
import type { ViewTransform } from '../viewport'
import { boundsOf, type Bounds, type Frame } from './geometry/bounds'
import { frameCorners } from './geometry/hit'
import type { Handle } from './geometry/handles'
import type { EditorPresence } from './types'
import type { SceneObject } from './scene'

const ACCENT = '#ffffff'
const CONTRAST = '#10151c'
const PRESENCE_MARGIN = 5
const LABEL_HEIGHT = 18
const FONT = '600 11px system-ui, sans-serif'

/** Draws in screen pixels; positions are given in the image. */
export class Drawing {
  /** Whether nothing has been drawn. */
  isEmpty = true

  constructor(
    private readonly target: CanvasRenderingContext2D,
    readonly view: ViewTransform,
    readonly size: [number, number],
    readonly style: RenderStyle,
    readonly handleSize: number,
  ) {}

  /** The context to draw on. */
  get context(): CanvasRenderingContext2D {
    this.isEmpty = false
    return this.target
  }

  toScreen([x, y]: Point): Point {
    return [this.view.x + x * this.view.scale, this.view.y + y * this.view.scale]
  }

  colorOf(classId: string): string {
    return this.style.classes.get(classId)?.color ?? '#1f6feb'
  }

  object(object: SceneObject, geometry: Geometry): void {
    const style = { ...this.style, selectedId: object.id }
    const drawn = geometry === object.geometry ? object : { ...object, geometry, bounds: boundsOf(geometry) }
    drawObject(this.context, drawn, this.view, style)
    if (style.hasLabels || drawn.accepted === false) drawLabel(this.context, drawn, this.view, style)
  }

  /** A geometry that is not an object yet. */
  draft(geometry: Geometry, classId: string): void {
    const object = { id: '', class: classId, score: null, track: null, attributes: {}, geometry, bounds: boundsOf(geometry) }
    drawObject(this.context, object, this.view, { ...this.style, selectedId: '' })
  }

  /** Many rectangles in one path. */
  outlines(rectangles: Iterable<Bounds>): void {
    const { context, view } = this
    context.beginPath()
    for (const [x1, y1, x2, y2] of rectangles) {
      const [left, top] = this.toScreen([x1, y1])
      context.rect(left, top, (x2 - x1) * view.scale, (y2 - y1) * view.scale)
    }
    this.strokeTwice(1)
  }

  frame(frame: Frame, margin: number): void {
    const { context, view } = this
    const padding = (2 * margin) / view.scale
    this.trace(frameCorners({ ...frame, width: frame.width + padding, height: frame.height + padding }), true)
    context.setLineDash([4, 4])
    this.strokeTwice(1)
    context.setLineDash([])
  }

  handles(handles: readonly Handle[], active: Handle | null = null): void {
    if (!handles.length) return
    const { context, handleSize } = this
    for (const handle of handles) {
      const [x, y] = this.toScreen(handle.position)
      const isActive = active === handle
      const size = isActive ? handleSize + 3 : handleSize
      context.beginPath()
      if (handle.kind === 'frame') context.rect(x - size / 2, y - size / 2, size, size)
      else context.arc(x, y, handle.kind === 'middle' ? size / 3 : size / 2, 0, 2 * Math.PI)
      context.globalAlpha = handle.kind === 'middle' && !isActive ? 0.65 : 1
      context.fillStyle = isActive ? '#1f6feb' : ACCENT
      context.fill()
      context.lineWidth = 1.5
      context.strokeStyle = isActive ? ACCENT : CONTRAST
      context.stroke()
      context.globalAlpha = 1
    }
  }

  path(points: readonly Point[], color: string, isClosed = false): void {
    this.trace(points, isClosed)
    this.context.strokeStyle = color
    this.context.lineWidth = 2
    this.context.lineJoin = 'round'
    this.context.stroke()
  }

  dot(point: Point, size: number, fill: string, stroke = CONTRAST): void {
    const { context } = this
    const [x, y] = this.toScreen(point)
    context.beginPath()
    context.arc(x, y, size / 2, 0, 2 * Math.PI)
    context.fillStyle = fill
    context.fill()
    context.lineWidth = 1.5
    context.strokeStyle = stroke
    context.stroke()
  }

  /** The cursor of a brush, whose size is that of its mark. */
  brush(point: Point, radius: number, isErasing: boolean): void {
    const { context, view } = this
    const [x, y] = this.toScreen(point)
    context.beginPath()
    context.arc(x, y, Math.max(1, radius * view.scale), 0, 2 * Math.PI)
    if (isErasing) context.setLineDash([4, 3])
    this.strokeTwice(1)
    context.setLineDash([])
    context.fillStyle = ACCENT
    context.fillRect(x - 1, y - 1, 2, 2)
  }

  /** A mask with a brush stroke that is not applied yet. */
  stroke(object: SceneObject | null, classId: string, points: readonly Point[], radius: number, isErasing: boolean): void {
    const { context, view, size } = this
    const pixelRatio = context.getTransform().a
    const layer = new OffscreenCanvas(Math.max(1, Math.round(size[0] * pixelRatio)), Math.max(1, Math.round(size[1] * pixelRatio)))
    const layerContext = layer.getContext('2d')
    if (!layerContext) return
    layerContext.scale(pixelRatio, pixelRatio)
    // Opaque first, so that the mask and the stroke do not add up where both are.
    if (object) drawObject(layerContext, object, view, { ...this.style, fillOpacity: 1 })
    layerContext.globalCompositeOperation = isErasing ? 'destination-out' : 'source-over'
    layerContext.globalAlpha = 1
    layerContext.strokeStyle = this.colorOf(classId)
    layerContext.lineWidth = Math.max(1, 2 * radius * view.scale)
    layerContext.lineCap = 'round'
    layerContext.lineJoin = 'round'
    layerContext.beginPath()
    const [first, ...others] = points.map((point) => this.toScreen(point))
    if (first) {
      layerContext.moveTo(...first)
      for (const point of others.length ? others : [first]) layerContext.lineTo(...point)
    }
    layerContext.stroke()
    context.globalAlpha = maskOpacity(this.style)
    context.drawImage(layer, 0, 0, size[0], size[1])
    context.globalAlpha = 1
  }

  /** A short text beside a point. */
  text(text: string, point: Point): void {
    if (!text) return
    const { context } = this
    const [x, y] = this.toScreen(point)
    context.font = FONT
    const width = context.measureText(text).width + 12
    context.fillStyle = CONTRAST
    context.globalAlpha = 0.85
    context.fillRect(x + 10, y + 10, width, LABEL_HEIGHT)
    context.globalAlpha = 1
    context.fillStyle = ACCENT
    context.fillText(text, x + 16, y + 23)
  }

  /** Lines through a point over the whole area, dark below and light above so that they show on any image. */
  crossHair(point: Point): void {
    const { context, size } = this
    // At the centre of a screen pixel, so that the line is sharp.
    const [x, y] = this.toScreen(point).map((value) => Math.floor(value) + 0.5) as Point
    context.beginPath()
    context.moveTo(x, 0)
    context.lineTo(x, size[1])
    context.moveTo(0, y)
    context.lineTo(size[0], y)
    context.globalAlpha = 0.75
    context.lineWidth = 1
    context.strokeStyle = CONTRAST
    context.stroke()
    context.setLineDash([6, 6])
    context.strokeStyle = ACCENT
    context.stroke()
    context.setLineDash([])
    context.globalAlpha = 1
  }

  /** The rectangle of a marquee selection. */
  marquee([x1, y1, x2, y2]: Bounds): void {
    const { context, view } = this
    const [left, top] = this.toScreen([x1, y1])
    context.beginPath()
    context.rect(left, top, (x2 - x1) * view.scale, (y2 - y1) * view.scale)
    context.fillStyle = 'rgb(31 111 235 / 15%)'
    context.fill()
    context.setLineDash([4, 4])
    this.strokeTwice(1)
    context.setLineDash([])
  }

  /** The mark of another person at an object. */
  presence({ name, color }: EditorPresence, bounds: Bounds): void {
    const { context, view } = this
    const [left, top] = this.toScreen([bounds[0], bounds[1]])
    const [x, y] = [left - PRESENCE_MARGIN, top - PRESENCE_MARGIN]
    context.strokeStyle = color
    context.lineWidth = 2
    context.setLineDash([7, 4])
    context.strokeRect(x, y, (bounds[2] - bounds[0]) * view.scale + 2 * PRESENCE_MARGIN, (bounds[3] - bounds[1]) * view.scale + 2 * PRESENCE_MARGIN)
    context.setLineDash([])
    context.font = FONT
    const width = context.measureText(name).width + 12
    const bottom = this.toScreen([bounds[0], bounds[3]])[1] + PRESENCE_MARGIN
    context.fillStyle = CONTRAST
    context.fillRect(x - 1, bottom, width, LABEL_HEIGHT)
    context.fillStyle = color
    context.fillRect(x - 1, bottom, 4, LABEL_HEIGHT)
    context.fillStyle = ACCENT
    context.fillText(name, x + 7, bottom + 13)
  }

  private trace(points: readonly Point[], isClosed: boolean): void {
    const { context } = this
    context.beginPath()
    points.forEach((point, index) => {
      const [x, y] = this.toScreen(point)
      if (index) context.lineTo(x, y)
      else context.moveTo(x, y)
    })
    if (isClosed) context.closePath()
  }

  /** A light line on a dark one. */
  private strokeTwice(width: number): void {
    const { context } = this
    context.globalAlpha = 0.8
    context.lineWidth = width + 2
    context.strokeStyle = CONTRAST
    context.stroke()
    context.globalAlpha = 1
    context.lineWidth = width
    context.strokeStyle = ACCENT
    context.stroke()
  }
}
