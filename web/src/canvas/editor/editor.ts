/** The editor: an image with objects that are drawn, selected and changed with the pointer. Independent of Vue. */
import { ObjectLayer } from '../objectLayer'
import type { RenderStyle } from '../objectRenderer'
import type { ClassStyle, Geometry } from '../shapes'
import { boundsOf, type Bounds } from './geometry/bounds'
import { Gestures } from './gestures'
import { ImageLayer } from './imageLayer'
import { Drawing } from './interactionLayer'
import { EditorModel, MAX_LIFTED } from './model'
import type { SceneObject } from './scene'
import type {
  CommandName, EditorClass, EditorDisplay, EditorEvents, EditorImage, EditorObject, EditorOptions, EditorPresence, EditorVisibility, ObjectChange, ToolName,
} from './types'

const DEFAULT_DISPLAY: EditorDisplay = { opacity: 0.25, labels: false, brightness: 1, contrast: 1, gamma: 1 }
const BACKGROUND = '#0b0e12'
const SELECTED_OPACITY = 0.15 // in addition

export class Editor {
  private readonly model: EditorModel
  private readonly objectLayer = new ObjectLayer(() => this.redraw(true))
  private readonly imageLayer: ImageLayer
  private readonly objectCanvas = createCanvas()
  private readonly interactionCanvas = createCanvas()
  private readonly gestures: Gestures
  private readonly resizeObserver: ResizeObserver
  private image: EditorImage | null = null
  private display = DEFAULT_DISPLAY
  private people: EditorPresence[] = []
  private unsavedIds: ReadonlySet<string> = new Set()
  private frameHandle = 0
  private isBaseStale = true
  private isInteractionEmpty = true

  constructor(private readonly host: HTMLElement, events: Partial<EditorEvents>, options: Partial<EditorOptions> = {}) {
    this.model = new EditorModel(
      {
        redraw: (isBaseStale) => this.redraw(isBaseStale),
        invalidate: (areas) => this.invalidate(areas),
        invalidateAll: () => this.invalidateAll(),
        cursor: (cursor) => (host.style.cursor = cursor),
      },
      events,
      options,
    )
    this.imageLayer = new ImageLayer(() => this.model.hint('image-failed'), () => this.updateBackground())
    if (getComputedStyle(host).position === 'static') host.style.position = 'relative'
    Object.assign(host.style, { overflow: 'hidden', touchAction: 'none', userSelect: 'none', background: BACKGROUND })
    host.setAttribute('role', 'application')
    host.tabIndex = 0
    if (this.model.options.label) host.setAttribute('aria-label', this.model.options.label)
    host.append(this.imageLayer.element, this.objectCanvas, this.interactionCanvas)
    this.invalidateAll()
    this.updateStyle()
    this.gestures = new Gestures(host, this.model, this.model.options)
    this.resizeObserver = new ResizeObserver(() => this.resize())
    this.resizeObserver.observe(host)
    this.resize()
  }

  destroy(): void {
    this.gestures.destroy()
    this.resizeObserver.disconnect()
    cancelAnimationFrame(this.frameHandle)
    this.objectLayer.clear()
    this.host.replaceChildren()
  }

  /** Shows an image, and all of it unless it is the one that is shown already. Resolves when it is on the screen, or cannot be. */
  async setImage(image: EditorImage | null): Promise<void> {
    const previous = this.image
    const isSame = image?.url === previous?.url && image?.width === previous?.width && image?.height === previous?.height
    this.image = image
    if (isSame) return
    const isShown = this.imageLayer.setImage(image)
    this.objectLayer.clear()
    this.updateBackground()
    this.model.hint(null)
    this.model.setImageSize(image && [image.width, image.height])
    this.redraw(true)
    await isShown
  }

  setClasses(classes: readonly EditorClass[]): void {
    this.model.setClasses(classes)
    this.updateStyle()
  }

  /** The id of the class of new objects. */
  get activeClass(): string | null {
    return this.model.activeClass
  }

  set activeClass(id: string | null) {
    this.model.activeClass = id
  }

  /** Replaces all objects, for a new item. */
  setObjects(objects: readonly EditorObject[]): void {
    this.objectLayer.clear()
    this.model.setObjects(objects)
  }

  /** Applies changes that come from outside: undo, redo, and edits of other people. */
  apply(changes: readonly ObjectChange[]): void {
    this.model.apply(changes)
  }

  get objects(): readonly EditorObject[] {
    return this.model.scene.all()
  }

  setVisibility(visibility: EditorVisibility): void {
    this.model.setVisibility(visibility)
  }

  setDisplay(display: EditorDisplay): void {
    const { opacity, labels } = this.display
    this.display = display
    this.imageLayer.setDisplay(display)
    this.updateBackground()
    // A filter of the image leaves the objects as they are.
    if (display.opacity !== opacity || display.labels !== labels) this.updateStyle()
  }

  /** Marks the objects on which other people work. */
  setPresence(people: readonly EditorPresence[]): void {
    this.people = [...people]
    this.redraw(false)
  }

  /** Marks the objects that the server has refused. */
  setUnsaved(ids: ReadonlySet<string>): void {
    this.unsavedIds = ids
    this.updateStyle()
  }

  get tool(): ToolName {
    return this.model.tool.name
  }

  setTool(name: ToolName): void {
    this.model.setTool(name)
  }

  get selection(): readonly string[] {
    return this.model.selection
  }

  /** Whether the selection is the object that was just drawn, which the user has not selected. */
  get isSelectionDrawn(): boolean {
    return this.model.isSelectionDrawn
  }

  select(ids: readonly string[]): void {
    this.model.select(ids)
  }

  get hasDraft(): boolean {
    return this.model.tool.hasDraft
  }

  /** Runs a command. Returns whether it applies now. */
  command(name: CommandName): boolean {
    return this.model.command(name)
  }

  /** The diameter of the brush, in pixels of the image. */
  get brushSize(): number {
    return this.model.brushSize.value
  }

  set brushSize(size: number) {
    this.model.brushSize.value = size
    this.redraw(false)
  }

  private resize(): void {
    const { clientWidth, clientHeight } = this.host
    const [width, height] = this.model.viewSize
    if (clientWidth !== width || clientHeight !== height) this.model.viewport.setViewSize([clientWidth, clientHeight])
  }

  private invalidate(areas: readonly Bounds[]): void {
    this.objectLayer.invalidate(areas, this.model.scene.visible())
    this.redraw(true)
  }

  private invalidateAll(): void {
    this.objectLayer.setIndex(this.model.scene, this.model.scene.visible())
    this.redraw(true)
  }

  private style(fillOpacity: number): RenderStyle {
    const classes = new Map<string, ClassStyle>(this.model.classes)
    return { classes, hasLabels: this.display.labels, lineWidth: 2, fillOpacity, unsavedIds: this.unsavedIds }
  }

  private updateBackground(): void {
    this.objectLayer.setBackground(this.imageLayer.background)
    this.redraw(true)
  }

  private updateStyle(): void {
    this.objectLayer.setStyle(this.style(this.display.opacity))
    this.redraw(true)
  }

  /** Draws the interaction layer again before the next repaint, and the other layers if they need it. */
  private redraw(isBaseStale: boolean): void {
    this.isBaseStale ||= isBaseStale
    this.frameHandle ||= requestAnimationFrame(() => {
      this.frameHandle = 0
      this.draw()
    })
  }

  private draw(): void {
    const { view, viewSize, viewport } = this.model
    if (!viewSize[0] || !viewSize[1]) return
    const pixelRatio = window.devicePixelRatio || 1
    if (this.isBaseStale) {
      this.isBaseStale = false
      const context = prepareCanvas(this.objectCanvas, viewSize, pixelRatio)
      if (context) this.objectLayer.draw(context, view, viewSize, pixelRatio, null)
      this.imageLayer.update(view, viewport.sizes, this.objectLayer.hidesImage(view, viewSize))
    }
    const context = prepareCanvas(this.interactionCanvas, viewSize, pixelRatio)
    if (!context) return
    if (!this.isInteractionEmpty) context.clearRect(0, 0, ...viewSize)
    this.isInteractionEmpty = !this.image || this.drawInteraction(context).isEmpty
    // A transparent layer costs as much as any other where there is no GPU.
    this.interactionCanvas.style.visibility = this.isInteractionEmpty ? 'hidden' : ''
  }

  private drawInteraction(context: CanvasRenderingContext2D): Drawing {
    const { model } = this
    const style = this.style(Math.min(1, this.display.opacity + SELECTED_OPACITY))
    const drawing = new Drawing(context, model.view, model.viewSize, style, model.handleSize())
    const objects = model.selectedObjects()
    if (objects.length > MAX_LIFTED) {
      drawing.outlines(objects.map((object) => (model.previewed?.has(object.id) ? boundsOf(this.geometryOf(object)) : object.bounds)))
    } else if (!model.isSelectedHidden) for (const object of objects) drawing.object(object, this.geometryOf(object))
    for (const person of this.people) {
      const object = model.scene.get(person.object)
      if (object && model.scene.isVisible(object)) drawing.presence(person, object.bounds)
    }
    if (model.isKeyboard && model.pointer) drawing.crossHair([model.pointer.x, model.pointer.y])
    model.tool.draw(drawing, model.pointer)
    return drawing
  }

  /** The geometry as it is shown now. */
  private geometryOf({ id, geometry }: SceneObject): Geometry {
    return this.model.previewed?.get(id) ?? geometry
  }
}

function createCanvas(): HTMLCanvasElement {
  const canvas = document.createElement('canvas')
  canvas.setAttribute('aria-hidden', 'true')
  canvas.style.cssText = 'position:absolute;inset:0;width:100%;height:100%;pointer-events:none'
  return canvas
}

/** Gives a canvas the size of the drawing area. Returns its context, whose unit is a screen pixel. */
function prepareCanvas(canvas: HTMLCanvasElement, [viewWidth, viewHeight]: [number, number], pixelRatio: number): CanvasRenderingContext2D | null {
  const width = Math.round(viewWidth * pixelRatio)
  const height = Math.round(viewHeight * pixelRatio)
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width
    canvas.height = height
  }
  const context = canvas.getContext('2d')
  context?.setTransform(pixelRatio, 0, 0, pixelRatio, 0, 0)
  return context
}
