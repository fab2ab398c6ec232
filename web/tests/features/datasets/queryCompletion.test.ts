import { expect, it } from 'vitest'
import type { Version } from '@/api/client'
import { completeQuery } from '@/features/datasets/items/queryCompletion'

const version = {
  columns: [
    { name: 'objects', kind: 'objects', classes: [{ name: 'ship' }, { name: 'sailboat' }] },
    { name: 'image', kind: 'image' },
    { name: 'split', kind: 'text' },
  ],
} as unknown as Version

it.each([
  ['sp', ['split']],
  ['any(objects, sc', ['score']],
  ['any(objects, class == "s', ['ship"', 'sailboat"']],
  ['image.w', ['image.width']],
  ['split == "val"', []],
])('completes %s', (query, suggestions) => {
  expect(completeQuery(query, query.length, version).suggestions).toEqual(suggestions)
})
