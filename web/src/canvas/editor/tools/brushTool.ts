/** Paints and erases masks. Independent of Vue. */
import type { Point } from '../../shapes'
import { MaskColumns } from '../geometry/maskColumns'
import type { EditorPointer } from '../gestures'
import type { Drawing } from '../interactionLayer'
import type { SceneObject } from '../scene'
import type { CommandName, ObjectChange } from '../types'
import type { Tool, ToolContext } from './tool'

const MIN_SIZE = 1
const MAX_SIZE = 500
const SIZE_STEP = 1.25

/** The diameter in pixels of the image; the brush and the eraser share it. */
export class BrushSize {
  value = 20

  change(isLarger: boolean): void {
    const size = isLarger ? Math.max(this.value + 1, this.value * SIZE_STEP) : Math.min(this.value - 1, this.value / SIZE_STEP)
    this.value = Math.min(MAX_SIZE, Math.max(MIN_SIZE, Math.round(size)))
  }
}

interface Stroke {
  points: Point[]
  isErasing: boolean
  /** The mask that is changed; null for a new one. */
  target: SceneObject | null
}

export class BrushTool implements Tool {
  private stroke: Stroke | null = null
  /** Where the last stroke ended: Shift draws a straight line from there. */
  private lastPoint: Point | null = null

  constructor(readonly name: 'brush' | 'eraser', private readonly context: ToolContext, private readonly size: BrushSize) {}

  get hasDraft(): boolean {
    return this.stroke !== null
  }

  readonly draftSize = null

  pointerDown(pointer: EditorPointer): undefined {
    const { context } = this
    const point: Point = [pointer.x, pointer.y]
    const isErasing = this.name === 'eraser' || pointer.alt
    const target = this.target(point, isErasing)
    if (isErasing && !target) {
      context.hint('choose-mask')
      return
    }
    if (!isErasing && !target && !context.canCreate()) return
    context.hint(null)
    if (target && !context.selection.includes(target.id)) context.select([target.id])
    this.stroke = { points: pointer.shift && this.lastPoint ? [this.lastPoint, point] : [point], isErasing, target }
    context.hideSelected(target !== null)
  }

  pointerMove(pointer: EditorPointer): void {
    if (this.stroke && pointer.isPressed && pointer.isDrag) this.stroke.points.push([pointer.x, pointer.y])
    this.context.redraw()
  }

  pointerUp(): void {
    const { stroke } = this
    if (!stroke) return
    this.stroke = null
    this.context.hideSelected(false)
    this.lastPoint = stroke.points.at(-1) ?? null
    this.apply(stroke)
  }

  interrupt(): void {
    this.cancel()
  }

  command(name: CommandName): boolean {
    if (name === 'brush-larger' || name === 'brush-smaller') {
      this.size.change(name === 'brush-larger')
      return true
    }
    // The next stroke is a new object.
    if (name !== 'finish' || !this.context.selection.length) return false
    this.lastPoint = null
    this.context.select([])
    return true
  }

  cancel(): boolean {
    const hadDraft = this.hasDraft
    this.stroke = null
    this.context.hideSelected(false)
    this.context.redraw()
    return hadDraft
  }

  draw(drawing: Drawing, pointer: EditorPointer | null): void {
    const radius = this.size.value / 2
    if (this.stroke) {
      const { target, points, isErasing } = this.stroke
      drawing.stroke(target, target?.class ?? this.context.activeClass ?? '', points, radius, isErasing)
    }
    if (pointer && !pointer.isTouch) drawing.brush([pointer.x, pointer.y], radius, this.name === 'eraser' || pointer.alt)
  }

  cursor(): string {
    return 'none'
  }

  /** The selected mask. An eraser also takes one that is below it. */
  private target(point: Point, isErasing: boolean): SceneObject | null {
    const isMask = ({ geometry }: SceneObject): boolean => geometry.type === 'mask'
    const [selected] = this.context.selection.length === 1 ? this.context.editable() : []
    if (selected && isMask(selected)) return selected
    return isErasing ? (this.context.scene.at(point, 0).find(isMask) ?? null) : null
  }

  private apply({ target, points, isErasing }: Stroke): void {
    const { context } = this
    const [width, height] = context.imageSize
    const current = target && context.scene.get(target.id) // as another person may have changed it meanwhile
    const columns = current?.geometry.type === 'mask' ? MaskColumns.fromMask(current.geometry, width, height) : new MaskColumns(width, height)
    points.forEach((point, index) => columns.paintStroke(points[index - 1] ?? point, point, this.size.value / 2, !isErasing))
    if (current) {
      const change: ObjectChange = columns.isEmpty
        ? { kind: 'delete', id: current.id }
        : { kind: 'patch', id: current.id, fields: { geometry: columns.toMask() } }
      context.commit([change], isErasing ? 'erase' : 'paint')
    } else if (!isErasing && !columns.isEmpty) context.create(columns.toMask(), 'paint')
  }
}
