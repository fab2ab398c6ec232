/** The curves of a training: losses by step, and validation metrics by epoch. */
import type { Schemas } from '@/api/client'

export type Progress = Schemas['TrainingProgressResponse']
export type StepPoint = Progress['points'][number]
export type Point = [x: number, y: number | null]

export interface Curve {
  name: string
  points: Point[]
}

/** An epoch, as the API lists it. */
export interface EpochRecord {
  epoch: number
  step: number
  losses?: Record<string, number>
  metrics?: Record<string, number>
}

export const TOTAL_LOSS = 'total'
const MIN_SPAN = 5
const MAX_SPAN = 100
const POINTS_PER_SPAN = 40

/** The points of earlier responses and of this one. */
export const addPoints = (earlier: readonly StepPoint[], progress: Progress): StepPoint[] =>
  progress.is_reset ? progress.points : [...earlier, ...progress.points]

const sum = (losses: Record<string, number>): number => Object.values(losses).reduce((total, value) => total + value, 0)

function curvesOf(records: readonly { x: number; values: Record<string, number> }[]): Curve[] {
  const curves = new Map<string, Point[]>()
  for (const { x, values } of records) {
    for (const [name, value] of Object.entries(values)) {
      const points = curves.get(name) ?? []
      curves.set(name, points)
      points.push([x, value])
    }
  }
  return [...curves].map(([name, points]) => ({ name, points }))
}

/** The losses by step, the total first if there are several. Runs of older versions have losses only by epoch. */
export function lossCurves(points: readonly StepPoint[], epochs: readonly EpochRecord[]): Curve[] {
  const records = points.length ? points : epochs.map(({ step, losses }) => ({ step, losses: losses ?? {} }))
  return curvesOf(
    records.map(({ step, losses }) => ({ x: step, values: Object.keys(losses).length > 1 ? { [TOTAL_LOSS]: sum(losses), ...losses } : losses })),
  )
}

export const learningRateCurve = (points: readonly StepPoint[]): Point[] => points.map(({ step, learning_rate }) => [step, learning_rate])

/** The metrics of the epochs that were validated. */
export const metricCurves = (epochs: readonly EpochRecord[]): Curve[] =>
  curvesOf(epochs.map(({ epoch, metrics }) => ({ x: epoch, values: metrics ?? {} })))

/** The latest validated epoch, and the one with the highest value of the first metric, which selects the weights of the model. */
export function latestAndBest(epochs: readonly EpochRecord[]): { latest: EpochRecord; best: EpochRecord } | null {
  const validated = epochs.filter(({ metrics }) => metrics && Object.keys(metrics).length)
  const latest = validated[validated.length - 1]
  if (!latest) return null
  const score = ({ metrics }: EpochRecord): number => Object.values(metrics ?? {})[0] ?? -Infinity
  return { latest, best: validated.reduce((best, record) => (score(record) > score(best) ? record : best)) }
}

/** An exponential moving average without a bias to the first value. Its span grows with the length of the curve. */
export function smooth(points: readonly Point[]): Point[] {
  const span = Math.min(MAX_SPAN, Math.max(MIN_SPAN, points.length / POINTS_PER_SPAN))
  const decay = 1 - 2 / (span + 1)
  let total = 0
  let weight = 0
  return points.map(([x, y]) => {
    if (y === null) return [x, null]
    total = decay * total + y
    weight = decay * weight + 1
    return [x, total / weight]
  })
}

/** A logarithmic axis has no place for zero and less. */
export const withoutNonPositive = (points: readonly Point[]): Point[] => points.map(([x, y]) => [x, y !== null && y > 0 ? y : null])
