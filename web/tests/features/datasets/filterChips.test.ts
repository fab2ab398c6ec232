import { describe, expect, it } from 'vitest'
import { filterChips } from '@/features/datasets/filterChips'
import { buildQuery, emptyFilters, filtersFromUrl, filtersToUrl, withoutConditions, type Filters } from '@/features/datasets/filters'
import { visibleObjects } from '@/features/datasets/objectVisibility'

const labels = { name: 'objects', kind: 'objects' as const, classes: [] }
const filters: Filters = {
  ...emptyFilters(),
  search: 'harbour "ship',
  query: 'len(objects) > 2',
  mode: 'search',
  keys: ['cam1/7'],
  classes: ['ship', 'tug'],
  splits: ['val'],
  tags: ['night'],
  labelled: true,
  fields: { 'odd-name': [0, 2.5], weather: ['fog', 'rain'] },
  area: [10, 20000],
  score: [0.25, 0.5],
  count: [1, 3],
  confidence: 0.4,
  confident: true,
}

describe('chips of filters', () => {
  it('are one for each word, value and range', () => {
    expect(filterChips(filters, labels).map(({ field, value }) => (field ? `${field}: ${value}` : value))).toEqual([
      'harbour', '"ship', 'Query: len(objects) > 2', 'File: cam1/7', 'Class: ship', 'Class: tug', 'Split: val', 'Tag: night', 'Labelled: Yes',
      'Object area: 10 – 20,000', 'Objects: 1 – 3', 'Score: 0.25 – 0.5', 'Confidence: ≥ 40 %', 'odd-name: 0 – 2.5', 'weather: fog', 'weather: rain',
    ])
    expect(filterChips(emptyFilters(), labels)).toEqual([])
  })

  it('removed one after another leave no filter', () => {
    let current = filters
    for (let left = filterChips(current, labels).length; left > 0; left -= 1) {
      expect(filterChips(current, labels)).toHaveLength(left)
      expect(buildQuery(current, labels)).not.toBeNull()
      current = { ...current, ...filterChips(current, labels)[left % 2 ? 0 : left - 1]?.cleared }
    }
    expect(buildQuery(current, labels)).toBeNull()
  })

  it('can be kept alone', () => {
    for (const chip of filterChips(filters, labels)) {
      const alone = filterChips({ ...withoutConditions(filters), ...chip.only }, labels)
      expect(alone.map(({ field, value }) => [field, value])).toEqual([[chip.field, chip.value]])
    }
  })

  it('all removed at once keep the order and what is drawn', () => {
    const cleared = withoutConditions({ ...filters, order: 'key', descending: true, others: true })
    expect(buildQuery(cleared, labels)).toBeNull()
    expect(cleared).toMatchObject({ order: 'key', descending: true, others: true, confidence: 0.4 })
  })
})

it('all filters become one query', () => {
  expect(buildQuery(filters, labels)).toBe(
    'search("harbour \\"ship") and (len(objects) > 2) and key == "cam1/7" and ' +
      'any(objects, class in ("ship", "tug") and area >= 10 and area <= 20000 and score >= 0.25 and score <= 0.5 and score >= 0.4) and ' +
      'len(objects) >= 1 and len(objects) <= 3 and objects is not None and split == "val" and ("night" in tags) and ' +
      'item["odd-name"] >= 0 and item["odd-name"] <= 2.5 and weather in ("fog", "rain")',
  )
  expect(filtersFromUrl(filtersToUrl(filters), labels)).toEqual(filters)
})

it('the mode is in the URL, and a link to a query opens the query mode', () => {
  const modeOf = (parameters: Record<string, unknown>): string => filtersFromUrl(parameters).mode
  expect(modeOf({})).toBe('search')
  expect(modeOf({ query: 'True' })).toBe('query')
  for (const mode of ['search', 'query'] as const) {
    for (const query of ['', 'True']) expect(modeOf(filtersToUrl({ ...emptyFilters(), mode, query }))).toBe(mode)
  }
})

describe('drawn objects', () => {
  const objects = [
    { class: 'ship', score: 0.9 }, { class: 'ship', score: 0.2 }, { class: 'tug', score: 0.6 }, { class: 'ship', score: null },
  ]
  const visible = (changed: Partial<Filters>, column: typeof labels | null = labels): number[] =>
    visibleObjects(objects, { ...emptyFilters(), ...changed }, column).map((object) => objects.indexOf(object))

  it('are those of the filtered classes, unless all are to be shown', () => {
    expect(visible({})).toEqual([0, 1, 2, 3])
    expect(visible({ classes: ['ship'] })).toEqual([0, 1, 3])
    expect(visible({ classes: ['ship'], others: true })).toEqual([0, 1, 2, 3])
    expect(visible({ classes: ['ship'] }, null)).toEqual([0, 1, 2, 3])
  })

  it('have at least the confidence, or no score', () => {
    expect(visible({ confidence: 0.5 })).toEqual([0, 2, 3])
    expect(visible({ confidence: 0.5, classes: ['ship'] })).toEqual([0, 3])
    expect(visible({ score: [0.1, 0.7] })).toEqual([1, 2])
    expect(visible({ confidence: 0.6, classes: ['tug'], others: true })).toEqual([0, 2, 3])
  })
})
