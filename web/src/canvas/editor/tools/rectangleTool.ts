/** What tools have in common that draw a rectangle by two clicks or a drag. Independent of Vue. */
import type { Geometry, Point } from '../../shapes'
import type { Bounds } from '../geometry/bounds'
import { dragBounds } from '../geometry/draw'
import type { EditorPointer } from '../gestures'
import type { Drawing } from '../interactionLayer'
import type { CommandName, ToolName } from '../types'
import type { Tool, ToolContext } from './tool'

/** Something smaller is refused, in screen pixels. */
const MIN_SIZE = 3

export class RectangleTool implements Tool {
  private anchor: Point | null = null
  private bounds: Bounds | null = null
  /** Whether the first of two clicks is done. */
  private isWaiting = false

  constructor(readonly name: ToolName, private readonly context: ToolContext, private readonly geometryOf: (bounds: Bounds) => Geometry) {}

  get hasDraft(): boolean {
    return this.anchor !== null
  }

  get draftSize(): [number, number] | null {
    return this.bounds && [this.bounds[2] - this.bounds[0], this.bounds[3] - this.bounds[1]]
  }

  pointerDown(pointer: EditorPointer): undefined {
    if (this.anchor || !this.context.canCreate()) return
    this.anchor = this.context.clamp([pointer.x, pointer.y])
    this.context.hint(null)
    this.update(pointer)
  }

  pointerMove(pointer: EditorPointer): void {
    this.update(pointer)
  }

  pointerUp(pointer: EditorPointer): void {
    if (!this.anchor) return
    if (!this.isWaiting && !pointer.isDrag) {
      this.isWaiting = true
      return
    }
    this.update(pointer)
    this.finish()
  }

  secondary(): void {
    this.cancel()
  }

  interrupt(): void {
    if (!this.isWaiting) this.cancel()
  }

  command(name: CommandName): boolean {
    if (!this.anchor) return false
    if (name === 'finish') {
      this.finish()
      return true
    }
    return name === 'remove-last-point' && this.cancel()
  }

  cancel(): boolean {
    const hadDraft = this.hasDraft
    this.anchor = null
    this.bounds = null
    this.isWaiting = false
    this.context.redraw()
    return hadDraft
  }

  draw(drawing: Drawing, pointer: EditorPointer | null): void {
    if (this.bounds) drawing.draft(this.geometryOf(this.bounds), this.context.activeClass ?? '')
    if (pointer && !pointer.isTouch) drawing.crossHair(this.context.clamp([pointer.x, pointer.y]))
  }

  cursor(): string {
    return 'crosshair'
  }

  private update(pointer: EditorPointer): void {
    if (this.anchor) {
      const { imageSize, options } = this.context
      const point = this.context.clamp([pointer.x, pointer.y])
      this.bounds = dragBounds(this.anchor, point, { isSquare: pointer.shift, isFromCentre: pointer.alt, size: options.isClamped ? imageSize : null })
    }
    this.context.redraw()
  }

  private finish(): void {
    const { bounds, context } = this
    this.cancel()
    if (!bounds) return
    const [x1, y1, x2, y2] = bounds
    if (Math.min(x2 - x1, y2 - y1) * context.view.scale < MIN_SIZE) context.hint('too-small')
    else context.create(this.geometryOf(bounds), 'draw')
  }
}
