/** Converts between what the editor does and the edits that are sent. */
import type { ObjectChange } from '@/canvas/editor'
import { uuidv7 } from '@/canvas/editor/uuid'
import { ATTRIBUTE_PREFIX, type ItemDocument } from './document'
import type { Edit, EditKind, LabelObject } from './types'

export interface EditContext {
  item: string
  /** The number of the last edit that the user had seen. */
  base: number
  group: string
  undoes?: string | null
  redoes?: string | null
}

export function createEdit(context: EditContext, object: string | null, kind: EditKind, fields: Record<string, unknown> = {}): Edit {
  const { item, base, group, undoes = null, redoes = null } = context
  return { id: uuidv7(), item, object, kind, fields, base, group, undoes, redoes }
}

/** The edits of one act in the editor. Attributes are sent one by one, so that two people can set different ones. */
export function editsFromChanges(changes: readonly ObjectChange[], context: EditContext, document: ItemDocument): Edit[] {
  const edits: Edit[] = []
  for (const change of changes) {
    if (change.kind === 'put') {
      const { id, ...fields } = change.object
      delete fields.accepted // what is drawn, or copied from a prediction, needs no decision
      edits.push(createEdit(context, id, 'put', { ...fields }))
    } else if (change.kind === 'delete') {
      edits.push(createEdit(context, change.id, 'delete'))
    } else {
      const fields = patchFields(change.fields, document.objects.get(change.id))
      if (Object.keys(fields).length) edits.push(createEdit(context, change.id, 'patch', fields))
    }
  }
  return edits
}

function patchFields(changed: Record<string, unknown>, object: LabelObject | undefined): Record<string, unknown> {
  const { attributes, ...fields } = changed
  if (attributes !== undefined) {
    const previous = object?.attributes ?? {}
    const current = attributes as Record<string, unknown>
    for (const name of new Set([...Object.keys(previous), ...Object.keys(current)])) {
      if (previous[name] !== current[name]) fields[ATTRIBUTE_PREFIX + name] = current[name] ?? null
    }
  }
  // Who corrects a prediction accepts it.
  if (object && !object.accepted && Object.keys(fields).some((name) => name !== 'order')) fields.accepted ??= true
  return fields
}

/** What the editor has to do to show the present objects. */
export function changesFor(ids: readonly string[], before: ReadonlyMap<string, LabelObject>, document: ItemDocument): ObjectChange[] {
  const changes: ObjectChange[] = []
  for (const id of ids) {
    const object = document.objects.get(id)
    const previous = before.get(id)
    if (!object) {
      if (previous) changes.push({ kind: 'delete', id })
      continue
    }
    const { class: labelClass, geometry, attributes, score, track, order, source, accepted } = object
    const fields = { class: labelClass, geometry, attributes, score, track, order, source, accepted }
    changes.push(previous ? { kind: 'patch', id, fields } : { kind: 'put', object: { id, ...fields } })
  }
  return changes
}
