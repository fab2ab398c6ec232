/** The sides chosen in the conflicts of a merge. Independent of Vue. */
import type { Schemas } from '@/api/client'

export type Conflict = Schemas['ConflictResponse']
export type Side = 'ours' | 'theirs'

/** A side for some conflicts, and one for all others, if it was chosen. */
export interface Resolution {
  defaultSide: Side | null
  choices: Map<string, { conflict: Conflict; side: Side }>
}

export const conflictId = ({ key, column, object, class: className }: Conflict): string => JSON.stringify([key, column, object, className])

export const emptyResolution = (): Resolution => ({ defaultSide: null, choices: new Map() })
export const resolveAll = (side: Side): Resolution => ({ defaultSide: side, choices: new Map() })

export function resolve(resolution: Resolution, conflict: Conflict, side: Side): Resolution {
  const choices = new Map(resolution.choices)
  if (resolution.defaultSide === side) choices.delete(conflictId(conflict))
  else choices.set(conflictId(conflict), { conflict, side })
  return { defaultSide: resolution.defaultSide, choices }
}

export const chosenSide = (resolution: Resolution, conflict: Conflict): Side | null =>
  resolution.choices.get(conflictId(conflict))?.side ?? resolution.defaultSide

export const resolvedCount = (resolution: Resolution, total: number): number => (resolution.defaultSide ? total : resolution.choices.size)

/** The choices in the form that the API expects. */
export function toApiChoices(resolution: Resolution): Schemas['ConflictChoice'][] {
  return [...resolution.choices.values()].map(({ conflict: { key, column, object, class: className }, side }) => ({
    key,
    column,
    object,
    class: className,
    resolution: side,
  }))
}
