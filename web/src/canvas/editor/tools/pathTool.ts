/** Draws polygons, polylines and points, by clicks and freehand. Independent of Vue. */
import type { Geometry, Point } from '../../shapes'
import { boundsOf } from '../geometry/bounds'
import { distance } from '../geometry/hit'
import { simplify, withoutRepeats } from '../geometry/simplify'
import type { EditorPointer } from '../gestures'
import type { Drawing } from '../interactionLayer'
import type { CommandName, HintCode, ToolName } from '../types'
import type { Tool, ToolContext } from './tool'

/** In screen pixels. */
const CLOSE_DISTANCE = 10
const FREEHAND_STEP = 3
const FREEHAND_TOLERANCE = 1
const MIN_SIZE = 3

export interface PathKind {
  name: ToolName
  minPoints: number
  /** The drawing ends with this point. */
  maxPoints?: number
  tooFew: HintCode
  isClosed: boolean
  /** Whether a drag draws a line. */
  isFreehand: boolean
  geometryOf(points: Point[]): Geometry
}

export class PathTool implements Tool {
  readonly name: ToolName
  /** Each click and each freehand stroke, so that one of them is removed at a time. */
  private steps: Point[][] = []
  private removed: Point[][] = []
  /** What was cancelled last. */
  private aside: Point[][] = []
  private stroke: Point[] | null = null
  private isClosing = false
  /** Whether the press that is going on has added a point. */
  private isPointPressed = false

  constructor(protected readonly context: ToolContext, private readonly kind: PathKind) {
    this.name = kind.name
  }

  get hasDraft(): boolean {
    return this.steps.length > 0 || this.stroke !== null
  }

  get draftSize(): [number, number] | null {
    const points = this.points()
    if (points.length < 2) return null
    const [x1, y1, x2, y2] = boundsOf({ type: 'polyline', points })
    return [x2 - x1, y2 - y1]
  }

  pointerDown(pointer: EditorPointer): undefined {
    if (!this.hasDraft && !this.canBegin()) return
    const point = this.context.place(pointer)
    this.context.hint(null)
    if (this.isDoubleClick(pointer, point) || this.isAtStart(point)) {
      this.isClosing = true
      return
    }
    this.endStroke()
    this.steps.push([point])
    this.removed = []
    this.isPointPressed = true
    this.context.redraw()
  }

  pointerMove(pointer: EditorPointer): void {
    const isFreehand = this.kind.isFreehand && (pointer.isPressed ? pointer.isDrag && !this.isClosing : pointer.shift && !pointer.ctrl)
    if (isFreehand && this.steps.length) this.addToStroke(this.context.clamp([pointer.x, pointer.y]))
    else if (!pointer.isPressed) this.endStroke()
    this.context.redraw()
  }

  pointerUp(pointer: EditorPointer): void {
    this.isPointPressed = false
    const end = this.context.clamp([pointer.x, pointer.y])
    // A stroke back to its start is a whole polygon.
    const isStrokeClosed = this.stroke !== null && this.isAtStart(end)
    this.endStroke()
    if (this.isClosing || isStrokeClosed || (this.hasDraft && this.isComplete(this.points()))) this.finish()
    this.isClosing = false
  }

  secondary(): void {
    this.removeLast()
  }

  interrupt(): void {
    this.stroke = null
    this.isClosing = false
    if (this.isPointPressed) this.steps.pop()
    this.isPointPressed = false
  }

  command(name: CommandName): boolean {
    if (name === 'finish') {
      if (!this.hasDraft) return false
      this.finish()
      return true
    }
    if (name === 'remove-last-point') return this.removeLast()
    if (name === 'restore-last-point') return this.restore(this.removed)
    return name === 'restore-draft' && !this.hasDraft && this.restoreAside()
  }

  cancel(): boolean {
    const hadDraft = this.hasDraft
    this.endStroke()
    if (hadDraft) this.aside = this.steps
    this.clear()
    return hadDraft
  }

  draw(drawing: Drawing, pointer: EditorPointer | null): void {
    const points = this.points()
    const [first] = points
    if (pointer?.ctrl) drawing.dot(this.context.place(pointer), 8, '#1f6feb', '#fff')
    if (!first) return
    const classId = this.context.activeClass ?? ''
    const color = drawing.colorOf(classId)
    const hovered = pointer && this.context.place(pointer)
    const isAtStart = hovered !== null && !this.stroke && this.isAtStart(hovered)
    const shown = hovered && !isAtStart && !this.stroke && this.kind.minPoints > 1 ? [...points, hovered] : points
    if (this.kind.isClosed && shown.length > 2) drawing.draft(this.kind.geometryOf(shown), classId)
    else if (this.kind.minPoints > 1) drawing.path(shown, color)
    for (const step of this.steps) drawing.dot(step[0] as Point, 6, '#fff', color)
    if (this.kind.isClosed && points.length >= this.kind.minPoints) drawing.dot(first, isAtStart ? 14 : 9, isAtStart ? '#1f6feb' : '#fff')
  }

  cursor(pointer: EditorPointer | null): string {
    return pointer && this.isAtStart([pointer.x, pointer.y]) ? 'pointer' : 'crosshair'
  }

  /** Whether a first point may be placed; hints if not. */
  protected canBegin(): boolean {
    return this.context.canCreate()
  }

  /** Whether no further points are needed. */
  protected isComplete(points: Point[]): boolean {
    return points.length >= (this.kind.maxPoints ?? Infinity)
  }

  /** The points so far. */
  protected points(): Point[] {
    return this.stroke ? [...this.steps.flat(), ...this.stroke] : this.steps.flat()
  }

  /** Uses the finished points; a subclass may do something else with them. */
  protected apply(points: Point[]): void {
    this.context.create(this.kind.geometryOf(points), 'draw')
  }

  private addToStroke(point: Point): void {
    this.stroke ??= []
    const last = this.stroke.at(-1) ?? this.steps.at(-1)?.at(-1)
    if (!last || distance(last, point) * this.context.view.scale >= FREEHAND_STEP) this.stroke.push(point)
  }

  private endStroke(): void {
    if (!this.stroke) return
    const start = this.steps.at(-1)?.at(-1)
    const line = start ? [start, ...this.stroke] : this.stroke
    const points = simplify(line, FREEHAND_TOLERANCE / this.context.view.scale)
    this.stroke = null
    if (start) points.shift()
    if (points.length) this.steps.push(points)
  }

  private isDoubleClick(pointer: EditorPointer, point: Point): boolean {
    const last = this.steps.at(-1)?.at(-1)
    return pointer.clicks >= 2 && last !== undefined && distance(last, point) * this.context.view.scale <= CLOSE_DISTANCE
  }

  private isAtStart(point: Point): boolean {
    const points = this.points()
    const [first] = points
    return this.kind.isClosed && first !== undefined && points.length >= this.kind.minPoints
      && distance(first, point) * this.context.view.scale <= CLOSE_DISTANCE
  }

  private removeLast(): boolean {
    this.endStroke()
    const step = this.steps.pop()
    if (!step) return false
    this.removed.push(step)
    this.context.redraw()
    return true
  }

  private restore(steps: Point[][]): boolean {
    const step = steps.pop()
    if (!step) return false
    this.steps.push(step)
    this.context.redraw()
    return true
  }

  private restoreAside(): boolean {
    if (!this.aside.length) return false
    this.steps = this.aside
    this.aside = []
    this.context.redraw()
    return true
  }

  private clear(): void {
    this.steps = []
    this.removed = []
    this.stroke = null
    this.isClosing = false
    this.context.redraw()
  }

  private finish(): void {
    this.endStroke()
    const { context, kind } = this
    const points = withoutRepeats(this.points())
    if (kind.isClosed && points.length > 1 && distance(points[0] as Point, points.at(-1) as Point) * context.view.scale <= FREEHAND_TOLERANCE) points.pop()
    if (points.length < kind.minPoints) {
      context.hint(kind.tooFew)
      return
    }
    const [x1, y1, x2, y2] = boundsOf({ type: 'polyline', points })
    if (kind.minPoints > 1 && Math.max(x2 - x1, y2 - y1) * context.view.scale < MIN_SIZE) {
      context.hint('too-small')
      return
    }
    this.clear()
    this.aside = []
    context.hint(null)
    this.apply(points)
  }
}

export const createPolylineTool = (context: ToolContext): Tool =>
  new PathTool(context, {
    name: 'polyline', minPoints: 2, tooFew: 'too-few-points', isClosed: false, isFreehand: true, geometryOf: (points) => ({ type: 'polyline', points }),
  })

export const createPointsTool = (context: ToolContext): Tool =>
  new PathTool(context, {
    name: 'points', minPoints: 1, tooFew: 'too-few-points', isClosed: false, isFreehand: false, geometryOf: (points) => ({ type: 'points', points }),
  })
