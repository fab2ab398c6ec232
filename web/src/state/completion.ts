/** What may follow in a query. Nothing here knows of the page. */
import type { Version } from '@/api/client'

const WORDS = ['and', 'or', 'not', 'in', 'any(', 'all(', 'count(', 'len(', 'sum(', 'min(', 'max(', 'mean(', 'None']
const OF_OBJECTS = ['class', 'score', 'area', 'width', 'height', 'x1', 'y1', 'x2', 'y2', 'cx', 'cy', 'id', 'track', 'type', 'attributes']
const OF_IMAGES = ['width', 'height', 'name', 'format', 'size']

export function complete(text: string, at: number, version: Version | null): { from: number; words: string[] } {
  const before = text.slice(0, at)
  const columns = version?.columns ?? []
  const isText = (before.match(/"/g)?.length ?? 0) % 2 === 1
  if (isText) {
    const from = before.lastIndexOf('"') + 1
    const begun = before.slice(from).toLowerCase()
    const classes = columns.flatMap((column) => (column.classes ?? []).map((one) => String(one.name)))
    return { from, words: classes.filter((name) => name.toLowerCase().startsWith(begun)).slice(0, 12).map((name) => `${name}"`) }
  }
  const begun = /[A-Za-z_][\w]*\.?\w*$/.exec(before)?.[0] ?? ''
  const from = at - begun.length
  if (!begun) return { from, words: [] }
  const [owner, field] = begun.split('.')
  if (field !== undefined) {
    const column = columns.find((one) => one.name === owner)
    const words = column && ['image', 'video'].includes(column.kind) ? OF_IMAGES : []
    return { from, words: words.filter((word) => word.startsWith(field) && word !== field).map((word) => `${owner}.${word}`) }
  }
  const isInside = /\b(any|all|count)\([^()]*,[^()]*$/.test(before)
  const known = [...(isInside ? OF_OBJECTS : []), 'key', ...columns.map((column) => column.name), ...WORDS]
  const words = [...new Set(known)].filter((word) => word.startsWith(begun) && word !== begun)
  return { from, words: words.slice(0, 12) }
}
