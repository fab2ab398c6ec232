import type { Person } from './types'

/** The other people at an item; not the user's own other tabs, and those of an earlier visit. */
export function othersAt(people: readonly Person[], userId: string, item: string | null): Person[] {
  return people.filter((person) => item !== null && person.item === item && person.author_id !== userId)
}
