/** Choosing sides in the conflicts of a merge, apart from the screen that shows them. */
import type { Schemas } from '@/api/client'

export type Conflict = Schemas['ConflictAnswer']
export type Side = 'ours' | 'theirs'
type Choice = Schemas['Choice']

/** What a conflict is about, as one word for it. */
export const placeOf = (one: Conflict): string => JSON.stringify([one.key, one.column, one.object, one.class])

/** The sides that are chosen: one by one, and for all the rest. */
export interface Chosen {
  rest: Side | null
  one: Map<string, { conflict: Conflict; take: Side }>
}

export const nothingChosen = (): Chosen => ({ rest: null, one: new Map() })

export const takenIn = (chosen: Chosen, one: Conflict): Side | null => chosen.one.get(placeOf(one))?.take ?? chosen.rest

export function take(chosen: Chosen, one: Conflict, side: Side): Chosen {
  const next = new Map(chosen.one)
  if (chosen.rest === side) next.delete(placeOf(one))
  else next.set(placeOf(one), { conflict: one, take: side })
  return { rest: chosen.rest, one: next }
}

export const takeAll = (side: Side): Chosen => ({ rest: side, one: new Map() })

/** How many of all conflicts are settled. */
export const settled = (chosen: Chosen, total: number): number => (chosen.rest ? total : chosen.one.size)

/** As the server wants them. */
export function choicesOf(chosen: Chosen): Choice[] {
  return [...chosen.one.values()].map(({ conflict, take }) => ({ key: conflict.key, column: conflict.column, object: conflict.object, class: conflict.class, take }))
}
