/** Builds edits and items for the tests. */
import { uuidv7 } from '@/canvas/editor/uuid'
import type { AppliedEdit, Edit, LabelItemDetail, LabelObject } from '@/features/labelling/sync/types'

export const ME = 'Anna'
export const OTHER = 'Ben'

export function box(id: string, x1 = 0, others: Partial<LabelObject> = {}): LabelObject {
  return {
    id, class: 'cell', geometry: { type: 'box', x1, y1: 0, x2: x1 + 10, y2: 10 }, attributes: {}, score: null, track: null, order: 0, source: 'manual',
    deleted: false, accepted: true, ...others,
  }
}

export function detail(objects: LabelObject[], seq = 10, others: Partial<LabelItemDetail> = {}): LabelItemDetail {
  return {
    key: 'a.png', index: 0, total: 1, previous: null, next: null, version_ref: 'cells@1', image: { column: 'image', width: 100, height: 100 },
    state: 'unlabelled', reason: null, objects, seq, is_checked: true, ...others,
  }
}

export function edit(kind: Edit['kind'], object: string | null, fields: Record<string, unknown> = {}, others: Partial<Edit> = {}): Edit {
  return { id: uuidv7(), item: 'a.png', object, kind, fields, base: 10, group: uuidv7(), undoes: null, redoes: null, ...others }
}

export function applied(base: Edit, seq: number, author = ME, before: Record<string, unknown> = {}): AppliedEdit {
  return { ...base, seq, author, author_id: author, time: '2026-11-29T12:00:00Z', before, overwrote: [] }
}
