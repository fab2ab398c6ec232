import { describe, expect, it } from 'vitest'
import type { Schemas } from '@/api/client'
import { branchFromRef, branchHistory, branchNameError, branchRef, unmergedCount } from '@/features/datasets/versions/branches'

const refs = { branches: { main: 4, review: 5 }, tags: { first: 1 }, aliases: { gold: 2 } }
const entry = (number: number, parent: number | null): Schemas['VersionSummary'] =>
  ({ number, parent, branch: 'main', message: '' }) as Schemas['VersionSummary']

describe('branches', () => {
  it.each([
    ['cells', 'main'],
    ['cells@latest', 'main'],
    ['cells@main', 'main'],
    ['cells@review', 'review'],
    ['cells@5', null],
    ['cells@gold', null],
  ])('of %s', (ref, branch) => {
    expect(branchFromRef(ref, refs)).toBe(branch)
  })

  it('have a reference', () => {
    expect([branchRef('cells', 'main'), branchRef('cells', 'review')]).toEqual(['cells', 'cells@review'])
  })

  it('have the versions between their head and the first version', () => {
    const log = [entry(5, 3), entry(4, 2), entry(3, 1), entry(2, 1), entry(1, null)]
    expect(branchHistory(log, 5).map(({ number }) => number)).toEqual([5, 3, 1])
    expect(branchHistory(log, 4).map(({ number }) => number)).toEqual([4, 2, 1])
    expect(branchHistory(log, undefined)).toEqual([])
  })

  it('count the versions that another branch does not have', () => {
    const merged = (number: number, parent: number, from: number) => ({ ...entry(number, parent), merged: from })
    // Version 3 is a change of review; version 4 is a change of main, which version 5 merges into review.
    const log = [merged(5, 3, 4), entry(4, 2), entry(3, 2), entry(2, 1), entry(1, null)]
    expect(unmergedCount(log, { main: 4, review: 5 }, 'review')).toBe(1)
    expect(unmergedCount(log, { main: 4, review: 3 }, 'review')).toBe(1)
    expect(unmergedCount(log, { main: 4, review: 3 }, 'main', 'review')).toBe(1)
    expect(unmergedCount([merged(5, 2, 4), ...log.slice(1)], { main: 4, review: 5 }, 'review')).toBe(0)
    expect(unmergedCount([merged(6, 4, 5), ...log], { main: 6, review: 5 }, 'review')).toBe(0)
  })

  it.each(['night-shift', 'v1.2', '_a', '2026-review'])('may be called %s', (name) => {
    expect(branchNameError(name, refs)).toBe('')
  })

  it.each(['7', 'latest', 'a b', '-a', 'a@b', 'x'.repeat(201), 'review', 'main', 'gold', 'first'])('may not be called %s', (name) => {
    expect(branchNameError(name, refs)).not.toBe('')
  })
})
