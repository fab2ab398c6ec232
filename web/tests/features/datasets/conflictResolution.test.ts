import { expect, it } from 'vitest'
import {
  chosenSide, emptyResolution, resolve, resolveAll, resolvedCount, toApiChoices, type Conflict,
} from '@/features/datasets/merge/conflictResolution'

const createConflict = (key: string): Conflict => ({ key, column: 'note', object: null, class: null, ours: 'changed', theirs: 'removed', resolution: null })
const a = createConflict('a')
const b = createConflict('b')

it('resolves single conflicts', () => {
  const resolution = resolve(emptyResolution(), a, 'theirs')
  expect(chosenSide(resolution, a)).toBe('theirs')
  expect(chosenSide(resolution, b)).toBeNull()
  expect(resolvedCount(resolution, 9)).toBe(1)
  expect(toApiChoices(resolution)).toEqual([{ key: 'a', column: 'note', object: null, class: null, resolution: 'theirs' }])
  expect(chosenSide(resolution, createConflict('a'))).toBe('theirs')
})

it('resolves all conflicts, with exceptions', () => {
  const resolution = resolve(resolveAll('ours'), b, 'theirs')
  expect(chosenSide(resolution, a)).toBe('ours')
  expect(chosenSide(resolution, b)).toBe('theirs')
  expect(resolvedCount(resolution, 9)).toBe(9)
  const withoutException = resolve(resolution, b, 'ours')
  expect(chosenSide(withoutException, b)).toBe('ours')
  expect(toApiChoices(withoutException)).toEqual([])
})
