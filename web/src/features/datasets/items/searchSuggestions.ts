/** Suggestions for the search box: filters whose name contains the words before the cursor. Independent of Vue. */
import type { Column } from '@/features/datasets/columns'
import type { Filters } from '@/features/datasets/filters'

export interface Suggestion {
  group: 'classes' | 'tags' | 'files' | 'fields'
  label: string
  /** The field of a value, such as "split". */
  detail?: string
  /** The filters that choosing it adds. */
  change?: Partial<Filters>
  /** The number field that choosing it filters, from its lowest to its highest value. */
  column?: string
  /** The text that stays in the box: what was typed before the part that the suggestion replaces. */
  rest: string
}

export interface SuggestionSource {
  classes: string[]
  tags: string[]
  /** Keys of items that contain the words. */
  files: string[]
  /** Texts of columns, such as the splits. */
  values: { column: string; texts: string[] }[]
  numberColumns: string[]
  labels: Column | null
  labelledTexts: { label: string; yes: string; no: string }
}

const MAX_OF_GROUP = 5

/** The longest end of a text, from the start of a word, that the name contains in any letter case; null if none. */
export function matchedEnd(text: string, name: string): string | null {
  const lowered = name.toLowerCase()
  for (const { index } of text.matchAll(/\S+/gu)) {
    const end = text.slice(index).trim()
    if (lowered.includes(end.toLowerCase())) return end
  }
  return null
}

/** The suggestions for a text, by group; in each, names that start with the text come first. */
export function suggestFilters(text: string, filters: Filters, source: SuggestionSource): Suggestion[] {
  if (!text.trim()) return []
  const trimmed = text.trimEnd()

  function matching(group: Suggestion['group'], names: string[], toFilters: (name: string) => Pick<Suggestion, 'detail' | 'change' | 'column'>): Suggestion[] {
    const matches = names.flatMap((name) => {
      const end = matchedEnd(trimmed, name)
      if (end === null) return []
      const isPrefix = name.toLowerCase().startsWith(end.toLowerCase())
      return [{ length: end.length, isPrefix, suggestion: { group, label: name, rest: trimmed.slice(0, trimmed.length - end.length), ...toFilters(name) } }]
    })
    matches.sort((first, second) => second.length - first.length || Number(second.isPrefix) - Number(first.isPrefix))
    return matches.slice(0, MAX_OF_GROUP).map(({ suggestion }) => suggestion)
  }
  const added = (values: string[], value: string): string[] => [...new Set([...values, value])]
  const without = (names: string[], chosen: string[]): string[] => names.filter((name) => !chosen.includes(name))

  const suggestions = [
    ...matching('classes', without(source.classes, filters.classes), (name) => ({ change: { classes: added(filters.classes, name) } })),
    ...matching('tags', without(source.tags, filters.tags), (name) => ({ change: { tags: added(filters.tags, name) } })),
    // The server has matched the files with all words.
    ...source.files.slice(0, MAX_OF_GROUP).map((key): Suggestion => ({ group: 'files', label: key, change: { keys: added(filters.keys, key) }, rest: '' })),
  ]
  const fields: Suggestion[] = []
  for (const { column, texts } of source.values) {
    const chosen = column === 'split' ? filters.splits : ((filters.fields[column] ?? []) as string[])
    const toChange = (value: string): Partial<Filters> =>
      column === 'split' ? { splits: added(chosen, value) } : { fields: { ...filters.fields, [column]: added(chosen, value) } }
    fields.push(...matching('fields', without(texts, chosen), (value) => ({ detail: column, change: toChange(value) })))
  }
  if (source.labels) {
    const { label, yes, no } = source.labelledTexts
    const answers = filters.labelled === null && matchedEnd(trimmed, label) !== null ? [yes, no] : []
    const rest = trimmed.slice(0, trimmed.length - (matchedEnd(trimmed, label)?.length ?? 0))
    for (const answer of answers) fields.push({ group: 'fields', label: answer, detail: label, change: { labelled: answer === yes }, rest })
  }
  fields.push(...matching('fields', without(source.numberColumns, Object.keys(filters.fields)), (name) => ({ column: name })))
  return [...suggestions, ...fields.slice(0, 2 * MAX_OF_GROUP)]
}
