/** The filters of the items screen, and the query that they stand for. Independent of Vue. */
import type { Column } from './columns'

export type Range = [number, number]

/** The names of the fields are also those in URLs and in saved views. */
export interface Filters {
  /** Plain words. */
  search: string
  /** Text in the query language. It applies in both modes. */
  query: string
  /** Whether the box above the grid takes words or a query. */
  mode: 'search' | 'query'
  keys: string[]
  classes: string[]
  splits: string[]
  tags: string[]
  labelled: boolean | null
  /** By column: a range of numbers, or the accepted texts. */
  fields: Record<string, Range | string[]>
  area: Range | null
  score: Range | null
  count: Range | null
  /** Objects with a lower score are not drawn. */
  confidence: number
  /** Whether items without an object of that confidence are left out. */
  confident: boolean
  /** Whether objects of other classes are drawn too, if there is a filter by class. */
  others: boolean
  order: string
  descending: boolean
}

export const emptyFilters = (): Filters => ({
  search: '',
  query: '',
  mode: 'search',
  keys: [],
  classes: [],
  splits: [],
  tags: [],
  labelled: null,
  fields: {},
  area: null,
  score: null,
  count: null,
  confidence: 0,
  confident: false,
  others: false,
  order: '',
  descending: false,
})

/** The filters without conditions on items: the order and what is drawn stay. */
export function withoutConditions({ mode, confidence, others, order, descending }: Filters): Filters {
  return { ...emptyFilters(), mode, confidence, others, order, descending }
}

const MAX_WORDS = 32 // as in the query language
/** What Python takes for white space, and what browsers do. */
// eslint-disable-next-line no-control-regex
const WHITE_SPACE = /[\s\u0085\u001c-\u001f]+/u
const IDENTIFIER = /^[A-Za-z_]\w*$/
const RESERVED = new Set(
  ('False None True and as assert async await break class continue def del elif else except finally for from global if import in is item lambda ' +
    'nonlocal not or pass raise return try while with yield').split(' '),
)

/** The distinct words of a search. */
export const searchWords = (text: string): string[] => [...new Set(withoutInvalid(text).split(WHITE_SPACE).filter(Boolean))].slice(0, MAX_WORDS)

/** Removes characters that no text of a dataset contains, and that a query must not contain: NUL and halves of surrogate pairs. */
const withoutInvalid = (text: string): string => text.replace(/\0|\p{Surrogate}/gu, '')

/** A text as a literal of the query language, whose escapes are those of JSON too. */
export const quote = (text: string): string => JSON.stringify(withoutInvalid(text))

/** A column as it is named in a query. */
export const columnExpression = (name: string): string => (IDENTIFIER.test(name) && !RESERVED.has(name) ? name : `item[${quote(name)}]`)

const inRange = (field: string, [low, high]: Range): string => `${field} >= ${low} and ${field} <= ${high}`
const containsAny = (column: string, values: string[]): string => `(${values.map((value) => `${quote(value)} in ${column}`).join(' or ')})`
function equalsAny(field: string, values: string[]): string {
  return values.length === 1 ? `${field} == ${quote(values[0] as string)}` : `${field} in (${values.map(quote).join(', ')})`
}
const isRange = (value: Range | string[]): value is Range => typeof value[0] === 'number'

/** Combines all filters into one query; null if there are none. Filters on objects must hold for one and the same object. */
export function buildQuery(filters: Filters, labels: Column | null): string | null {
  const conditions: string[] = []
  const words = searchWords(filters.search)
  if (words.length) conditions.push(`search(${quote(words.join(' '))})`)
  if (filters.query.trim()) conditions.push(filters.query.trim())
  if (filters.keys.length) conditions.push(equalsAny('key', filters.keys))
  const column = labels && columnExpression(labels.name)
  if (labels?.kind === 'objects') {
    const objectConditions: string[] = []
    if (filters.classes.length) objectConditions.push(equalsAny('class', filters.classes))
    if (filters.area) objectConditions.push(inRange('area', filters.area))
    if (filters.score) objectConditions.push(inRange('score', filters.score))
    if (filters.confident) objectConditions.push(`score >= ${filters.confidence}`)
    if (objectConditions.length) conditions.push(`any(${column}, ${objectConditions.join(' and ')})`)
    if (filters.count) conditions.push(inRange(`len(${column})`, filters.count))
  } else if (labels?.kind === 'label' && column && filters.classes.length) {
    conditions.push(equalsAny(column, filters.classes))
  } else if (labels?.kind === 'labels' && column && filters.classes.length) {
    conditions.push(containsAny(column, filters.classes))
  }
  if (column && filters.labelled !== null) conditions.push(`${column} is ${filters.labelled ? 'not ' : ''}None`)
  if (filters.splits.length) conditions.push(equalsAny('split', filters.splits))
  if (filters.tags.length) conditions.push(containsAny('tags', filters.tags))
  for (const [name, value] of Object.entries(filters.fields)) {
    if (isRange(value)) conditions.push(inRange(columnExpression(name), value))
    else if (value.length) conditions.push(equalsAny(columnExpression(name), value))
  }
  if (conditions.length > 1 && filters.query.trim()) conditions[words.length ? 1 : 0] = `(${filters.query.trim()})`
  return conditions.length ? conditions.join(' and ') : null
}

/** The filters as URL parameters. Defaults are left out. */
export function filtersToUrl(filters: Filters): Record<string, string> {
  const defaults = { ...emptyFilters(), mode: defaultMode(filters.query) }
  const parameters: Record<string, string> = {}
  for (const [name, value] of Object.entries(filters)) {
    if (JSON.stringify(value) !== JSON.stringify(defaults[name as keyof Filters])) {
      parameters[name] = typeof value === 'string' ? value : JSON.stringify(value)
    }
  }
  return parameters
}

/** Links to a query, such as those of panels, open it in the query mode. */
const defaultMode = (query: string): Filters['mode'] => (query ? 'query' : 'search')

/** The filters in URL parameters. Invalid ones are ignored. */
export function filtersFromUrl(parameters: Record<string, unknown>, labels: Column | null = null): Filters {
  const filters = emptyFilters()
  for (const name of ['search', 'query', 'order'] as const) if (typeof parameters[name] === 'string') filters[name] = parameters[name]
  filters.mode = parameters.mode === 'query' || parameters.mode === 'search' ? parameters.mode : defaultMode(filters.query)
  for (const name of ['descending', 'confident', 'others'] as const) filters[name] = parameters[name] === 'true'
  for (const name of ['keys', 'classes', 'splits', 'tags'] as const) filters[name] = asStrings(parseJson(parameters[name])) ?? []
  for (const name of ['area', 'score', 'count'] as const) filters[name] = asRange(parseJson(parameters[name]))
  filters.labelled = parameters.labelled === 'true' ? true : parameters.labelled === 'false' ? false : null
  filters.fields = asFields(parseJson(parameters.fields))
  const confidence = parseJson(parameters.confidence)
  if (typeof confidence === 'number' && confidence >= 0 && confidence <= 1) filters.confidence = confidence
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
  const isNumberPair = Array.isArray(value) && value.length === 2 && value.every((element) => typeof element === 'number')
  return isNumberPair ? (value as Range) : null
}

function asFields(value: unknown): Filters['fields'] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return {}
  const entries = Object.entries(value).map(([name, field]) => [name, asRange(field) ?? asStrings(field)] as const)
  return Object.fromEntries(entries.filter((entry): entry is [string, Range | string[]] => Boolean(entry[1]?.length)))
}

/** Maps former class names to the current ones: a saved view or a link may be older than a rename or merge. */
function currentClassNames(names: string[], labels: Column | null): string[] {
  const classes = (labels?.classes ?? []) as unknown as { name: string; was?: string[] }[]
  const existingNames = new Set(classes.map(({ name }) => name))
  const currentName = (name: string): string =>
    existingNames.has(name) ? name : (classes.find(({ was }) => was?.includes(name))?.name ?? name)
  return [...new Set(names.map(currentName))]
}
