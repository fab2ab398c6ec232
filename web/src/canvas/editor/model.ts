/** The state of the editor, and what pointers and commands do to it; it needs no page. Independent of Vue. */
import type { Geometry, Point } from '../shapes'
import type { ViewTransform } from '../viewport'
import { joinChanges, maskChanges, subtractChanges } from './areas'
import { copiedObjects, copyObjects, pasteObjects } from './clipboard'
import { clampPoint, frameOf, unionOf, type Bounds } from './geometry/bounds'
import { roundGeometry } from './geometry/round'
import type { EditorPointer, GestureTarget } from './gestures'
import { cursorMovement, pointerAt, shiftToShow } from './keyboardPointer'
import { Scene, type SceneObject } from './scene'
import { snapToNeighbours } from './snapping'
import { stackingChanges } from './stacking'
import { createTools } from './tools'
import { BrushSize } from './tools/brushTool'
import type { Tool, ToolContext } from './tools/tool'
import type {
  CommandName, EditorClass, EditorEvents, EditorObject, EditorOptions, EditorVisibility, HintCode, ObjectChange, ToolName,
} from './types'
import { uuidv7 } from './uuid'
import { View } from './view'

const DEFAULT_OPTIONS: EditorOptions = { label: '', isClamped: true, wheelPans: false }
const ZOOM_STEP = 1.3
/** In screen pixels. */
const HANDLE_SIZE = 8
const TOUCH_HANDLE_SIZE = 16
const TOLERANCE = 5
const TOUCH_TOLERANCE = 10
const PASTE_OFFSET = 12
const SNAP_DISTANCE = 8
/** Of more selected objects, only the bounds are drawn at every movement of the pointer. */
export const MAX_LIFTED = 200

/** What has to be drawn again. */
export interface ModelObserver {
  /** The interaction layer, and if `isBaseStale` also the layers below. */
  redraw(isBaseStale: boolean): void
  /** Parts of the layer of objects. */
  invalidate(areas: readonly Bounds[]): void
  /** All of it. */
  invalidateAll(): void
  cursor(cursor: string): void
}

export class EditorModel implements ToolContext, GestureTarget {
  readonly scene = new Scene()
  readonly options: EditorOptions
  readonly viewport = new View(() => this.onViewChange())
  /** Where the pointer is; null while it is elsewhere. */
  pointer: EditorPointer | null = null
  previewed: ReadonlyMap<string, Geometry> | null = null
  classes: ReadonlyMap<string, EditorClass> = new Map()

  /** Whether keys have moved the pointer, so that the page shows none there. */
  isKeyboard = false
  /** Whether the current tool draws the selected object itself. */
  isSelectedHidden = false
  readonly brushSize = new BrushSize()
  private readonly tools: ReadonlyMap<ToolName, Tool>
  private size: [number, number] | null = null
  private current: Tool
  private activeClassId: string | null = null
  private selected: readonly string[] = []
  private isDrawn = false
  private hinted: HintCode | null = null
  private wasDraft = false
  private isPanning = false
  private isTouch = false

  constructor(private readonly observer: ModelObserver, private readonly events: Partial<EditorEvents>, options: Partial<EditorOptions> = {}) {
    this.options = { ...DEFAULT_OPTIONS, ...options }
    this.tools = createTools(this, this.brushSize)
    this.current = this.tools.get('select') as Tool
  }

  // The state that the screen gives

  /** @param size - the width and height of an image; null for none. */
  setImageSize(size: [number, number] | null): void {
    this.cancelAll()
    this.size = size
    this.scene.setSize(this.imageSize)
    this.viewport.setImageSize(this.imageSize)
  }

  setClasses(classes: readonly EditorClass[]): void {
    this.classes = new Map(classes.map((item) => [item.id, item]))
  }

  get activeClass(): string | null {
    return this.activeClassId
  }

  set activeClass(id: string | null) {
    this.activeClassId = id
    if (id !== null && this.hinted === 'choose-class') this.hint(null)
    this.redraw()
  }

  setObjects(objects: readonly EditorObject[]): void {
    this.cancelAll()
    this.scene.setObjects(objects)
    this.select([])
    this.observer.invalidateAll()
  }

  /** Applies changes without telling them to the screen. */
  apply(changes: readonly ObjectChange[]): void {
    const areas = this.scene.apply(changes)
    if (areas.length) this.observer.invalidate(areas)
    if (this.selected.some((id) => !this.scene.get(id))) this.select(this.selected)
    this.redraw()
  }

  setVisibility(visibility: EditorVisibility): void {
    this.scene.setVisibility(visibility)
    this.observer.invalidateAll()
  }

  // Tools, selection and commands

  get tool(): Tool {
    return this.current
  }

  setTool(name: ToolName): void {
    const tool = this.tools.get(name)
    if (!tool || tool === this.current) return
    this.current.cancel()
    this.current = tool
    this.hint(null)
    this.afterAct()
    this.events.tool?.(name)
  }

  get selection(): readonly string[] {
    return this.selected
  }

  /** Whether the selection is the object that was just drawn, which the user has not selected. */
  get isSelectionDrawn(): boolean {
    return this.isDrawn && this.selected.length > 0
  }

  select(ids: readonly string[]): void {
    this.isDrawn = false
    const known = ids.filter((id) => this.scene.get(id))
    const isSame = known.length === this.selected.length && known.every((id, index) => id === this.selected[index])
    if (isSame) return
    this.selected = known
    // The interaction layer draws the selected objects, if they are few.
    const areas = this.scene.lift(new Set(known.length <= MAX_LIFTED ? known : []))
    if (areas.length) this.observer.invalidate(areas)
    this.redraw()
    this.sendStatus()
    this.events.select?.([...known])
  }

  /** The selected objects that are visible. */
  selectedObjects(): SceneObject[] {
    return this.selected.flatMap((id) => this.scene.get(id) ?? []).filter((object) => this.scene.isVisible(object))
  }

  editable(): SceneObject[] {
    return this.selectedObjects().filter(({ id }) => !this.scene.isLocked(id))
  }

  /** Runs a command. Returns whether it applies now. */
  command(name: CommandName): boolean {
    if (this.current.command(name)) {
      this.afterAct()
      return true
    }
    const isDone = this.runCommand(name)
    if (isDone) this.afterAct()
    return isDone
  }

  private runCommand(name: CommandName): boolean {
    const centre: Point = [this.viewSize[0] / 2, this.viewSize[1] / 2]
    const movement = cursorMovement(name)
    if (movement) return this.moveCursor(movement)
    switch (name) {
      case 'cursor-click':
        return this.clickCursor()
      case 'cursor-secondary':
        if (!this.isKeyboard || !this.pointer) return false
        this.current.secondary?.(this.pointer)
        return true
      case 'cancel':
        if (this.current.cancel()) return true
        if (!this.selected.length) return false
        this.select([])
        return true
      case 'fit':
        this.viewport.fit()
        return true
      case 'zoom-in':
        this.zoom(ZOOM_STEP, centre)
        return true
      case 'zoom-out':
        this.zoom(1 / ZOOM_STEP, centre)
        return true
      case 'zoom-selection':
        return this.zoomToSelection()
      case 'select-all':
        this.select(this.scene.visible().filter(({ id }) => !this.scene.isLocked(id)).map(({ id }) => id))
        return this.selected.length > 0
      case 'select-next':
        return this.selectNext(1)
      case 'select-previous':
        return this.selectNext(-1)
      case 'copy':
        return this.copy()
      case 'cut':
        return this.copy() && this.command('delete')
      case 'paste':
        return this.paste(copiedObjects())
      case 'duplicate':
        return this.paste(this.selectedObjects(), 'duplicate')
      case 'bring-forward':
      case 'send-backward':
      case 'bring-to-front':
      case 'send-to-back':
        return this.commit(stackingChanges(this.scene, this.editable(), name), 'order')
      case 'join':
        return this.combine(joinChanges, 'join')
      case 'subtract':
        return this.combine(subtractChanges, 'subtract')
      case 'to-mask':
        return this.size !== null && this.commit(maskChanges(this.editable(), this.size), 'to-mask')
      case 'slice':
        if (!this.editable().length || this.current.hasDraft) return false
        this.setTool('slice')
        return true
      case 'select-none':
        if (!this.selected.length) return false
        this.select([])
        return true
      default:
        // Arrows and Delete are for the selection, whichever the tool.
        return !this.current.hasDraft && this.current.name !== 'select' && (this.tools.get('select') as Tool).command(name)
    }
  }

  private moveCursor([dx, dy]: Point): boolean {
    if (!this.size) return false
    const { pointer, viewSize } = this
    // It begins where the mouse was, or in the middle.
    const start: Point = pointer ? [pointer.screenX, pointer.screenY] : [viewSize[0] / 2, viewSize[1] / 2]
    const target: Point = pointer ? [start[0] + dx, start[1] + dy] : start
    const [shiftX, shiftY] = shiftToShow(target, viewSize)
    if (shiftX || shiftY) this.pan(shiftX, shiftY)
    const screen: Point = [target[0] + shiftX, target[1] + shiftY]
    this.pointerMove(pointerAt(this.toImage(screen), screen))
    this.isKeyboard = true
    return true
  }

  private clickCursor(): boolean {
    if (!this.isKeyboard || !this.pointer) return false
    const { x, y, screenX, screenY } = this.pointer
    this.pointerDown(pointerAt([x, y], [screenX, screenY], true))
    this.pointerUp(pointerAt([x, y], [screenX, screenY]))
    this.isKeyboard = true
    return true
  }

  /** Selects the next object of the list, or the first. */
  private selectNext(step: 1 | -1): boolean {
    const objects = this.scene.all().filter((object) => this.scene.isVisible(object) && !this.scene.isLocked(object.id))
    if (!objects.length) return false
    const current = objects.findIndex(({ id }) => id === this.selected.at(-1))
    const start = step > 0 ? 0 : objects.length - 1
    const next = objects[current < 0 ? start : (current + step + objects.length) % objects.length] as SceneObject
    this.select([next.id])
    this.viewport.reveal(next.bounds)
    return true
  }

  private combine(changesOf: typeof joinChanges, label: string): boolean {
    if (!this.size || this.current.hasDraft) return false
    const { size } = this
    const objects = this.editable()
    const isComplete = objects.length === this.selected.length // without hidden and locked objects
    const changes = isComplete ? this.tryClipping(() => changesOf(objects, size)) : null
    if (changes === null) this.hint('choose-areas')
    return Boolean(changes && this.commit(changes, label))
  }

  tryClipping<T>(operation: () => T): T | undefined {
    this.hint(null)
    try {
      return operation()
    } catch {
      this.hint('clipping-failed')
      return undefined
    }
  }

  private copy(): boolean {
    const objects = this.selectedObjects()
    if (objects.length) copyObjects(objects.map(withoutDerived))
    return objects.length > 0
  }

  private paste(objects: readonly EditorObject[], label = 'paste'): boolean {
    if (!this.size) return false
    const copies = pasteObjects(objects.map(withoutDerived), {
      size: this.size, order: this.scene.topOrder(), existing: this.scene.all(), offset: PASTE_OFFSET / this.view.scale,
    })
    const isDone = this.commit(copies.map((object) => ({ kind: 'put', object })), label)
    if (isDone) this.select(copies.map(({ id }) => id))
    return isDone
  }

  // The view

  get view(): ViewTransform {
    return this.viewport.transform
  }

  get imageSize(): [number, number] {
    return this.size ?? [1, 1]
  }

  get viewSize(): [number, number] {
    return this.viewport.sizes.view
  }

  pan(dx: number, dy: number): void {
    this.viewport.pan(dx, dy)
  }

  zoom(factor: number, screen: Point): void {
    this.viewport.zoom(factor, screen)
  }

  private zoomToSelection(): boolean {
    const bounds = unionOf(this.selectedObjects().map((object) => object.bounds))
    if (bounds) this.viewport.zoomTo(bounds)
    return bounds !== null
  }

  private onViewChange(): void {
    if (this.pointer) {
      // It stays where it is on the screen.
      const [x, y] = this.toImage([this.pointer.screenX, this.pointer.screenY])
      this.pointer = { ...this.pointer, x, y }
    }
    this.observer.redraw(true)
    this.sendStatus()
  }

  // Changes

  commit(changes: readonly ObjectChange[], label: string): boolean {
    const effective = changes.map(roundChange).filter((change) => this.isEffective(change))
    if (!effective.length) return false
    this.apply(effective)
    this.events.change?.(effective, label)
    return true
  }

  /** Whether a change changes something: an object that is put back where it was makes no edit. */
  private isEffective(change: ObjectChange): boolean {
    if (change.kind === 'put') return true
    const object = this.scene.get(change.id)
    if (!object || change.kind === 'delete') return object !== undefined
    return Object.entries(change.fields).some(([field, value]) => JSON.stringify(value) !== JSON.stringify(object[field as keyof EditorObject]))
  }

  create(geometry: Geometry, label: string): string | null {
    if (!this.canCreate()) return null
    const id = uuidv7()
    const object: EditorObject = {
      id, class: this.activeClassId as string, geometry, attributes: {}, score: null, track: null, order: this.scene.topOrder(), source: 'manual',
    }
    this.commit([{ kind: 'put', object }], label)
    this.select([id])
    this.isDrawn = true
    return id
  }

  canCreate(): boolean {
    if (this.activeClassId !== null && this.size) return true
    this.hint('choose-class')
    return false
  }

  hint(code: HintCode | null): void {
    if (code === this.hinted) return
    this.hinted = code
    this.events.hint?.(code)
  }

  private cancelAll(): void {
    for (const tool of this.tools.values()) tool.cancel()
    this.updateDraft()
  }

  private afterAct(): void {
    this.updateDraft()
    this.updateCursor()
    this.sendStatus()
    this.redraw()
  }

  private updateDraft(): void {
    if (this.wasDraft === this.current.hasDraft) return
    this.wasDraft = this.current.hasDraft
    this.events.draft?.(this.wasDraft)
  }

  private sendStatus(): void {
    if (!this.events.status) return
    const { pointer, view } = this
    const [selected] = this.selected.length === 1 ? this.selectedObjects() : []
    const frame = selected && frameOf(selected.geometry)
    const [width, height] = this.current.draftSize ?? (frame ? [frame.width, frame.height] : [null, null])
    this.events.status({ x: pointer?.x ?? 0, y: pointer?.y ?? 0, scale: view.scale, width, height })
  }

  private updateCursor(): void {
    this.observer.cursor(this.isPanning ? 'grabbing' : this.current.cursor(this.pointer))
  }

  classOf(id: string): EditorClass | undefined {
    return this.classes.get(id)
  }

  preview(geometries: ReadonlyMap<string, Geometry> | null): void {
    this.previewed = geometries
    this.redraw()
  }

  hideSelected(isHidden: boolean): void {
    this.isSelectedHidden = isHidden
  }

  redraw(): void {
    this.observer.redraw(false)
  }

  clamp(point: Point): Point {
    return this.options.isClamped ? clampPoint(point, this.imageSize) : point
  }

  place({ x, y, ctrl }: { x: number; y: number; ctrl: boolean }, exceptId?: string): Point {
    const point = this.clamp([x, y])
    return ctrl ? snapToNeighbours(this.scene, point, SNAP_DISTANCE / this.view.scale, exceptId) : point
  }

  handleSize(): number {
    return this.isTouch ? TOUCH_HANDLE_SIZE : HANDLE_SIZE
  }

  tolerance(): number {
    return (this.isTouch ? TOUCH_TOLERANCE : TOLERANCE) / this.view.scale
  }

  // Pointers

  toImage(screen: Point): Point {
    return this.viewport.toImage(screen)
  }

  pointerDown(pointer: EditorPointer): 'pan' | undefined {
    this.setPointer(pointer)
    const result = this.current.pointerDown(pointer)
    this.afterAct()
    return result
  }

  pointerMove(pointer: EditorPointer): void {
    this.setPointer(pointer)
    this.current.pointerMove(pointer)
    this.afterAct()
  }

  pointerUp(pointer: EditorPointer): void {
    this.setPointer(pointer)
    this.current.pointerUp(pointer)
    this.afterAct()
  }

  secondary(pointer: EditorPointer): void {
    this.setPointer(pointer)
    this.current.secondary?.(pointer)
    this.afterAct()
  }

  interrupt(): void {
    this.current.interrupt()
    this.afterAct()
  }

  leave(): void {
    this.pointer = null
    this.redraw()
  }

  panning(isPanning: boolean): void {
    this.isPanning = isPanning
    this.updateCursor()
  }

  private setPointer(pointer: EditorPointer): void {
    this.pointer = pointer
    this.isKeyboard = false
    this.isTouch = pointer.isTouch
  }
}

/** An object as it is stored. */
function withoutDerived(object: EditorObject | SceneObject): EditorObject {
  const { id, class: classId, geometry, attributes, score, track, order, source } = object
  return { id, class: classId, geometry, attributes, score, track, order, source }
}

function roundChange(change: ObjectChange): ObjectChange {
  if (change.kind === 'put') return { ...change, object: { ...change.object, geometry: roundGeometry(change.object.geometry) } }
  if (change.kind === 'delete' || !change.fields.geometry) return change
  return { ...change, fields: { ...change.fields, geometry: roundGeometry(change.fields.geometry) } }
}
