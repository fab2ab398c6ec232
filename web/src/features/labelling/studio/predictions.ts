/** Correction of predictions: which ones are to check, in which order, and what accepting them changes. Independent of Vue. */
import type { ObjectChange } from '@/canvas/editor'
import type { LabelObject } from '@/features/labelling/sync/types'

export interface PredictionFilter {
  /** Predictions with a lower score are hidden. */
  minScore: number
  hiddenIds: ReadonlySet<string>
  hiddenClasses: ReadonlySet<string>
}

/** Whether an object is a prediction that was neither accepted nor rejected. */
export const isPrediction = ({ accepted }: Pick<LabelObject, 'accepted'>): boolean => !accepted

/** Whether a prediction is hidden because of its score. Other objects keep the score of their model, and are always shown. */
export const isBelow = ({ accepted, score }: Pick<LabelObject, 'accepted' | 'score'>, minScore: number): boolean => !accepted && score !== null && score < minScore

/** The predictions that are visible, in their order: those to check. */
export function predictionsToCheck(objects: readonly LabelObject[], { minScore, hiddenIds, hiddenClasses }: PredictionFilter): LabelObject[] {
  return objects.filter((object) => isPrediction(object) && !isBelow(object, minScore) && !hiddenIds.has(object.id) && !hiddenClasses.has(object.class))
}

/**
 * The prediction after (or before) an object in the order of all objects; null if there is none.
 *
 * @param objects - all objects of the item, so that an object that is no prediction any more still has its place.
 * @param predictions - those to check.
 * @param from - the id of the object; null starts at the first (or last) prediction.
 */
export function neighbourPrediction(objects: readonly LabelObject[], predictions: readonly LabelObject[], from: string | null, step: 1 | -1): string | null {
  const places = new Map(objects.map(({ id }, index) => [id, index]))
  const place = from === null ? undefined : places.get(from)
  const ordered = step > 0 ? predictions : predictions.toReversed()
  if (place === undefined) return ordered[0]?.id ?? null
  return ordered.find(({ id }) => ((places.get(id) ?? 0) - place) * step > 0)?.id ?? null
}

/** The prediction to check after one was decided: the next one, and after the last one the first that is left. */
export function predictionAfter(objects: readonly LabelObject[], predictions: readonly LabelObject[], decided: string): string | null {
  const others = predictions.filter(({ id }) => id !== decided)
  return neighbourPrediction(objects, others, decided, 1) ?? others[0]?.id ?? null
}

export const acceptChanges = (predictions: readonly LabelObject[]): ObjectChange[] =>
  predictions.map(({ id }) => ({ kind: 'patch', id, fields: { accepted: true } }))

export const rejectChanges = (predictions: readonly LabelObject[]): ObjectChange[] => predictions.map(({ id }) => ({ kind: 'delete', id }))
