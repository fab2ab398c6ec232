/** Label sets on the server. */
import { ApiError, apiUrl, csrfHeaders, toApiError, unwrap, type FetchResult } from '@/api/client'
import { refresh, type ApiQuery, type QueryKey } from '@/api/queries'
import type { DisplayState } from '@/features/labelling/itemStates'
import type { AppliedEdit, ItemState, LabelClass, LabelItem, LabelItemDetail, LabelSet, Edit, EditResult } from '@/features/labelling/sync/types'
import type { SendOutcome } from '@/features/labelling/sync/sender'
import { t } from '@/i18n'

type Query = Record<string, string | number | boolean | undefined>

async function request<T>(method: string, path: string, { query, body, signal }: { query?: Query; body?: unknown; signal?: AbortSignal } = {}): Promise<FetchResult<T>> {
  const headers: Record<string, string> = method === 'GET' ? {} : csrfHeaders()
  if (body !== undefined) headers['Content-Type'] = 'application/json'
  const response = await fetch(apiUrl(path, query), { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal })
  const text = await response.text()
  let content: unknown
  try {
    content = text ? JSON.parse(text) : undefined
  } catch {
    content = undefined
  }
  return response.ok ? { data: content as T, response } : { error: content, response }
}

const call = <T>(...parameters: Parameters<typeof request>): Promise<T> => unwrap(request<T>(...parameters))

function query<T>(path: string, parameters: Query = {}): ApiQuery<T> {
  return {
    queryKey: [path, parameters] as unknown as QueryKey,
    queryFn: ({ signal }) => call<T>('GET', path, { query: parameters, signal }),
  }
}

const setPath = (name: string, rest = ''): string => `/label-sets/${encodeURIComponent(name)}${rest}`

export interface NewLabelSet {
  name: string
  dataset: string
  column: string
  start: LabelSet['start']
  query: string | null
  predictions?: string
  min_score?: number
  classes?: string[]
}

export interface ItemPage {
  total: number
  items: LabelItem[]
}

export interface ClassChange {
  name: string
  change: 'added' | 'changed' | 'removed'
  previous_name: string | null
}

/** What a commit would change, compared with the base of the set. */
export interface CommitPreview {
  base: string
  items: number
  changed_items: number
  added: number
  removed: number
  changed: number
  classes: ClassChange[]
}

export interface CommitResult {
  version: string
  items: number
  added: number
  removed: number
  changed: number
  seq: number
}

export const labelSetsQuery = (): ApiQuery<{ label_sets: LabelSet[] }> => query('/label-sets')
export const labelSetQuery = (name: string): ApiQuery<LabelSet> => query(setPath(name))
export const labelItemsQuery = (name: string, state: DisplayState | '', offset: number, limit: number): ApiQuery<ItemPage> =>
  query(setPath(name, '/items'), { state: state === 'unchecked' ? undefined : state || undefined, checked: state ? state !== 'unchecked' : undefined, offset, limit })

export async function createLabelSet(body: NewLabelSet): Promise<LabelSet> {
  return call('POST', '/label-sets', { body })
}

export async function deleteLabelSet(name: string, force: boolean): Promise<void> {
  await call('DELETE', setPath(name), { query: { force: force || undefined } })
}

export async function saveClass(name: string, labelClass: LabelClass): Promise<LabelClass> {
  const { id, ...body } = labelClass
  try {
    return await call('PUT', setPath(name, `/classes/${encodeURIComponent(id)}`), { body })
  } finally {
    await refresh()
  }
}

export const commitPreviewQuery = (name: string): ApiQuery<CommitPreview> => query(setPath(name, '/commit'))

export async function commitLabelSet(name: string, message: string, prefer: 'labels' | 'dataset' | null): Promise<CommitResult> {
  return call('POST', setPath(name, '/commit'), { body: { message, prefer } })
}

export const fetchItem = (name: string, key: string): Promise<LabelItemDetail> => call('GET', setPath(name, '/item'), { query: { key } })
export const fetchItems = (name: string, state: ItemState | '', offset: number, limit: number): Promise<ItemPage> =>
  call('GET', setPath(name, '/items'), { query: { state: state || undefined, offset, limit } })

const HISTORY_PAGE = 1000

/** All edits of an item, in the order of the log. */
export async function fetchHistory(name: string, key: string): Promise<AppliedEdit[]> {
  const edits: AppliedEdit[] = []
  for (;;) {
    const page: { edits: AppliedEdit[] } = await call('GET', setPath(name, '/history'), { query: { item: key, after: edits.at(-1)?.seq ?? 0, limit: HISTORY_PAGE } })
    edits.push(...page.edits)
    if (page.edits.length < HISTORY_PAGE) return edits
  }
}

export async function sendPresence(name: string, body: { client: string; item: string | null; object: string | null }): Promise<void> {
  await request('POST', setPath(name, '/presence'), { body })
}

export const eventsUrl = (name: string, after: number): string => apiUrl(setPath(name, '/events'), { after })

const MAY_SUCCEED_LATER = [408, 425, 429]

/** Sends edits. Does not throw: the caller keeps the edits whatever happens. */
export async function sendEdits(name: string, edits: Edit[]): Promise<SendOutcome> {
  let result: FetchResult<{ results: EditResult[]; seq: number }>
  try {
    result = await request('POST', setPath(name, '/edits'), { body: { edits } })
  } catch {
    return { type: 'retry' }
  }
  const { response, data, error } = result
  if (data) return { type: 'results', ...data }
  if (response.status === 401) return { type: 'signed-out' }
  if (response.status >= 500 || response.ok || MAY_SUCCEED_LATER.includes(response.status)) {
    const seconds = Number(response.headers.get('Retry-After'))
    return { type: 'retry', afterMs: seconds > 0 ? seconds * 1000 : undefined }
  }
  const { message, hint } = toApiError(response.status, error)
  return { type: 'refused', reason: [message, hint].filter(Boolean).join(' ') }
}

/** Why a commit is not possible without a choice: both sides changed the same objects. */
export const isConflict = (error: unknown): error is ApiError => error instanceof ApiError && error.status === 409

export const stateTitle = (state: ItemState): string => t.labelling.states[state]
