/** What a tool is, and what it may do with the editor. Independent of Vue. */
import type { Geometry, Point } from '../../shapes'
import type { ViewTransform } from '../../viewport'
import type { EditorPointer } from '../gestures'
import type { Drawing } from '../interactionLayer'
import type { Scene, SceneObject } from '../scene'
import type { CommandName, EditorClass, EditorOptions, HintCode, ObjectChange, ToolName } from '../types'

export interface ToolContext {
  readonly scene: Scene
  readonly view: ViewTransform
  readonly imageSize: [number, number]
  readonly options: EditorOptions
  readonly selection: readonly string[]
  readonly activeClass: string | null
  classOf(id: string): EditorClass | undefined
  select(ids: readonly string[]): void
  /** The selected objects that may be changed. */
  editable(): SceneObject[]
  /** Applies one act of the user, and tells the screen. Returns whether anything has changed. */
  commit(changes: ObjectChange[], label: string): boolean
  /** Creates and selects an object of the active class. Without one, it hints and returns null. */
  create(geometry: Geometry, label: string): string | null
  /** Whether there is a class for new objects; hints if not. */
  canCreate(): boolean
  /** Shows geometries of selected objects that are not applied yet; null ends it. */
  preview(geometries: ReadonlyMap<string, Geometry> | null): void
  /** Runs an operation on areas. If it fails on degenerate outlines, it hints and returns undefined. */
  tryClipping<T>(operation: () => T): T | undefined
  /** Whether a tool draws the selected object itself. */
  hideSelected(isHidden: boolean): void
  setTool(name: ToolName): void
  hint(code: HintCode | null): void
  /** Draws the interaction layer again. */
  redraw(): void
  pan(dx: number, dy: number): void
  /** A point of the image, moved into the image if drawn objects must stay there. */
  clamp(point: Point): Point
  /** Where a point is placed: inside the image, and with Ctrl at a vertex or an edge of another object that is near. */
  place(pointer: { x: number; y: number; ctrl: boolean }, exceptId?: string): Point
  /** Of a handle, in screen pixels. */
  handleSize(): number
  /** How far a click may be from a line or a point, in pixels of the image. */
  tolerance(): number
}

export interface Tool {
  readonly name: ToolName
  /** Whether something has been begun and is not finished. */
  readonly hasDraft: boolean
  /** The bounds of what is being drawn. */
  readonly draftSize: [number, number] | null
  /** Returns 'pan' if the press shall move the view instead. */
  pointerDown(pointer: EditorPointer): 'pan' | undefined
  /** Pressed or not. */
  pointerMove(pointer: EditorPointer): void
  pointerUp(pointer: EditorPointer): void
  /** A click with the right button. */
  secondary?(pointer: EditorPointer): void
  /** The press became something else; what was drawn before it stays. */
  interrupt(): void
  /** Runs a command, or returns false if it does not apply now. */
  command(name: CommandName): boolean
  /** Puts aside what is being drawn. Returns whether there was something. */
  cancel(): boolean
  draw(drawing: Drawing, pointer: EditorPointer | null): void
  cursor(pointer: EditorPointer | null): string
}
