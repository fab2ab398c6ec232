/** Draws keypoints by the template of the class: a drag draws their box, and clicks place the points in order. Independent of Vue. */
import type { Geometry, Point } from '../../shapes'
import { boundsBetween, type Bounds } from '../geometry/bounds'
import type { EditorPointer } from '../gestures'
import type { Drawing } from '../interactionLayer'
import type { CommandName } from '../types'
import type { Tool, ToolContext } from './tool'

const MIN_SIZE = 3 // screen pixels

type Keypoints = Extract<Geometry, { type: 'keypoints' }>

/** As in COCO. */
const NOT_LABELLED = 0
const HIDDEN = 1
const VISIBLE = 2

interface PlacedPoint {
  position: Point
  visibility: number
}

export class KeypointsTool implements Tool {
  readonly name = 'keypoints'
  private box: Bounds | null = null
  private placed: PlacedPoint[] = []
  private pressed: Point | null = null

  constructor(private readonly context: ToolContext) {}

  get hasDraft(): boolean {
    return this.box !== null || this.placed.length > 0
  }

  get draftSize(): [number, number] | null {
    return this.box && [this.box[2] - this.box[0], this.box[3] - this.box[1]]
  }

  pointerDown(pointer: EditorPointer): undefined {
    if (!this.context.canCreate()) return
    if (!this.names().length) {
      this.context.hint('class-needs-keypoints')
      return
    }
    this.context.hint(null)
    this.pressed = this.context.clamp([pointer.x, pointer.y])
  }

  pointerMove(pointer: EditorPointer): void {
    if (this.pressed && pointer.isDrag && !this.placed.length) this.box = boundsBetween(this.pressed, this.context.clamp([pointer.x, pointer.y]))
    this.context.redraw()
  }

  pointerUp(pointer: EditorPointer): void {
    const { pressed } = this
    this.pressed = null
    if (!pressed) return
    if (pointer.isDrag && !this.placed.length) this.endBox()
    else this.place(this.context.clamp([pointer.x, pointer.y]), VISIBLE)
  }

  /** The right button places a point that is hidden in the image. */
  secondary(pointer: EditorPointer): void {
    if (this.hasDraft) this.place(this.context.clamp([pointer.x, pointer.y]), HIDDEN)
  }

  interrupt(): void {
    if (this.pressed && !this.placed.length) this.box = null
    this.pressed = null
  }

  command(name: CommandName): boolean {
    if (!this.hasDraft) return false
    if (name === 'skip-point') {
      this.place([0, 0], NOT_LABELLED)
      return true
    }
    if (name === 'finish') {
      this.finish()
      return true
    }
    if (name !== 'remove-last-point') return false
    if (!this.placed.pop()) this.box = null
    this.context.redraw()
    return true
  }

  cancel(): boolean {
    const hadDraft = this.hasDraft
    this.box = null
    this.placed = []
    this.pressed = null
    this.context.redraw()
    return hadDraft
  }

  draw(drawing: Drawing, pointer: EditorPointer | null): void {
    const classId = this.context.activeClass ?? ''
    if (this.box) {
      const [x1, y1, x2, y2] = this.box
      drawing.frame({ cx: (x1 + x2) / 2, cy: (y1 + y2) / 2, width: x2 - x1, height: y2 - y1, angle: 0 }, 0)
    }
    if (this.placed.length) drawing.draft({ ...this.geometry(), box: null }, classId)
    if (!pointer || pointer.isTouch) return
    const point = this.context.clamp([pointer.x, pointer.y])
    if (!this.hasDraft) drawing.crossHair(point)
    else if (!this.pressed) {
      drawing.dot(point, 8, drawing.colorOf(classId))
      drawing.text(this.names()[this.placed.length] ?? '', point)
    }
  }

  cursor(): string {
    return 'crosshair'
  }

  private names(): readonly string[] {
    return this.context.classOf(this.context.activeClass ?? '')?.keypoints ?? []
  }

  private endBox(): void {
    const [x1, y1, x2, y2] = this.box ?? [0, 0, 0, 0]
    if (Math.min(x2 - x1, y2 - y1) * this.context.view.scale >= MIN_SIZE) return
    this.box = null
    this.context.hint('too-small')
  }

  private place(position: Point, visibility: number): void {
    this.placed.push({ position, visibility })
    if (this.placed.length === this.names().length) this.finish()
    this.context.redraw()
  }

  /** The points that are missing are not labelled. */
  private geometry(): Keypoints {
    const points = this.names().map((_, index) => this.placed[index] ?? { position: [0, 0] as Point, visibility: NOT_LABELLED })
    const [x1, y1, x2, y2] = this.box ?? []
    return {
      type: 'keypoints',
      points: points.map(({ position }) => position),
      visibility: points.map(({ visibility }) => visibility),
      box: x1 === undefined || y1 === undefined || x2 === undefined || y2 === undefined ? null : { x1, y1, x2, y2 },
    }
  }

  private finish(): void {
    if (!this.placed.some(({ visibility }) => visibility)) {
      this.context.hint('too-few-points')
      return
    }
    const geometry = this.geometry()
    this.cancel()
    this.context.create(geometry, 'draw')
  }
}
