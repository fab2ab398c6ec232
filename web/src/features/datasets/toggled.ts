/** A copy of a list or set in which an element is added or, if it is there, removed. */
export function toggled<T>(elements: Set<T>, element: T): Set<T>
export function toggled<T>(elements: T[], element: T): T[]
export function toggled<T>(elements: Set<T> | T[], element: T): Set<T> | T[] {
  const copy = new Set(elements)
  if (!copy.delete(element)) copy.add(element)
  return Array.isArray(elements) ? [...copy] : copy
}
