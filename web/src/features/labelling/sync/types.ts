/** What the server and the labelling studio send each other. */
import type { Geometry } from '@/canvas/shapes'

export type ItemState = 'unlabelled' | 'in_progress' | 'labelled' | 'empty' | 'skipped'
export const ITEM_STATES: readonly ItemState[] = ['unlabelled', 'in_progress', 'labelled', 'empty', 'skipped']

export type AttributeType = 'text' | 'number' | 'checkbox' | 'select' | 'radio'

export interface AttributeSpec {
  name: string
  type: AttributeType
  choices: string[]
  default: unknown
  required: boolean
}

export interface LabelClass {
  id: string
  name: string
  color: string
  hotkey: string | null
  parent: string | null
  attributes: AttributeSpec[]
  keypoints: string[]
  skeleton: [number, number][]
  deleted: boolean
}

export interface LabelSet {
  name: string
  dataset: string
  branch: string
  column: string
  start: 'labels' | 'empty' | 'predictions'
  /** The version with the predictions that the set starts with; null without. */
  predictions: string | null
  prediction_model: string | null
  min_score: number | null
  /** The dataset version that the labels start from, such as "cells@3". */
  base: string
  classes: LabelClass[]
  seq: number
  committed_seq: number
  uncommitted_edits: number
  uncommitted_items: number
  has_uncommitted_classes: boolean
  created: string
  author: string
  items: number
  states: Record<ItemState, number>
  /** Of these, the items that are labelled or empty in the dataset, and not marked as such in this set. */
  unchecked: Record<ItemState, number>
  /** The items that were marked as done, empty or skipped in this set. */
  done: number
}

export interface LabelItem {
  key: string
  index: number
  state: ItemState
  reason: string | null
  objects: number
  updated: string | null
  updated_by: string
  version_ref: string
  width: number | null
  height: number | null
  is_checked: boolean
}

export interface LabelObject {
  id: string
  class: string
  geometry: Geometry
  attributes: Record<string, unknown>
  score: number | null
  track: string | null
  order: number
  source: string
  deleted: boolean
  /** False for a prediction that is not decided yet. */
  accepted: boolean
}

export interface LabelItemDetail {
  key: string
  index: number
  total: number
  previous: string | null
  next: string | null
  version_ref: string
  image: { column: string; width: number; height: number } & Record<string, unknown>
  state: ItemState
  reason: string | null
  objects: LabelObject[]
  seq: number
  /** False if the item is labelled or empty in the dataset, and not marked as such in this set. */
  is_checked: boolean
}

export type EditKind = 'put' | 'patch' | 'delete' | 'restore' | 'state'

/** A change of one object, or of the state of an item. `group` joins the edits of one act of the user. */
export interface Edit {
  id: string
  item: string
  object: string | null
  kind: EditKind
  fields: Record<string, unknown>
  base: number
  group: string
  undoes: string | null
  redoes: string | null
}

export interface Overwritten {
  field: string
  author: string
  seq: number
}

export interface EditResult {
  id: string
  status: 'applied' | 'unchanged' | 'refused'
  seq: number | null
  code: string | null
  reason: string | null
  overwrote: Overwritten[]
  deleted_by: string | null
}

export interface AppliedEdit extends Edit {
  seq: number
  author: string
  author_id: string
  time: string
  before: Record<string, unknown>
  overwrote: Overwritten[]
}

export interface Person {
  author: string
  author_id: string
  client: string
  item: string | null
  object: string | null
}

export interface CommitEvent {
  base: string
  committed_seq: number
}
