import { describe, expect, it } from 'vitest'
import { emptyFilters, type Filters } from '@/features/datasets/filters'
import { matchedEnd, suggestFilters, type Suggestion, type SuggestionSource } from '@/features/datasets/items/searchSuggestions'

const source: SuggestionSource = {
  classes: ['ship', 'warship', 'traffic light', 'Tug'],
  tags: ['night', 'shiny'],
  files: [],
  values: [{ column: 'split', texts: ['train', 'val'] }, { column: 'weather', texts: ['shower', 'fog'] }],
  numberColumns: ['depth', 'shipping'],
  labels: { name: 'objects', kind: 'objects', classes: [] },
  labelledTexts: { label: 'Labelled', yes: 'Yes', no: 'No' },
}
const suggest = (text: string, filters: Partial<Filters> = {}, changed: Partial<SuggestionSource> = {}): Suggestion[] =>
  suggestFilters(text, { ...emptyFilters(), ...filters }, { ...source, ...changed })
const labels = (suggestions: Suggestion[]): string[] => suggestions.map(({ group, label }) => `${group}/${label}`)

describe('suggestions', () => {
  it('are grouped, with names that start with the text first', () => {
    expect(labels(suggest('sh', {}, { files: ['cam1/ship_01'] }))).toEqual([
      'classes/ship', 'classes/warship', 'tags/shiny', 'files/cam1/ship_01', 'fields/shower', 'fields/shipping',
    ])
    expect(suggest('  ')).toEqual([])
  })

  it('replace the longest end of the text that they contain, and keep the words before it', () => {
    expect(suggest('harbour traffic li')[0]).toMatchObject({ label: 'traffic light', rest: 'harbour ', change: { classes: ['traffic light'] } })
    expect(suggest('harbour TU')[0]).toMatchObject({ label: 'Tug', rest: 'harbour ' })
    expect(matchedEnd('a b ship', 'warship')).toBe('ship')
    expect(matchedEnd('(', 'ship')).toBeNull()
    expect(matchedEnd('ship(', 'ship')).toBeNull()
  })

  it('add to the filters of the same kind, and leave out what is filtered already', () => {
    const [first] = suggest('sh', { classes: ['ship'] })
    expect(first).toMatchObject({ label: 'warship', change: { classes: ['ship', 'warship'] } })
    expect(suggest('va', { splits: ['train'] })[0]).toMatchObject({ detail: 'split', change: { splits: ['train', 'val'] } })
    expect(suggest('fo')[0]).toMatchObject({ detail: 'weather', change: { fields: { weather: ['fog'] } } })
    expect(suggest('dep')[0]).toMatchObject({ column: 'depth', label: 'depth' })
    expect(suggest('dep')[0]?.change).toBeUndefined()
    expect(suggest('dep', { fields: { depth: [0, 1] } })).toEqual([])
    expect(suggest('labelled').map(({ change }) => change)).toEqual([{ labelled: true }, { labelled: false }])
  })
})
