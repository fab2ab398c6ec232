/** What a view of items is filtered by, and the query that says so. Nothing here knows of the page. */
import type { Column } from './version'

export type Range = [number, number]

export interface Filters {
  query: string
  classes: string[]
  splits: string[]
  tags: string[]
  area: Range | null
  score: Range | null
  count: Range | null
  order: string
  descending: boolean
}

export const noFilters = (): Filters => ({
  query: '', classes: [], splits: [], tags: [], area: null, score: null, count: null, order: '', descending: false,
})

export const quoted = (text: string): string => JSON.stringify(text)

function oneOf(name: string, values: string[]): string {
  return values.length === 1 ? `${name} == ${quoted(values[0] as string)}` : `${name} in (${values.map(quoted).join(', ')})`
}

const between = (name: string, [low, high]: Range): string => `${name} >= ${low} and ${name} <= ${high}`

/** The query of all filters together; null where nothing is filtered. */
export function whereOf(filters: Filters, labels: Column | null, isTagged = true): string | null {
  const parts: string[] = []
  if (filters.query.trim()) parts.push(`(${filters.query.trim()})`)
  if (labels?.kind === 'objects') {
    const one: string[] = []
    if (filters.classes.length) one.push(oneOf('class', filters.classes))
    if (filters.area) one.push(between('area', filters.area))
    if (filters.score) one.push(between('score', filters.score))
    if (one.length) parts.push(`any(${labels.name}, ${one.join(' and ')})`)
    if (filters.count) parts.push(between(`len(${labels.name})`, filters.count))
  } else if (labels?.kind === 'label' && filters.classes.length) {
    parts.push(oneOf(labels.name, filters.classes))
  } else if (labels?.kind === 'labels' && filters.classes.length) {
    parts.push(`(${filters.classes.map((name) => `${quoted(name)} in ${labels.name}`).join(' or ')})`)
  }
  if (filters.splits.length) parts.push(oneOf('split', filters.splits))
  if (isTagged && filters.tags.length) parts.push(`(${filters.tags.map((name) => `${quoted(name)} in tags`).join(' or ')})`)
  return parts.length ? parts.join(' and ') : null
}

export const isFiltered = (filters: Filters): boolean => whereOf({ ...filters }, { name: 'o', kind: 'objects', classes: [] }) !== null

/** Filters as part of an address, and back; what cannot be understood is left out. */
export function toAddress(filters: Filters): Record<string, string> {
  const plain = noFilters()
  const made: Record<string, string> = {}
  for (const [name, value] of Object.entries(filters)) {
    if (JSON.stringify(value) !== JSON.stringify(plain[name as keyof Filters])) {
      made[name] = typeof value === 'string' ? value : JSON.stringify(value)
    }
  }
  return made
}

/** The classes by the names that they have now; a view that was kept, or a link, may have those that they had before. */
function withNamesNow(names: string[], labels: Column | null): string[] {
  const known = (labels?.classes ?? []) as unknown as { name: string; was?: string[] }[]
  const there = new Set(known.map((one) => one.name))
  return [...new Set(names.map((name) => (there.has(name) ? name : (known.find((one) => one.was?.includes(name))?.name ?? name))))]
}

export function fromAddress(query: Record<string, unknown>, labels: Column | null = null): Filters {
  const made = noFilters()
  const texts = (value: unknown): string[] | null => (Array.isArray(value) && value.every((one) => typeof one === 'string') ? (value as string[]) : null)
  const range = (value: unknown): Range | null =>
    Array.isArray(value) && value.length === 2 && value.every((one) => typeof one === 'number') ? (value as Range) : null
  const read = (name: string): unknown => {
    try {
      return typeof query[name] === 'string' ? JSON.parse(query[name]) : null
    } catch {
      return null
    }
  }
  if (typeof query.query === 'string') made.query = query.query
  if (typeof query.order === 'string') made.order = query.order
  made.descending = query.descending === 'true'
  for (const name of ['classes', 'splits', 'tags'] as const) made[name] = texts(read(name)) ?? []
  for (const name of ['area', 'score', 'count'] as const) made[name] = range(read(name))
  made.classes = withNamesNow(made.classes, labels)
  return made
}
