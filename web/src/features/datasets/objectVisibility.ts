/** Which objects of an item are drawn, in the grid and in the viewer. Independent of Vue. */
import type { ImageObject } from '@/canvas/shapes'
import type { Column } from './columns'
import type { Filters } from './filters'

type ObjectFilters = Pick<Filters, 'classes' | 'score' | 'confidence' | 'others'>

/** Whether there is a filter on objects that the drawn ones can match. */
export const hasObjectFilter = (filters: ObjectFilters, labels: Column | null): boolean =>
  labels?.kind === 'objects' && (filters.classes.length > 0 || filters.score !== null)

/** The objects to draw: of the filtered classes and scores, and of at least the confidence. Objects without a score are never uncertain. */
export function visibleObjects<T extends Pick<ImageObject, 'class' | 'score'>>(objects: T[], filters: ObjectFilters, labels: Column | null): T[] {
  const matchesOnly = hasObjectFilter(filters, labels) && !filters.others
  const classes = matchesOnly && filters.classes.length ? new Set(filters.classes) : null
  const [low, high] = (matchesOnly && filters.score) || [-Infinity, Infinity]
  if (!classes && !filters.confidence && low === -Infinity) return objects // the same list: nothing is drawn again
  return objects.filter(({ class: name, score }) => {
    if (classes && !classes.has(name)) return false
    if (score === null) return low === -Infinity
    return score >= low && score <= high && score >= filters.confidence
  })
}
