/** Selects, moves, resizes and rotates objects, and edits their points. Independent of Vue. */
import type { Geometry, Point } from '../../shapes'
import { boundsBetween, boundsOf, frameOf, frameOfBounds, unionOf, type Bounds, type Frame } from '../geometry/bounds'
import {
  frameMargin, framePoint, groupHandles, handleAt, handleCursor, handlesOf, pathsOf, withPath, type Handle,
} from '../geometry/handles'
import { distance, isWithin } from '../geometry/hit'
import { canRotate, clampMovement, resizeFrame, rotate, scale, translate } from '../geometry/transform'
import type { EditorPointer } from '../gestures'
import type { Drawing } from '../interactionLayer'
import type { SceneObject } from '../scene'
import type { CommandName, ObjectChange } from '../types'
import type { Tool, ToolContext } from './tool'

/** Clicks that are as near as this are at the same place, in screen pixels. */
const SAME_PLACE = 4
const SNAP_ANGLE = 15
const LARGE_NUDGE = 10
/** A mask has no handles; only the frame shows that it is selected. */
const MASK_MARGIN = 4
/** The handles of more objects than this would hide these. */
const MAX_GROUP = 200

type Press =
  | { kind: 'move'; start: Point; stack: SceneObject[]; wasSelected: boolean }
  | { kind: 'handle'; start: Point; handle: Handle; frame: Frame }
  | { kind: 'marquee'; start: Point; bounds: Bounds }
  | { kind: 'toggle'; id: string; start: Point }
  | { kind: 'nothing' }

export class SelectTool implements Tool {
  readonly name = 'select'
  private press: Press | null = null
  private geometries: Map<string, Geometry> | null = null
  private lastClick: Point | null = null // in screen pixels

  constructor(private readonly context: ToolContext) {}

  get hasDraft(): boolean {
    return this.geometries !== null
  }

  get draftSize(): [number, number] | null {
    if (this.geometries?.size !== 1) return null
    const [geometry] = this.geometries.values()
    const { width, height } = frameOf(geometry as Geometry)
    return [width, height]
  }

  pointerDown(pointer: EditorPointer): 'pan' | undefined {
    const { context } = this
    const point: Point = [pointer.x, pointer.y]
    const handle = pointer.ctrl ? null : this.handleUnder(point)
    if (handle) {
      this.pressHandle(handle, point, pointer)
      return
    }
    const stack = context.scene.at(point, context.tolerance())
    if (pointer.ctrl) {
      const [smallest] = stack
      this.press = smallest ? { kind: 'toggle', id: smallest.id, start: point } : { kind: 'marquee', start: point, bounds: [...point, ...point] }
      return
    }
    if (!stack.length) {
      this.press = { kind: 'nothing' }
      return 'pan'
    }
    const wasSelected = stack.some(({ id }) => context.selection.includes(id))
    if (!wasSelected) context.select([(stack[0] as SceneObject).id])
    this.press = { kind: 'move', start: point, stack, wasSelected }
  }

  pointerMove(pointer: EditorPointer): void {
    const { press } = this
    if (!press || !pointer.isPressed) {
      this.context.redraw()
      return
    }
    const point: Point = [pointer.x, pointer.y]
    if (press.kind === 'toggle' && pointer.isDrag) this.press = { kind: 'marquee', start: press.start, bounds: boundsBetween(press.start, point) }
    else if (press.kind === 'marquee') press.bounds = boundsBetween(press.start, point)
    else if (press.kind === 'move' && pointer.isDrag) this.move(press.start, pointer)
    else if (press.kind === 'handle' && (pointer.isDrag || press.handle.kind === 'middle')) this.dragHandle(press, pointer)
    this.context.redraw()
  }

  pointerUp(pointer: EditorPointer): void {
    const { press, context } = this
    this.press = null
    if (!press) return
    if (press.kind === 'marquee') this.selectWithin(press.bounds)
    else if (press.kind === 'toggle') this.toggle(press.id)
    else if (press.kind === 'nothing') context.select([])
    else if (press.kind === 'handle') this.finish(handleLabel(press.handle))
    else if (this.geometries) this.finish('move')
    else this.click(press, [pointer.screenX, pointer.screenY])
    context.redraw()
  }

  /** The right button on a keypoint marks it as hidden in the image, or as visible. */
  secondary(pointer: EditorPointer): void {
    const [object] = this.objects()
    const handle = this.handleUnder([pointer.x, pointer.y])
    if (object?.geometry.type !== 'keypoints' || handle?.kind !== 'vertex') return
    const visibility = object.geometry.visibility.map((value, index) => (index === handle.index ? 3 - value : value))
    this.context.commit([{ kind: 'patch', id: object.id, fields: { geometry: { ...object.geometry, visibility } } }], 'point-visibility')
  }

  interrupt(): void {
    this.press = null
    this.cancel()
  }

  command(name: CommandName): boolean {
    if (name === 'delete') return this.deleteSelection()
    const nudge = /^nudge-(left|right|up|down)(-10)?$/.exec(name)
    if (!nudge) return false
    const step = nudge[2] ? LARGE_NUDGE : 1
    const [dx, dy] = { left: [-step, 0], right: [step, 0], up: [0, -step], down: [0, step] }[nudge[1] as 'left'] as Point
    return this.moveBy(dx, dy)
  }

  cancel(): boolean {
    const hadDraft = this.hasDraft
    this.press = null
    this.setGeometries(null)
    return hadDraft
  }

  draw(drawing: Drawing, pointer: EditorPointer | null): void {
    if (this.press?.kind === 'marquee') drawing.marquee(this.press.bounds)
    if (this.press && this.press.kind !== 'handle') return
    const objects = this.objects()
    if (objects.length > 1) drawing.frame(this.groupFrame(objects), 12)
    else if (objects[0]) {
      const { geometry } = objects[0]
      const margin = geometry.type === 'mask' ? MASK_MARGIN : frameMargin(geometry)
      if (margin && !this.press) drawing.frame(frameOf(geometry), margin)
    }
    const handles = this.handles()
    const hovered = pointer && !this.press ? this.handleUnder([pointer.x, pointer.y], handles) : null
    drawing.handles(handles, hovered)
  }

  cursor(pointer: EditorPointer | null): string {
    if (this.press?.kind === 'handle') return this.press.handle.kind === 'rotate' ? 'grabbing' : handleCursor(this.press.handle, this.press.frame.angle)
    if (this.press?.kind === 'move' || !pointer) return 'move'
    const point: Point = [pointer.x, pointer.y]
    const handle = this.handleUnder(point)
    if (handle) return handleCursor(handle, this.frame(this.objects()).angle)
    const stack = this.context.scene.at(point, this.context.tolerance())
    if (stack.some(({ id }) => this.context.selection.includes(id))) return 'move'
    return stack.length ? 'pointer' : 'default'
  }

  // What is selected

  /** The selected objects as they are shown now. */
  private objects(): SceneObject[] {
    return this.context.editable().map((object) => {
      const geometry = this.geometries?.get(object.id)
      return geometry ? { ...object, geometry } : object
    })
  }

  private frame(objects: readonly SceneObject[]): Frame {
    return objects.length === 1 ? frameOf((objects[0] as SceneObject).geometry) : this.groupFrame(objects)
  }

  private groupFrame(objects: readonly SceneObject[]): Frame {
    const rectangles = objects.map(({ id, geometry, bounds }) => (this.geometries?.has(id) ? boundsOf(geometry) : bounds))
    return frameOfBounds(unionOf(rectangles) ?? [0, 0, 0, 0])
  }

  private handles(): Handle[] {
    const objects = this.objects()
    const { view } = this.context
    if (!objects.length || objects.length > MAX_GROUP) return []
    if (objects.length === 1) return handlesOf((objects[0] as SceneObject).geometry, view.scale)
    return groupHandles(this.groupFrame(objects), objects.map(({ geometry }) => geometry), view.scale)
  }

  private handleUnder(point: Point, handles = this.handles()): Handle | null {
    // A little larger than what is drawn, so that it is easy to press.
    return handleAt(handles, point, (this.context.handleSize() / 2 + 3) / this.context.view.scale)
  }

  private click({ stack, wasSelected }: Extract<Press, { kind: 'move' }>, screen: Point): void {
    const isSamePlace = this.lastClick !== null && distance(this.lastClick, screen) <= SAME_PLACE
    this.lastClick = screen
    const { selection } = this.context
    if (!wasSelected && selection.length === 1) return // selected when pressed
    const selectedIndex = selection.length === 1 ? stack.findIndex(({ id }) => id === selection[0]) : -1
    // Further clicks at a place go down the stack, and then begin again.
    const index = isSamePlace && selectedIndex >= 0 ? (selectedIndex + 1) % stack.length : 0
    this.context.select([(stack[index] as SceneObject).id])
  }

  private toggle(id: string): void {
    const { selection } = this.context
    this.context.select(selection.includes(id) ? selection.filter((other) => other !== id) : [...selection, id])
  }

  private selectWithin(bounds: Bounds): void {
    const { scene, selection } = this.context
    const inside = scene.touching(bounds).filter(({ id, geometry }) => !scene.isLocked(id) && isWithin(geometry, bounds)).map(({ id }) => id)
    this.context.select([...new Set([...selection, ...inside])])
  }

  // Changes

  private setGeometries(geometries: Map<string, Geometry> | null): void {
    this.geometries = geometries
    this.context.preview(geometries)
  }

  private move(start: Point, pointer: EditorPointer): void {
    let [dx, dy] = [pointer.x - start[0], pointer.y - start[1]]
    if (pointer.shift && Math.abs(dx) > Math.abs(dy)) dy = 0
    else if (pointer.shift) dx = 0
    this.setGeometries(this.moved(dx, dy))
  }

  private moved(dx: number, dy: number): Map<string, Geometry> | null {
    const { options, imageSize } = this.context
    const objects = this.context.editable()
    const bounds = unionOf(objects.map((object) => object.bounds))
    if (!bounds) return null
    const [clampedX, clampedY] = options.isClamped ? clampMovement(bounds, dx, dy, imageSize) : [dx, dy]
    return new Map(objects.map(({ id, geometry }) => [id, translate(geometry, clampedX, clampedY)]))
  }

  private moveBy(dx: number, dy: number): boolean {
    if (this.press || !this.context.editable().length) return false
    this.geometries = this.moved(dx, dy)
    this.finish('move')
    return true
  }

  private pressHandle(handle: Handle, point: Point, pointer: EditorPointer): void {
    const objects = this.objects()
    const frame = this.frame(objects)
    if (pointer.alt && handle.kind === 'vertex') {
      this.deletePoint(objects[0] as SceneObject, handle)
      return
    }
    // The distance of the pointer to where the handle acts stays the same during the drag.
    const position = handle.kind === 'frame' ? framePoint(frame, handle.side, 0) : handle.position
    this.press = { kind: 'handle', start: [position[0] - point[0], position[1] - point[1]], handle, frame }
    if (handle.kind === 'middle') this.dragHandle(this.press, pointer)
  }

  private dragHandle({ start: offset, handle, frame }: Extract<Press, { kind: 'handle' }>, pointer: EditorPointer): void {
    const { context } = this
    const objects = context.editable()
    const point: Point = [pointer.x + offset[0], pointer.y + offset[1]]
    if (handle.kind === 'rotate') {
      const angle = this.rotation(frame, handle, point, pointer.shift)
      const rotatable = objects.filter(({ geometry }) => canRotate(geometry))
      this.setGeometries(new Map(rotatable.map(({ id, geometry }) => [id, rotate(geometry, [frame.cx, frame.cy], angle)])))
      return
    }
    const clamped = context.clamp(point)
    if (handle.kind === 'frame') {
      const target = resizeFrame(frame, handle.side, clamped, { keepsRatio: pointer.shift, isFromCentre: pointer.alt })
      this.setGeometries(new Map(objects.map(({ id, geometry }) => [id, scale(geometry, frame, target)])))
      return
    }
    const [object] = objects
    if (!object) return
    const points = [...(pathsOf(object.geometry)[handle.path] ?? [])]
    const placed = context.place({ x: point[0], y: point[1], ctrl: pointer.ctrl }, object.id)
    points.splice(handle.index, handle.kind === 'vertex' ? 1 : 0, placed)
    this.setGeometries(new Map([[object.id, withPath(object.geometry, handle.path, points)]]))
  }

  private rotation(frame: Frame, handle: Handle, point: Point, isSnapped: boolean): number {
    const angleOf = ([x, y]: Point): number => (Math.atan2(y - frame.cy, x - frame.cx) * 180) / Math.PI
    const angle = angleOf(point) - angleOf(handle.position)
    return isSnapped ? Math.round((frame.angle + angle) / SNAP_ANGLE) * SNAP_ANGLE - frame.angle : angle
  }

  private deletePoint({ id, geometry }: SceneObject, { path, index }: Extract<Handle, { kind: 'vertex' }>): void {
    if (geometry.type === 'keypoints') return
    const points = (pathsOf(geometry)[path] ?? []).filter((_, position) => position !== index)
    const changed = withPath(geometry, path, points)
    const paths = pathsOf(changed)
    const minCount = geometry.type === 'polyline' ? 2 : 1
    if (!paths.length || paths.some(({ length }) => length < minCount)) this.context.hint('too-few-points')
    else this.context.commit([{ kind: 'patch', id, fields: { geometry: changed } }], 'delete-point')
  }

  private finish(label: string): void {
    const changes: ObjectChange[] = Array.from(this.geometries ?? [], ([id, geometry]) => ({ kind: 'patch', id, fields: { geometry } }))
    this.setGeometries(null)
    this.context.commit(changes, label)
  }

  private deleteSelection(): boolean {
    const objects = this.context.editable()
    if (!objects.length) return false
    this.cancel()
    this.context.commit(objects.map(({ id }) => ({ kind: 'delete', id })), 'delete')
    return true
  }
}

const handleLabel = ({ kind }: Handle): string => ({ frame: 'resize', rotate: 'rotate', vertex: 'move-point', middle: 'add-point' })[kind]
