/** Coordinates of drawn geometries, without digits that no screen can show. Independent of Vue. */
import type { Geometry } from '../../shapes'

/** A thousandth of a pixel is far below what can be drawn, and keeps what is stored and compared short. */
const PRECISION = 1000

const roundNumber = (value: number): number => Math.round(value * PRECISION) / PRECISION

function roundValue(value: unknown): unknown {
  if (typeof value === 'number') return roundNumber(value)
  if (Array.isArray(value)) return value.map(roundValue)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, roundValue(item)]))
}

export const roundGeometry = <T extends Geometry>(geometry: T): T => (geometry.type === 'mask' ? geometry : (roundValue(geometry) as T))
