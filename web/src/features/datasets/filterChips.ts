/** The filters as removable chips. Independent of Vue. */
import type { Column } from './columns'
import { searchWords, type Filters, type Range } from './filters'
import { formatNumber, t } from '@/i18n'

export interface FilterChip {
  id: string
  /** What is filtered, such as "Class"; empty for words. */
  field: string
  value: string
  /** The change that removes the filter. */
  cleared: Partial<Filters>
  /** The change that sets this filter and no other value of its kind. */
  only: Partial<Filters>
}

const formatBound = (value: number): string => formatNumber(Number(value.toPrecision(4)))
export const formatRange = ([low, high]: Range): string => `${formatBound(low)} – ${formatBound(high)}`

/** One chip for each word, value and range that the items are filtered by. */
export function filterChips(filters: Filters, labels: Column | null): FilterChip[] {
  const chips: FilterChip[] = []
  const add = (field: string, value: string, cleared: Partial<Filters>, only: Partial<Filters>): void =>
    void chips.push({ id: `${Object.keys(cleared).join()}:${field}:${value}`, field, value, cleared, only })
  const addEach = (field: string, name: 'keys' | 'classes' | 'splits' | 'tags'): void => {
    for (const value of filters[name]) add(field, value, { [name]: filters[name].filter((other) => other !== value) }, { [name]: [value] })
  }
  const words = searchWords(filters.search)
  for (const word of words) add('', word, { search: words.filter((other) => other !== word).join(' ') }, { search: word })
  if (filters.query.trim()) add(t.search.query, filters.query.trim(), { query: '' }, { query: filters.query })
  addEach(t.search.file, 'keys')
  if (labels) addEach(t.search.class, 'classes')
  addEach(t.search.split, 'splits')
  addEach(t.search.tag, 'tags')
  if (labels && filters.labelled !== null) {
    add(t.search.labelled, filters.labelled ? t.search.yes : t.search.no, { labelled: null }, { labelled: filters.labelled })
  }
  if (labels?.kind === 'objects') {
    for (const name of ['area', 'count', 'score'] as const) {
      const range = filters[name]
      if (range) add(t.search.ranges[name], formatRange(range), { [name]: null }, { [name]: range })
    }
    if (filters.confident) add(t.search.confidence, `≥ ${formatConfidence(filters.confidence)}`, { confident: false }, { confident: true })
  }
  for (const [name, value] of Object.entries(filters.fields)) {
    const without = Object.fromEntries(Object.entries(filters.fields).filter(([other]) => other !== name))
    if (typeof value[0] === 'number') add(name, formatRange(value as Range), { fields: without }, { fields: { [name]: value } })
    else for (const text of value as string[]) add(name, text, { fields: withoutText(filters, name, text) }, { fields: { [name]: [text] } })
  }
  return chips
}

export const formatConfidence = (confidence: number): string => `${Math.round(confidence * 100)} %`

function withoutText(filters: Filters, name: string, text: string): Filters['fields'] {
  const { [name]: value, ...others } = filters.fields
  const texts = ((value ?? []) as string[]).filter((other) => other !== text)
  return texts.length ? { ...filters.fields, [name]: texts } : others
}
