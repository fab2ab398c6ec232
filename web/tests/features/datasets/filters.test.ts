import { describe, expect, it } from 'vitest'
import { buildQuery, emptyFilters, filtersFromUrl, filtersToUrl, type Filters } from '@/features/datasets/filters'

const objects = { name: 'objects', kind: 'objects' as const, classes: [] }

describe('filters', () => {
  it('become one query, whose object conditions apply to the same object', () => {
    const filters: Filters = {
      ...emptyFilters(),
      query: 'key != "a" or True',
      classes: ['ship', 'tug "x"'],
      area: [10, 20],
      splits: ['val'],
      count: [1, 3],
    }
    expect(buildQuery(filters, objects)).toBe(
      '(key != "a" or True) and any(objects, class in ("ship", "tug \\"x\\"") and area >= 10 and area <= 20) and len(objects) >= 1 and len(objects) <= 3 and split == "val"',
    )
    expect(buildQuery(emptyFilters(), objects)).toBeNull()
    expect(buildQuery({ ...emptyFilters(), classes: ['cat'] }, { ...objects, name: 'label', kind: 'label' })).toBe('label == "cat"')
  })

  it('of a saved view use the current names of renamed and merged classes', () => {
    const classes = [{ name: 'vessel', was: ['ship', 'boat'] }, { name: 'tug', was: ['ferry'] }, { name: 'ferry', was: [] }]
    const currentNames = (...names: string[]): string[] =>
      filtersFromUrl(filtersToUrl({ ...emptyFilters(), classes: names }), { ...objects, classes }).classes
    expect(currentNames('ship', 'boat', 'tug')).toEqual(['vessel', 'tug'])
    expect(currentNames('ferry')).toEqual(['ferry'])
    expect(currentNames('deleted')).toEqual(['deleted'])
  })

  it('survive a URL, and invalid parameters are ignored', () => {
    const filters: Filters = { ...emptyFilters(), query: 'a & b', classes: ['ä', 'b,c'], score: [0.1, 0.5], descending: true, order: 'key' }
    expect(filtersFromUrl(filtersToUrl(filters))).toEqual(filters)
    const invalid = { classes: '{"a":1}', area: '[1]', splits: 'nonsense', order: ['x'], count: '["a","b"]' }
    expect(filtersFromUrl(invalid)).toEqual(emptyFilters())
  })
})
