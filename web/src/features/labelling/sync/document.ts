/**
 * The objects of an item: what the server has confirmed, and over it the user's edits that wait for their answer.
 *
 * As on the server, the last writer of a field wins. Each field knows the number of the edit that set it, so that edits may arrive in any order and twice.
 */
import type { AppliedEdit, Edit, ItemState, LabelItemDetail, LabelObject } from './types'

export const ATTRIBUTE_PREFIX = 'attributes.'
/** Work on an object starts such an item (again). */
const STARTED_BY_EDIT: readonly ItemState[] = ['unlabelled', 'empty', 'skipped']
const OBJECT_FIELDS = ['class', 'geometry', 'score', 'track', 'order', 'source', 'accepted'] as const

export interface FieldOrigin {
  seq: number
  /** The author of the value; null if it is as it was when the item was opened. */
  author: string | null
}

interface Field extends FieldOrigin {
  value: unknown
}

interface StoredObject {
  fields: Map<string, Field>
  existence: FieldOrigin & { deleted: boolean }
}

export interface StateOfItem {
  state: ItemState
  reason: string | null
}

/** The fields of an object as in an edit, with a field for each attribute. */
export function fieldsOf(object: LabelObject): Record<string, unknown> {
  const fields: Record<string, unknown> = {}
  for (const name of OBJECT_FIELDS) fields[name] = object[name]
  for (const [name, value] of Object.entries(object.attributes)) fields[ATTRIBUTE_PREFIX + name] = value
  return fields
}

/** The fields of an edit, with a field for each attribute. */
export function flatFields(fields: Record<string, unknown>): Record<string, unknown> {
  const { attributes, ...others } = fields
  const flat: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(others)) if (name !== 'id' && name !== 'deleted') flat[name] = value
  for (const [name, value] of Object.entries((attributes ?? {}) as Record<string, unknown>)) flat[ATTRIBUTE_PREFIX + name] = value
  return flat
}

function toObject(id: string, values: ReadonlyMap<string, unknown>): LabelObject {
  const attributes: Record<string, unknown> = {}
  for (const [name, value] of values) {
    if (name.startsWith(ATTRIBUTE_PREFIX) && value !== null && value !== undefined) attributes[name.slice(ATTRIBUTE_PREFIX.length)] = value
  }
  return {
    id,
    class: String(values.get('class') ?? ''),
    geometry: values.get('geometry') as LabelObject['geometry'],
    attributes,
    score: (values.get('score') as number | null | undefined) ?? null,
    track: (values.get('track') as string | null | undefined) ?? null,
    order: Number(values.get('order') ?? 0),
    source: String(values.get('source') ?? 'manual'),
    deleted: false,
    accepted: values.get('accepted') !== false,
  }
}

export class ItemDocument {
  readonly key: string
  /** The number of the last edit that this item reflects. */
  seq: number
  private readonly openedSeq: number
  private readonly stored = new Map<string, StoredObject>()
  private readonly shown = new Map<string, LabelObject>()
  private pending: Edit[] = []
  private confirmedState: StateOfItem & FieldOrigin

  constructor(detail: LabelItemDetail) {
    this.key = detail.key
    this.seq = detail.seq
    this.openedSeq = detail.seq
    this.confirmedState = { state: detail.state, reason: detail.reason, seq: detail.seq, author: null }
    for (const object of detail.objects) {
      const origin = { seq: detail.seq, author: null }
      const fields = new Map(Object.entries(fieldsOf(object)).map(([name, value]) => [name, { value, ...origin }]))
      this.stored.set(object.id, { fields, existence: { deleted: object.deleted, ...origin } })
      if (!object.deleted) this.shown.set(object.id, object)
    }
  }

  /** The objects on the screen, by id. */
  get objects(): ReadonlyMap<string, LabelObject> {
    return this.shown
  }

  /** The state on the screen. */
  get state(): StateOfItem {
    let current: StateOfItem = { state: this.confirmedState.state, reason: this.confirmedState.reason }
    for (const edit of this.pending) {
      if (edit.kind === 'state') current = { state: this.storedState(edit.fields.state as ItemState), reason: (edit.fields.reason as string | null | undefined) ?? null }
      else if (STARTED_BY_EDIT.includes(current.state)) current = { state: 'in_progress', reason: null }
    }
    return current
  }

  /** The edit that set a field of an object ("" stands for whether it exists); null if the object is not known. */
  originOf(id: string, field: string): FieldOrigin | null {
    const object = this.stored.get(id)
    return (field === '' ? object?.existence : (object?.fields.get(field) ?? object?.existence)) ?? null
  }

  get stateOrigin(): FieldOrigin {
    return this.confirmedState
  }

  /** The present values of some fields of an object, also of a deleted one; null for those that it has not. */
  valuesOf(id: string, names: readonly string[]): Record<string, unknown> {
    const values = this.pendingValues(id).values
    return Object.fromEntries(names.map((name) => [name, values.get(name) ?? null]))
  }

  /** Applies an edit of the user that has not been sent. Returns the ids of the objects that changed. */
  addPending(edit: Edit): string[] {
    this.pending.push(edit)
    return this.update(edit.object)
  }

  /** Forgets an edit that the server has answered. Its effect stays if it was applied. */
  removePending(id: string): string[] {
    const edit = this.pending.find((pending) => pending.id === id)
    if (!edit) return []
    this.pending = this.pending.filter((pending) => pending !== edit)
    return this.update(edit.object)
  }

  get hasPending(): boolean {
    return this.pending.length > 0
  }

  /** Applies an edit that the server has numbered: of another person, or the user's own. Returns the ids of the objects that changed. */
  confirm(edit: Pick<AppliedEdit, 'object' | 'kind' | 'fields' | 'seq'> & { author: string | null }): string[] {
    const { seq, author } = edit
    this.seq = Math.max(this.seq, seq)
    if (edit.kind === 'state' || edit.object === null) {
      if (seq > this.confirmedState.seq) {
        const { state, reason } = edit.fields as Partial<StateOfItem>
        this.confirmedState = { state: state ? this.storedState(state) : this.confirmedState.state, reason: reason ?? null, seq, author }
      }
      return []
    }
    if (seq > this.confirmedState.seq && STARTED_BY_EDIT.includes(this.confirmedState.state)) this.confirmedState = { state: 'in_progress', reason: null, seq: this.confirmedState.seq, author }
    let object = this.stored.get(edit.object)
    if (!object) {
      object = { fields: new Map(), existence: { deleted: edit.kind !== 'put', seq: -1, author: null } }
      this.stored.set(edit.object, object)
    }
    for (const [name, value] of Object.entries(flatFields(edit.fields))) {
      if (seq > (object.fields.get(name)?.seq ?? -1)) object.fields.set(name, { value, seq, author })
    }
    if (edit.kind !== 'patch' && seq > object.existence.seq) object.existence = { deleted: edit.kind === 'delete', seq, author }
    return this.update(edit.object)
  }

  /** Adds what the log knows and the item does not tell: who has changed what, and the objects that were deleted, which can be restored. */
  addHistory({ object: id, kind, fields, before, seq, author }: AppliedEdit): void {
    if (kind === 'state') {
      if (seq <= this.confirmedState.seq) this.confirmedState.author = author
      return
    }
    if (id === null || seq > this.openedSeq) return
    let object = this.stored.get(id)
    if (!object) {
      object = { fields: new Map(), existence: { deleted: true, seq, author } }
      this.stored.set(id, object)
    }
    for (const [name, value] of Object.entries(flatFields(kind === 'delete' ? { ...before, ...fields } : fields))) {
      const field = object.fields.get(name)
      // Objects of the item have their present values, which are those of its last edit.
      if (!field || field.seq < this.openedSeq) object.fields.set(name, { value, seq, author })
      else if (kind !== 'delete') field.author = author
    }
    if (kind !== 'patch') object.existence.author = author
  }

  /** The server stores a labelled item without objects as empty. */
  private storedState(state: ItemState): ItemState {
    return state === 'labelled' && this.shown.size === 0 ? 'empty' : state
  }

  private pendingValues(id: string): { values: Map<string, unknown>; deleted: boolean } {
    const object = this.stored.get(id)
    const values = new Map<string, unknown>()
    for (const [name, { value }] of object?.fields ?? []) values.set(name, value)
    let deleted = object?.existence.deleted ?? true
    for (const edit of this.pending) {
      if (edit.object !== id) continue
      for (const [name, value] of Object.entries(flatFields(edit.fields))) values.set(name, value)
      if (edit.kind === 'put' || edit.kind === 'restore') deleted = false
      else if (edit.kind === 'delete') deleted = true
    }
    return { values, deleted }
  }

  private update(id: string | null): string[] {
    if (id === null) return []
    const { values, deleted } = this.pendingValues(id)
    const previous = this.shown.get(id)
    if (deleted || !values.get('geometry')) {
      this.shown.delete(id)
      return previous ? [id] : []
    }
    const current = toObject(id, values)
    if (previous && JSON.stringify(previous) === JSON.stringify(current)) return []
    this.shown.set(id, current)
    return [id]
  }
}
