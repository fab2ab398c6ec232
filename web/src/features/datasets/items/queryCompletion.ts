/** Completion of names in a query. Independent of Vue. */
import type { Version } from '@/api/client'

const KEYWORDS = ['and', 'or', 'not', 'in', 'any(', 'all(', 'count(', 'len(', 'sum(', 'min(', 'max(', 'mean(', 'None']
const OBJECT_FIELDS = ['class', 'score', 'area', 'width', 'height', 'x1', 'y1', 'x2', 'y2', 'cx', 'cy', 'id', 'track', 'type', 'attributes']
const MEDIA_FIELDS = ['width', 'height', 'name', 'format', 'size']
const MAX_SUGGESTIONS = 12

export interface Completion {
  /** Where the word that a suggestion replaces starts. */
  start: number
  suggestions: string[]
}

export function completeQuery(query: string, cursor: number, version: Version | null): Completion {
  const textBefore = query.slice(0, cursor)
  const columns = version?.columns ?? []
  const isInString = (textBefore.match(/"/g)?.length ?? 0) % 2 === 1
  if (isInString) {
    const start = textBefore.lastIndexOf('"') + 1
    const prefix = textBefore.slice(start).toLowerCase()
    const classes = columns.flatMap((column) => (column.classes ?? []).map(({ name }) => String(name)))
    const matches = classes.filter((name) => name.toLowerCase().startsWith(prefix))
    return { start, suggestions: matches.slice(0, MAX_SUGGESTIONS).map((name) => `${name}"`) }
  }
  const word = /[A-Za-z_][\w]*\.?\w*$/.exec(textBefore)?.[0] ?? ''
  const start = cursor - word.length
  if (!word) return { start, suggestions: [] }
  const [columnName, fieldPrefix] = word.split('.')
  if (fieldPrefix !== undefined) {
    const column = columns.find(({ name }) => name === columnName)
    const fields = column && ['image', 'video'].includes(column.kind) ? MEDIA_FIELDS : []
    const matches = fields.filter((field) => field.startsWith(fieldPrefix) && field !== fieldPrefix)
    return { start, suggestions: matches.map((field) => `${columnName}.${field}`) }
  }
  const isInObjectTest = /\b(any|all|count)\([^()]*,[^()]*$/.test(textBefore)
  const names = [...(isInObjectTest ? OBJECT_FIELDS : []), 'key', ...columns.map(({ name }) => name), ...KEYWORDS]
  const matches = [...new Set(names)].filter((name) => name.startsWith(word) && name !== word)
  return { start, suggestions: matches.slice(0, MAX_SUGGESTIONS) }
}
