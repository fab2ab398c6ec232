import { en } from './en'

export const t = en

const whole = new Intl.NumberFormat('en')
const short = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'short' })

export const number = (value: number): string => whole.format(value)
export const moment = (value: string): string => short.format(new Date(value))

export function metric(value: unknown): string {
  if (typeof value !== 'number') return value === null || value === undefined ? '–' : String(value)
  return Number.isInteger(value) ? number(value) : value.toFixed(Math.abs(value) < 10 ? 3 : 1)
}

/** How long ago, in words. */
export function ago(value: string, now: number = Date.now()): string {
  const seconds = (now - new Date(value).getTime()) / 1000
  const steps: [number, Intl.RelativeTimeFormatUnit][] = [[60, 'second'], [60, 'minute'], [24, 'hour'], [30, 'day'], [12, 'month']]
  let count = seconds
  if (count < 45) return t.common.now
  for (const [size, unit] of steps) {
    if (count < size) return new Intl.RelativeTimeFormat('en').format(-Math.round(count), unit)
    count /= size
  }
  return new Intl.RelativeTimeFormat('en').format(-Math.round(count), 'year')
}

export function took(from: string | null, to: string | null): string {
  if (!from) return ''
  const seconds = Math.max(0, ((to ? new Date(to).getTime() : Date.now()) - new Date(from).getTime()) / 1000)
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`
  return seconds < 3600 ? `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s` : `${(seconds / 3600).toFixed(1)} h`
}

export function size(bytes: number): string {
  const steps = ['bytes', 'kB', 'MB', 'GB', 'TB']
  let [count, at] = [bytes, 0]
  while (count >= 1000 && at < steps.length - 1) [count, at] = [count / 1000, at + 1]
  return `${count.toFixed(at && count < 100 ? 1 : 0)} ${steps[at]}`
}
