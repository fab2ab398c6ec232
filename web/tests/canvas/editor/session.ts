/** The editor without a page: its model, and a mouse that moves over it. */
import type { EditorPointer } from '@/canvas/editor/gestures'
import { EditorModel } from '@/canvas/editor/model'
import type { EditorObject, EditorOptions, HintCode, ObjectChange } from '@/canvas/editor/types'
import type { Geometry } from '@/canvas/shapes'

type Keys = Partial<Pick<EditorPointer, 'shift' | 'ctrl' | 'alt' | 'isTouch'>>

export const createObject = (id: string, geometry: Geometry, fields: Partial<EditorObject> = {}): EditorObject => ({
  id, class: 'ship', geometry, attributes: {}, score: null, track: null, order: 0, source: 'manual', ...fields,
})

export const box = (x1: number, y1: number, x2: number, y2: number): Geometry => ({ type: 'box', x1, y1, x2, y2 })

/** An image of 100 x 80 pixels at a scale of 1, so that screen and image have the same coordinates. */
export class Session {
  readonly acts: { changes: ObjectChange[]; label: string }[] = []
  readonly hints: (HintCode | null)[] = []
  readonly model: EditorModel
  private clicks = 0

  constructor(objects: EditorObject[] = [], options: Partial<EditorOptions> = {}, scale = 1) {
    this.model = new EditorModel(
      { redraw: () => {}, invalidate: () => {}, invalidateAll: () => {}, cursor: () => {} },
      { change: (changes, label) => this.acts.push({ changes, label }), hint: (code) => this.hints.push(code) },
      options,
    )
    this.model.viewport.setViewSize([100, 80])
    this.model.setImageSize([100, 80])
    this.model.viewport.transform = { scale, x: 0, y: 0 }
    this.model.setClasses([{ id: 'ship', name: 'Ship', color: '#ff0000', keypoints: ['bow', 'mast', 'stern'], skeleton: [[0, 1], [1, 2]] }])
    this.model.setObjects(objects)
    this.model.activeClass = 'ship'
  }

  pointer(x: number, y: number, fields: Partial<EditorPointer> = {}): EditorPointer {
    const { scale } = this.model.view
    return {
      x, y, screenX: x * scale, screenY: y * scale, shift: false, ctrl: false, alt: false, isTouch: false, isPressed: false, isDrag: false, clicks: 1, ...fields,
    }
  }

  hover(x: number, y: number): void {
    this.model.pointerMove(this.pointer(x, y))
  }

  click(x: number, y: number, keys: Keys = {}): void {
    this.clicks += 1
    this.model.pointerDown(this.pointer(x, y, { ...keys, isPressed: true }))
    this.model.pointerUp(this.pointer(x, y, keys))
  }

  doubleClick(x: number, y: number): void {
    this.click(x, y)
    this.model.pointerDown(this.pointer(x, y, { isPressed: true, clicks: 2 }))
    this.model.pointerUp(this.pointer(x, y, { clicks: 2 }))
  }

  rightClick(x: number, y: number): void {
    this.model.secondary(this.pointer(x, y))
  }

  /** Presses at the first point and drags over the others. */
  drag(points: [number, number][], keys: Keys = {}): 'pan' | undefined {
    const [[startX, startY] = [0, 0], ...others] = points
    const result = this.model.pointerDown(this.pointer(startX, startY, { ...keys, isPressed: true }))
    for (const [x, y] of others) this.model.pointerMove(this.pointer(x, y, { ...keys, isPressed: true, isDrag: true }))
    const [endX, endY] = points.at(-1) ?? [0, 0]
    this.model.pointerUp(this.pointer(endX, endY, { ...keys, isDrag: true }))
    return result
  }

  geometry(id: string): Geometry | undefined {
    return this.model.scene.get(id)?.geometry
  }

  get ids(): string[] {
    return this.model.scene.all().map(({ id }) => id)
  }
}
