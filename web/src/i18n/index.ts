/** The texts of the screens, and how numbers, times and sizes are written. */
import { en } from './en'

export const t = en

const numberFormat = new Intl.NumberFormat('en')
const dateTimeFormat = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'short' })
const relativeTimeFormat = new Intl.RelativeTimeFormat('en')

export const formatNumber = (value: number): string => numberFormat.format(value)
export const formatDateTime = (value: string): string => dateTimeFormat.format(new Date(value))

export function formatMetric(value: unknown): string {
  if (typeof value !== 'number') return value === null || value === undefined ? '–' : String(value)
  return Number.isInteger(value) ? formatNumber(value) : value.toFixed(Math.abs(value) < 10 ? 3 : 1)
}

/** A learning rate, such as 0.01 or 2.5e-5. */
export function formatLearningRate(value: number): string {
  return value !== 0 && Math.abs(value) < 0.001 ? value.toExponential(2).replace(/\.?0+e/, 'e') : String(Number(value.toPrecision(3)))
}

/** A remaining time, rounded, such as "40 s", "5 min" or "2 h 10 min". */
export function formatLeft(seconds: number): string {
  if (seconds < 60) return `${Math.round(seconds)} s`
  const minutes = Math.round(seconds / 60)
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/** A past time relative to now, such as "3 hours ago". */
export function timeAgo(value: string, now: number = Date.now()): string {
  const seconds = (now - new Date(value).getTime()) / 1000
  if (seconds < 45) return t.common.justNow
  const units: [number, Intl.RelativeTimeFormatUnit][] = [[60, 'second'], [60, 'minute'], [24, 'hour'], [30, 'day'], [12, 'month']]
  let count = seconds
  for (const [size, unit] of units) {
    if (count < size) return relativeTimeFormat.format(-Math.round(count), unit)
    count /= size
  }
  return relativeTimeFormat.format(-Math.round(count), 'year')
}

/** The time between two moments; until now if there is no end. */
export function formatDuration(start: string | null, end: string | null): string {
  if (!start) return ''
  const endTime = end ? new Date(end).getTime() : Date.now()
  const seconds = Math.max(0, (endTime - new Date(start).getTime()) / 1000)
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`
  return seconds < 3600 ? `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s` : `${(seconds / 3600).toFixed(1)} h`
}

/** A position in a video, such as 1:02.40 or 1:00:02.40. Rounded down, so that a frame is not at the time of the next one. */
export function formatVideoTime(seconds: number): string {
  const hundredths = Math.floor(seconds * 100 + 1e-4)
  const pad = (value: number): string => String(value).padStart(2, '0')
  const hours = Math.floor(hundredths / 360_000)
  const minutes = Math.floor(hundredths / 6000) % 60
  const rest = `${pad(Math.floor(hundredths / 100) % 60)}.${pad(hundredths % 100)}`
  return hours ? `${hours}:${pad(minutes)}:${rest}` : `${minutes}:${rest}`
}

export function formatBytes(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${value.toFixed(unit && value < 100 ? 1 : 0)} ${units[unit]}`
}
