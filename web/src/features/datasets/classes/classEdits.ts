/** Edits of classes that are not saved yet, and the classes after them. Independent of Vue components. */
import { reactive } from 'vue'
import type { Schemas } from '@/api/client'

export type ClassEdit = Schemas['ClassesEdit']['edits'][number]

/** A class after the edits. `originalName` is its name in the saved version; null for a new class. */
export interface ClassRow {
  column: string
  name: string
  color: string
  parent: string | null
  objects: number
  items: number
  originalName: string | null
  isMerged: boolean
}

/** An edit that cannot be applied: the class does not exist, the new name is taken, or it is empty. */
export class ClassEditError extends Error {
  constructor(readonly reason: 'missing' | 'taken' | 'empty') {
    super(reason)
  }
}

export interface PendingEdits {
  /** Number and ETag of the version that the edits are for. */
  baseVersion: number
  etag: string
  edits: ClassEdit[]
}

/** Unsaved edits by the reference of the branch. They are kept while the user visits other screens. */
export const pendingEdits = reactive(new Map<string, PendingEdits>())

export const toClassRows = (classes: Schemas['ClassResponse'][]): ClassRow[] =>
  classes.map(({ column, name, color, parent, objects, items }) => ({
    column,
    name,
    color,
    parent,
    objects,
    items,
    originalName: name,
    isMerged: false,
  }))

const PALETTE = [
  '#e69f00', '#56b4e9', '#009e73', '#f0e442', '#0072b2', '#d55e00', '#cc79a7', '#9114ff', '#4bff7b', '#ff1453', '#785c23', '#14ffef',
]
const FALLBACK_COLOR = '#5c7678'

/** The first colour of the palette that no class has. */
export function unusedColor(rows: ClassRow[]): string {
  return PALETTE.find((color) => rows.every((row) => row.color !== color)) ?? FALLBACK_COLOR
}

/** Applies an edit. Throws a ClassEditError if that is not possible. */
export function applyEdit(rows: ClassRow[], edit: ClassEdit): ClassRow[] {
  const isEdited = (row: ClassRow): boolean => row.column === edit.column && row.name === edit.name
  const exists = (name: string): boolean => rows.some((row) => row.column === edit.column && row.name === name)
  const editedRow = rows.find(isEdited)
  if (edit.action === 'add') {
    if (!edit.name.trim()) throw new ClassEditError('empty')
    if (editedRow) throw new ClassEditError('taken')
    return insertRow(rows, edit.column ?? '', edit.name, edit.color ?? unusedColor(rows))
  }
  if (!editedRow) throw new ClassEditError('missing')
  switch (edit.action) {
    case 'recolor':
      return rows.map((row) => (isEdited(row) ? { ...row, color: edit.color } : row))
    case 'rename':
      if (!edit.new_name.trim()) throw new ClassEditError('empty')
      if (edit.new_name !== edit.name && exists(edit.new_name)) throw new ClassEditError('taken')
      return replaceParent(rows, editedRow, edit.new_name).map((row) => (isEdited(row) ? { ...row, name: edit.new_name } : row))
    case 'merge':
      if (!exists(edit.target) || edit.target === edit.name) throw new ClassEditError('missing')
      return replaceParent(rows, editedRow, edit.target)
        .filter((row) => !isEdited(row))
        .map((row) => (row.column === edit.column && row.name === edit.target ? addCounts(row, editedRow) : row))
    case 'remove':
      return replaceParent(rows, editedRow, editedRow.parent).filter((row) => !isEdited(row))
  }
}

/** Inserts a new class after the last one of its column. */
function insertRow(rows: ClassRow[], column: string, name: string, color: string): ClassRow[] {
  const lastOfColumn = rows.findLastIndex((row) => row.column === column)
  const position = lastOfColumn < 0 ? rows.length : lastOfColumn + 1
  const newRow: ClassRow = { column, name, color, parent: null, objects: 0, items: 0, originalName: null, isMerged: false }
  return [...rows.slice(0, position), newRow, ...rows.slice(position)]
}

/** Gives the subclasses of a class another parent; a class is never its own parent. */
function replaceParent(rows: ClassRow[], oldParent: ClassRow, newParent: string | null): ClassRow[] {
  return rows.map((row) => {
    if (row.column !== oldParent.column || row.parent !== oldParent.name) return row
    return { ...row, parent: newParent === row.name ? null : newParent }
  })
}

/** An item can contain both classes, so the sum of the items is only an upper bound: `isMerged` says so. */
function addCounts(target: ClassRow, source: ClassRow): ClassRow {
  return {
    ...target,
    objects: target.objects + source.objects,
    items: target.items + source.items,
    isMerged: target.isMerged || source.objects > 0,
  }
}

/** Applies the edits in order, leaving out those that are not possible (any more). */
export function replayEdits(rows: ClassRow[], edits: ClassEdit[]): { rows: ClassRow[]; edits: ClassEdit[] } {
  const applied: ClassEdit[] = []
  let currentRows = rows
  for (const edit of edits) {
    try {
      currentRows = applyEdit(currentRows, edit)
      applied.push(edit)
    } catch (error) {
      if (!(error instanceof ClassEditError)) throw error
    }
  }
  return { rows: currentRows, edits: applied }
}

/** Adds an edit. Of successive colours of the same class only the last one is kept. */
export function appendEdit(edits: ClassEdit[], edit: ClassEdit): ClassEdit[] {
  const last = edits[edits.length - 1]
  const replacesLast = edit.action === 'recolor' && last?.action === 'recolor' && last.name === edit.name && last.column === edit.column
  return [...(replacesLast ? edits.slice(0, -1) : edits), edit]
}
