import { describe, expect, it } from 'vitest'
import type { Schemas } from '@/api/client'
import { branchFromRef, branchHistory, branchNameError, branchRef } from '@/features/datasets/versions/branches'

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

  it.each(['night-shift', 'v1.2', '_a', '2026-review'])('may be called %s', (name) => {
    expect(branchNameError(name, refs)).toBe('')
  })

  it.each(['7', 'latest', 'a b', '-a', 'a@b', 'x'.repeat(201), 'review', 'main', 'gold', 'first'])('may not be called %s', (name) => {
    expect(branchNameError(name, refs)).not.toBe('')
  })
})
