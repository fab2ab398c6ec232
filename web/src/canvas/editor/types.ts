/** What the editor shows, and how it talks to the screen around it. Independent of Vue. */
import type { Geometry } from '../shapes'

/** A labelled object. `class` is the id of its class, and `order` decides what lies on top. */
export interface EditorObject {
  id: string
  class: string
  geometry: Geometry
  attributes: Record<string, unknown>
  score: number | null
  track: string | null
  order: number
  source: string
  /** False for a prediction that is not decided yet: it is drawn dashed, with its label. */
  accepted?: boolean
}

export type ObjectFields = Partial<Omit<EditorObject, 'id'>>

export type ObjectChange =
  | { kind: 'put'; object: EditorObject }
  | { kind: 'patch'; id: string; fields: ObjectFields }
  | { kind: 'delete'; id: string }

export interface EditorClass {
  id: string
  name: string
  color: string
  keypoints: string[]
  skeleton: [number, number][]
}

export interface EditorImage {
  /** The whole image, or a small version of a tiled one; null if there is none. */
  url: string | null
  width: number
  height: number
  /** The address of a tile of an image pyramid, for an image that is too large to be shown as one. */
  tileUrl?: (level: number, x: number, y: number) => string
}

export interface EditorVisibility {
  hiddenIds: Set<string>
  lockedIds: Set<string>
  hiddenClasses: Set<string>
  /** Predictions that are not decided and have a lower score are hidden. */
  minScore: number
}

export interface EditorDisplay {
  /** Of the areas of objects, 0 to 1; outlines are always opaque. */
  opacity: number
  labels: boolean
  /** 1 leaves the image as it is. */
  brightness: number
  contrast: number
  gamma: number
}

/** Another person who works on an object. */
export interface EditorPresence {
  name: string
  color: string
  object: string
}

export interface EditorStatus {
  /** The position of the pointer in the image. */
  x: number
  y: number
  /** Screen pixels per image pixel. */
  scale: number
  /** The size of what is being drawn or is selected. */
  width: number | null
  height: number | null
}

export interface EditorOptions {
  /** The accessible name of the drawing area. */
  label: string
  /** Whether drawn and moved objects stay inside the image. */
  isClamped: boolean
  /** Whether the wheel pans, and only a pinch or Ctrl with the wheel zooms. */
  wheelPans: boolean
}

export type ToolName =
  | 'select' | 'pan' | 'box' | 'rotated-box' | 'polygon' | 'polyline' | 'points' | 'keypoints' | 'ellipse' | 'brush' | 'eraser' | 'slice'

export type HintCode =
  | 'too-small' | 'choose-class' | 'choose-mask' | 'choose-polygon' | 'choose-areas' | 'slice-misses' | 'clipping-failed'
  | 'too-few-points' | 'polygon-needs-3-points' | 'class-needs-keypoints' | 'image-failed'

type Direction = 'left' | 'right' | 'up' | 'down'

export type CommandName =
  | 'delete' | 'finish' | 'cancel' | 'remove-last-point' | 'restore-last-point' | 'restore-draft' | 'skip-point'
  | `nudge-${Direction}` | `nudge-${Direction}-10`
  // The keyboard's pointer: steps of 10 px or 1 px of the screen, a click, and a click with the right button
  | `cursor-${Direction}` | `cursor-${Direction}-1` | 'cursor-click' | 'cursor-secondary'
  | 'copy' | 'cut' | 'paste' | 'duplicate'
  | 'fit' | 'zoom-in' | 'zoom-out' | 'zoom-selection'
  | 'select-all' | 'select-none' | 'select-next' | 'select-previous'
  | 'bring-forward' | 'send-backward' | 'bring-to-front' | 'send-to-back'
  | 'brush-larger' | 'brush-smaller'
  | 'join' | 'slice' | 'subtract' | 'to-mask'

export interface EditorEvents {
  /** One act of the user: one call, and one step of undo. The editor has already applied it to its own objects. */
  change(changes: ObjectChange[], label: string): void
  select(ids: string[]): void
  tool(name: ToolName): void
  /** Advice for the user, as a code that the screen translates; null takes it back. */
  hint(message: HintCode | null): void
  status(status: EditorStatus): void
  /** Whether something is being drawn. */
  draft(isActive: boolean): void
}
