/** The filters of the items screen, and the query that they stand for. Independent of Vue. */
import type { Column } from './columns'

export type Range = [number, number]

/** The names of the fields are also those in URLs and in saved views. */
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

export const emptyFilters = (): Filters => ({
  query: '',
  classes: [],
  splits: [],
  tags: [],
  area: null,
  score: null,
  count: null,
  order: '',
  descending: false,
})

const quote = (text: string): string => JSON.stringify(text)
const inRange = (field: string, [low, high]: Range): string => `${field} >= ${low} and ${field} <= ${high}`
const containsAny = (column: string, values: string[]): string => `(${values.map((value) => `${quote(value)} in ${column}`).join(' or ')})`
function equalsAny(field: string, values: string[]): string {
  return values.length === 1 ? `${field} == ${quote(values[0] as string)}` : `${field} in (${values.map(quote).join(', ')})`
}

/** Combines all filters into one query; null if there are none. Filters on objects must hold for one and the same object. */
export function buildQuery(filters: Filters, labels: Column | null): string | null {
  const conditions: string[] = []
  if (filters.query.trim()) conditions.push(`(${filters.query.trim()})`)
  if (labels?.kind === 'objects') {
    const objectConditions: string[] = []
    if (filters.classes.length) objectConditions.push(equalsAny('class', filters.classes))
    if (filters.area) objectConditions.push(inRange('area', filters.area))
    if (filters.score) objectConditions.push(inRange('score', filters.score))
    if (objectConditions.length) conditions.push(`any(${labels.name}, ${objectConditions.join(' and ')})`)
    if (filters.count) conditions.push(inRange(`len(${labels.name})`, filters.count))
  } else if (labels?.kind === 'label' && filters.classes.length) {
    conditions.push(equalsAny(labels.name, filters.classes))
  } else if (labels?.kind === 'labels' && filters.classes.length) {
    conditions.push(containsAny(labels.name, filters.classes))
  }
  if (filters.splits.length) conditions.push(equalsAny('split', filters.splits))
  if (filters.tags.length) conditions.push(containsAny('tags', filters.tags))
  return conditions.length ? conditions.join(' and ') : null
}

/** The filters as URL parameters. Defaults are left out. */
export function filtersToUrl(filters: Filters): Record<string, string> {
  const defaults = emptyFilters()
  const parameters: Record<string, string> = {}
  for (const [name, value] of Object.entries(filters)) {
    if (JSON.stringify(value) !== JSON.stringify(defaults[name as keyof Filters])) {
      parameters[name] = typeof value === 'string' ? value : JSON.stringify(value)
    }
  }
  return parameters
}

/** The filters in URL parameters. Invalid ones are ignored. */
export function filtersFromUrl(parameters: Record<string, unknown>, labels: Column | null = null): Filters {
  const filters = emptyFilters()
  if (typeof parameters.query === 'string') filters.query = parameters.query
  if (typeof parameters.order === 'string') filters.order = parameters.order
  filters.descending = parameters.descending === 'true'
  for (const name of ['classes', 'splits', 'tags'] as const) filters[name] = asStrings(parseJson(parameters[name])) ?? []
  for (const name of ['area', 'score', 'count'] as const) filters[name] = asRange(parseJson(parameters[name]))
  filters.classes = currentClassNames(filters.classes, labels)
  return filters
}

function parseJson(text: unknown): unknown {
  try {
    return typeof text === 'string' ? JSON.parse(text) : null
  } catch {
    return null
  }
}

function asStrings(value: unknown): string[] | null {
  return Array.isArray(value) && value.every((element) => typeof element === 'string') ? value : null
}

function asRange(value: unknown): Range | null {
  const isRange = Array.isArray(value) && value.length === 2 && value.every((element) => typeof element === 'number')
  return isRange ? (value as Range) : null
}

/** Maps former class names to the current ones: a saved view or a link may be older than a rename or merge. */
function currentClassNames(names: string[], labels: Column | null): string[] {
  const classes = (labels?.classes ?? []) as unknown as { name: string; was?: string[] }[]
  const existingNames = new Set(classes.map(({ name }) => name))
  const currentName = (name: string): string =>
    existingNames.has(name) ? name : (classes.find(({ was }) => was?.includes(name))?.name ?? name)
  return [...new Set(names.map(currentName))]
}
