/** Draws rotated boxes: first an edge, by two clicks or a drag, then the width. Independent of Vue. */
import type { Geometry, Point } from '../../shapes'
import { distance, toLocal } from '../geometry/hit'
import { normalizeAngle } from '../geometry/transform'
import type { EditorPointer } from '../gestures'
import type { Drawing } from '../interactionLayer'
import type { CommandName } from '../types'
import type { Tool, ToolContext } from './tool'

const MIN_SIZE = 3 // screen pixels
const SNAP_ANGLE = 15

type RotatedBox = Extract<Geometry, { type: 'rotated_box' }>

/** The box with an edge, whose opposite edge goes through a point. */
export function boxFromEdge([x1, y1]: Point, [x2, y2]: Point, point: Point): RotatedBox {
  const angle = (Math.atan2(y2 - y1, x2 - x1) * 180) / Math.PI
  const [middleX, middleY] = [(x1 + x2) / 2, (y1 + y2) / 2]
  const [, depth] = toLocal(point, { cx: middleX, cy: middleY, angle })
  const radians = (angle * Math.PI) / 180
  return {
    type: 'rotated_box',
    cx: middleX - (Math.sin(radians) * depth) / 2,
    cy: middleY + (Math.cos(radians) * depth) / 2,
    width: Math.hypot(x2 - x1, y2 - y1),
    height: Math.abs(depth),
    angle: normalizeAngle(angle),
  }
}

/** A point turned around another until the angle is a multiple of 15 degrees. */
export function snapAngle([x1, y1]: Point, [x2, y2]: Point): Point {
  const step = (SNAP_ANGLE * Math.PI) / 180
  const angle = Math.round(Math.atan2(y2 - y1, x2 - x1) / step) * step
  const length = Math.hypot(x2 - x1, y2 - y1)
  return [x1 + length * Math.cos(angle), y1 + length * Math.sin(angle)]
}

export class RotatedBoxTool implements Tool {
  readonly name = 'rotated-box'
  private start: Point | null = null
  private end: Point | null = null
  private point: Point | null = null
  /** Whether the first of the two clicks of the edge is done. */
  private isWaiting = false

  constructor(private readonly context: ToolContext) {}

  get hasDraft(): boolean {
    return this.start !== null
  }

  get draftSize(): [number, number] | null {
    if (!this.start || !this.point) return null
    if (!this.end) return [distance(this.start, this.point), 0]
    const { width, height } = boxFromEdge(this.start, this.end, this.point)
    return [width, height]
  }

  pointerDown(pointer: EditorPointer): undefined {
    if (!this.start) {
      if (!this.context.canCreate()) return
      this.context.hint(null)
      this.start = this.context.clamp([pointer.x, pointer.y])
    }
    this.update(pointer)
  }

  pointerMove(pointer: EditorPointer): void {
    this.update(pointer)
  }

  pointerUp(pointer: EditorPointer): void {
    if (!this.start) return
    this.update(pointer)
    if (this.end) this.finish()
    else if (this.isWaiting || pointer.isDrag) this.endEdge()
    else this.isWaiting = true
  }

  secondary(): void {
    this.removeLast()
  }

  interrupt(): void {
    if (!this.isWaiting && !this.end) this.cancel()
  }

  command(name: CommandName): boolean {
    if (!this.start) return false
    if (name === 'remove-last-point') return this.removeLast()
    if (name !== 'finish' || !this.end) return false
    this.finish()
    return true
  }

  cancel(): boolean {
    const hadDraft = this.hasDraft
    this.start = null
    this.end = null
    this.point = null
    this.isWaiting = false
    this.context.redraw()
    return hadDraft
  }

  draw(drawing: Drawing, pointer: EditorPointer | null): void {
    const { start, end, point } = this
    const classId = this.context.activeClass ?? ''
    if (start && end && point) drawing.draft(boxFromEdge(start, end, point), classId)
    else if (start && point) drawing.path([start, point], drawing.colorOf(classId))
    if (start) drawing.dot(start, 6, '#fff')
    if (!start && pointer && !pointer.isTouch) drawing.crossHair(this.context.clamp([pointer.x, pointer.y]))
  }

  cursor(): string {
    return 'crosshair'
  }

  private update(pointer: EditorPointer): void {
    if (this.start) {
      const point = this.context.clamp([pointer.x, pointer.y])
      this.point = pointer.shift && !this.end ? snapAngle(this.start, point) : point
    }
    this.context.redraw()
  }

  private endEdge(): void {
    const { start, point } = this
    if (!start || !point) return
    if (distance(start, point) * this.context.view.scale < MIN_SIZE) this.context.hint('too-small')
    else this.end = point
  }

  private removeLast(): boolean {
    if (!this.end) return this.cancel()
    this.end = null
    this.isWaiting = true
    this.context.redraw()
    return true
  }

  private finish(): void {
    const { start, end, point } = this
    if (!start || !end || !point) return
    const box = boxFromEdge(start, end, point)
    if (box.height * this.context.view.scale < MIN_SIZE) {
      this.context.hint('too-small')
      return
    }
    this.cancel()
    this.context.hint(null)
    this.context.create(box, 'draw')
  }
}
