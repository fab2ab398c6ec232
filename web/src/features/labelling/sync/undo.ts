/**
 * Undo and redo of the user's own acts on an item, without a limit and also after a reload.
 *
 * An act is a group of edits. To undo it, its inverse is appended to the log as a group that names it (`undoes`); to redo it, its edits are appended again
 * (`redoes`). The stacks therefore follow from the log.
 */
import { createEdit, type EditContext } from './edits'
import type { FieldOrigin } from './document'
import type { Edit } from './types'

/** An edit with the values that it replaced. `seq` is null as long as the server has not numbered it. */
export interface DoneEdit {
  edit: Edit
  before: Record<string, unknown>
  seq: number | null
}

interface Group {
  id: string
  edits: DoneEdit[]
}

export class UndoStack {
  private undoable: Group[] = []
  private redoable: Group[] = []
  private readonly groups = new Map<string, Group>()
  private readonly known = new Map<string, DoneEdit>()

  get canUndo(): boolean {
    return this.undoable.length > 0
  }

  get canRedo(): boolean {
    return this.redoable.length > 0
  }

  /** The group that the next undo (or redo) reverts. */
  get nextUndo(): Group | null {
    return this.undoable.at(-1) ?? null
  }

  get nextRedo(): Group | null {
    return this.redoable.at(-1) ?? null
  }

  /** Adds an own edit, in the order of the log. An edit that is known already gets the number and the old values that the server has found. */
  add(edit: Edit, before: Record<string, unknown>, seq: number | null): void {
    const known = this.known.get(edit.id)
    if (known) {
      if (seq !== null) {
        known.seq = seq
        known.before = before
      }
      return
    }
    const done = { edit, before, seq }
    this.known.set(edit.id, done)
    const existing = this.groups.get(edit.group)
    if (existing) {
      existing.edits.push(done)
      return
    }
    const group = { id: edit.group, edits: [done] }
    this.groups.set(edit.group, group)
    if (edit.undoes !== null) this.move(edit.undoes, this.undoable, this.redoable)
    else if (edit.redoes !== null) this.move(edit.redoes, this.redoable, this.undoable)
    else {
      this.undoable.push(group)
      this.redoable = []
    }
  }

  /** Notes the number of an edit that the server has applied. */
  setSeq(id: string, seq: number): void {
    const known = this.known.get(id)
    if (known) known.seq = seq
  }

  /** Removes an edit that did not take place: it was refused and discarded, or changed nothing. */
  remove(id: string): void {
    const done = this.known.get(id)
    if (!done) return
    this.known.delete(id)
    const group = this.groups.get(done.edit.group)
    if (!group) return
    group.edits = group.edits.filter((other) => other !== done)
    if (group.edits.length) return
    this.groups.delete(group.id)
    this.undoable = this.undoable.filter((other) => other !== group)
    this.redoable = this.redoable.filter((other) => other !== group)
  }

  private move(id: string, from: Group[], to: Group[]): void {
    const index = from.findLastIndex((group) => group.id === id)
    if (index >= 0) to.push(...from.splice(index, 1))
  }
}

/** The edits that revert a group: the inverse of each, last first. */
export function inverseEdits(group: Group, context: EditContext): Edit[] {
  const inverse = { ...context, undoes: group.id }
  return group.edits.toReversed().map(({ edit, before }) => {
    switch (edit.kind) {
      case 'put':
      case 'restore':
        return createEdit(inverse, edit.object, 'delete')
      case 'delete':
        return createEdit(inverse, edit.object, 'restore')
      case 'state':
        return createEdit(inverse, null, 'state', { state: before.state ?? 'in_progress', reason: before.reason ?? null })
      case 'patch':
        return createEdit(inverse, edit.object, 'patch', Object.fromEntries(Object.keys(edit.fields).map((name) => [name, before[name] ?? null])))
    }
  })
}

/** The edits that repeat a group that was undone. A new object is restored, because the log knows it. */
export function repeatedEdits(group: Group, context: EditContext): Edit[] {
  const repeated = { ...context, redoes: group.id }
  return group.edits.map(({ edit }) =>
    createEdit(repeated, edit.object, edit.kind === 'put' ? 'restore' : edit.kind, edit.kind === 'put' ? {} : edit.fields),
  )
}

/** The people who have changed what a group changed, after it. Undo would overwrite their work. */
export function laterAuthors(group: Group, me: string, originOf: (object: string | null, field: string) => FieldOrigin | null): string[] {
  const authors = new Set<string>()
  for (const { edit, seq } of group.edits) {
    const fields = edit.kind === 'patch' ? Object.keys(edit.fields) : ['']
    // Undo of a new object deletes it with all that others have changed in it.
    const affected = edit.kind === 'put' ? ['', 'class', 'geometry', 'score', 'track', 'order', ...attributeNames(edit)] : fields
    for (const field of affected) {
      const origin = originOf(edit.object, field)
      if (origin?.author && origin.author !== me && origin.seq > (seq ?? Infinity)) authors.add(origin.author)
    }
  }
  return [...authors]
}

const attributeNames = (edit: Edit): string[] => Object.keys((edit.fields.attributes ?? {}) as object).map((name) => `attributes.${name}`)
