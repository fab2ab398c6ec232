import { expect, it } from 'vitest'
import { formatBytes, formatVideoTime, timeAgo } from '@/i18n'

it('formats past times', () => {
  const now = Date.parse('2026-01-02T00:00:00Z')
  expect(timeAgo('2026-01-01T23:59:50Z', now)).toBe('just now')
  expect(timeAgo('2026-01-01T21:00:00Z', now)).toBe('3 hours ago')
})

it('formats sizes', () => {
  expect([12, 1500, 2_500_000_000].map(formatBytes)).toEqual(['12 bytes', '1.5 kB', '2.5 GB'])
})

it('formats positions in a video', () => {
  expect([0, 0.04, 0.998, 1.16, 62.4, 3662.4].map(formatVideoTime)).toEqual(['0:00.00', '0:00.04', '0:00.99', '0:01.16', '1:02.40', '1:01:02.40'])
})
