import { describe, expect, it } from 'vitest'
import type { Version } from '@/api/client'
import { ActError, after, replayed, rowsOf, withAct, type Act } from '@/state/classes'
import { complete } from '@/state/completion'
import { fromAddress, noFilters, toAddress, whereOf } from '@/state/filters'
import { optionOf, valuesOf, type FormField } from '@/state/panels'
import { choicesOf, nothingChosen, settled, take, takeAll, takenIn, type Conflict } from '@/state/merging'
import { apiOf, baseOf, DEFAULT, projectOf } from '@/state/place'
import { countsOf, plannedLook, shareOf, stepLook, type Step } from '@/state/steps'
import { bodyOf, grouped, nameFor } from '@/state/upload'
import { ago, size } from '@/text'

const objects = { name: 'objects', kind: 'objects' as const, classes: [] }

describe('filters', () => {
  it('become one query, in which what is asked of objects is asked of one object', () => {
    const filters = { ...noFilters(), query: 'key != "a" or True', classes: ['ship', 'tug "x"'], area: [10, 20] as [number, number], splits: ['val'], count: [1, 3] as [number, number] }
    expect(whereOf(filters, objects)).toBe(
      '(key != "a" or True) and any(objects, class in ("ship", "tug \\"x\\"") and area >= 10 and area <= 20) and len(objects) >= 1 and len(objects) <= 3 and split == "val"',
    )
    expect(whereOf(noFilters(), objects)).toBeNull()
    expect(whereOf({ ...noFilters(), classes: ['cat'] }, { ...objects, name: 'label', kind: 'label' })).toBe('label == "cat"')
  })
  it('name classes as they are called now, where a view was kept before they were renamed or merged', () => {
    const labels = { ...objects, classes: [{ name: 'vessel', was: ['ship', 'boat'] }, { name: 'tug', was: ['ferry'] }, { name: 'ferry', was: [] }] }
    const named = (...classes: string[]): string[] => fromAddress(toAddress({ ...noFilters(), classes }), labels).classes
    expect(named('ship', 'boat', 'tug')).toEqual(['vessel', 'tug'])
    expect(named('ferry')).toEqual(['ferry'])
    expect(named('gone')).toEqual(['gone'])
  })
  it('survive an address, and odd addresses do no harm', () => {
    const filters = { ...noFilters(), query: 'a & b', classes: ['ä', 'b,c'], score: [0.1, 0.5] as [number, number], descending: true, order: 'key' }
    expect(fromAddress(toAddress(filters))).toEqual(filters)
    expect(fromAddress({ classes: '{"a":1}', area: '[1]', splits: 'nonsense', order: ['x'], count: '["a","b"]' })).toEqual(noFilters())
  })
})

describe('completion', () => {
  const version = { columns: [{ name: 'objects', kind: 'objects', classes: [{ name: 'ship' }, { name: 'sailboat' }] }, { name: 'image', kind: 'image' }, { name: 'split', kind: 'text' }] } as unknown as Version
  const words = (text: string): string[] => complete(text, text.length, version).words
  it('knows columns, fields of objects and classes where they belong', () => {
    expect(words('sp')).toEqual(['split'])
    expect(words('any(objects, sc')).toEqual(['score'])
    expect(words('any(objects, class == "s')).toEqual(['ship"', 'sailboat"'])
    expect(words('image.w')).toEqual(['image.width'])
    expect(words('split == "val"')).toEqual([])
  })
})

describe('uploads', () => {
  const file = (name: string, bytes: number): { name: string; file: File } => ({ name, file: new File([new Uint8Array(bytes)], name) })
  it('go in groups of bounded size, none lost', () => {
    const files = Array.from({ length: 1000 }, (_, at) => file(`${at}.jpg`, at % 3 ? 1000 : 120_000))
    const groups = grouped(files)
    expect(groups.flat().map((one) => one.name)).toEqual(files.map((one) => one.name))
    expect(Math.max(...groups.map((group) => group.length))).toBeLessThanOrEqual(256)
    expect(grouped([file('huge', 30_000_000), file('b', 1)])).toHaveLength(2)
  })
  it('say the name and size of each file before its bytes', async () => {
    const text = await bodyOf([{ name: 'ä/b.txt', file: new File(['hello'], 'b.txt') }, { name: 'c', file: new File([''], 'c') }]).text()
    expect(text).toBe('{"name":"ä/b.txt","size":5}\nhello{"name":"c","size":0}\n')
  })
  it('name a dataset after what is imported', () => {
    expect(['/data/My Photos/', 'cells.tar.gz', 'x.zip', '..', 'https://a.b/c.zip'].map(nameFor)).toEqual(['My-Photos', 'cells', 'x', 'dataset', 'c'])
  })
})

describe('words', () => {
  it('say how long ago and how much', () => {
    const now = Date.parse('2026-01-02T00:00:00Z')
    expect(ago('2026-01-01T23:59:50Z', now)).toBe('just now')
    expect(ago('2026-01-01T21:00:00Z', now)).toBe('3 hours ago')
    expect([size(12), size(1500), size(2_500_000_000)]).toEqual(['12 bytes', '1.5 kB', '2.5 GB'])
  })
})

describe('projects', () => {
  it('are in the address, but for the one that is always there', () => {
    for (const name of ['cells', 'a.b-c_d', 'ünï', '50%']) {
      expect(projectOf(`${baseOf(name)}datasets/x`)).toBe(name)
      expect(apiOf(name, '/api/v1/jobs')).toBe(`/api/v1/projects/${encodeURIComponent(name)}/jobs`)
    }
    expect(baseOf(DEFAULT)).toBe('/')
    expect(apiOf(DEFAULT, '/api/v1/jobs')).toBe('/api/v1/jobs')
    expect(projectOf('/p/cells')).toBe('cells')
    expect(projectOf('/people')).toBe(DEFAULT)
    expect(projectOf('/p/%E0%A4%A/x')).toBe('%E0%A4%A')
  })
})

describe('classes', () => {
  const answer = (name: string, objects: number, parent: string | null = null) => ({ column: 'objects', name, color: '#e69f00', parent, keypoints: [], objects, items: Math.min(objects, 3) })
  const rows = rowsOf([answer('vehicle', 0), answer('car', 5, 'vehicle'), answer('taxi', 2, 'car')])
  const names = (acts: Act[]): string[] => replayed(rows, acts).rows.map((row) => row.name)
  const on = { column: 'objects' }

  it('are as their acts make them', () => {
    expect(names([{ act: 'rename', name: 'car', to: 'auto', ...on }])).toEqual(['vehicle', 'auto', 'taxi'])
    expect(replayed(rows, [{ act: 'rename', name: 'car', to: 'auto', ...on }]).rows[2]?.parent).toBe('auto')
    const merged = replayed(rows, [{ act: 'merge', name: 'taxi', into: 'car', ...on }]).rows
    expect(merged.map((row) => [row.name, row.objects, row.isMerged])).toEqual([['vehicle', 0, false], ['car', 7, true]])
    expect(replayed(rows, [{ act: 'remove', name: 'car', with_objects: true, ...on }]).rows[1]?.parent).toBe('vehicle')
    expect(replayed(rows, [{ act: 'add', name: 'bus', ...on }]).rows[3]).toMatchObject({ name: 'bus', was: null, color: '#56b4e9' })
  })
  it('are as before where an act cannot be done', () => {
    for (const act of [{ act: 'rename', name: 'car', to: 'taxi', ...on }, { act: 'rename', name: 'nobody', to: 'x', ...on }, { act: 'add', name: 'car', ...on }, { act: 'merge', name: 'car', into: 'car', ...on }, { act: 'rename', name: 'car', to: ' ', ...on }] as Act[]) {
      expect(() => after(rows, act)).toThrow(ActError)
      expect(replayed(rows, [act])).toEqual({ rows, acts: [] })
    }
  })
  it('forget what hung on an act that is undone', () => {
    const acts: Act[] = [{ act: 'rename', name: 'car', to: 'auto', ...on }, { act: 'recolor', name: 'auto', color: '#000000', ...on }, { act: 'recolor', name: 'taxi', color: '#111111', ...on }]
    expect(replayed(rows, acts.slice(1)).acts).toEqual([acts[2]])
    expect(withAct(acts, { act: 'recolor', name: 'taxi', color: '#222222', ...on })).toHaveLength(3)
    expect(withAct(acts, { act: 'recolor', name: 'auto', color: '#222222', ...on })).toHaveLength(4)
  })
})

describe('panels', () => {
  const plot = { kind: 'plot' as const, type: 'bars' as const, title: '', along: ['<b>', 'b'], stacked: false, sideways: true, series: [{ name: '{a|x}', values: [1, null] }, { name: 'y', values: [2, 3], color: '#aa0000' }] }

  it('are drawn with their texts as data', () => {
    const option = optionOf(plot) as { yAxis: { data: string[] }; series: { name: string; itemStyle: { color: string } }[] }
    expect(option.yAxis.data).toEqual(['<b>', 'b'])
    expect(option.series.map((one) => one.name)).toEqual(['{a|x}', 'y'])
    expect(option.series[1]?.itemStyle.color).toBe('#aa0000')
    expect(JSON.stringify(option)).not.toContain('formatter')
  })
  it('are asked again with what is written in their form', () => {
    const field = (name: string, type: FormField['type'], value: FormField['value'] = null): FormField => ({ name, title: name, help: '', type, options: [], value })
    const form = { kind: 'form' as const, go: 'Show', fields: [field('a', 'text', 'x'), field('b', 'whole', 1), field('c', 'number'), field('d', 'truth'), field('e', 'texts'), field('f', 'text')] }
    expect(valuesOf(form, { a: '', b: '7', c: '', d: null, e: null, f: null })).toEqual({ a: '', b: 7, d: false, e: [] })
    expect(valuesOf(form, { a: 'y', b: 2, c: '0.5', d: true, e: ['p'], f: 'z' })).toEqual({ a: 'y', b: 2, c: 0.5, d: true, e: ['p'], f: 'z' })
  })
})

describe('merging', () => {
  const conflict = (key: string): Conflict => ({ key, column: 'note', object: null, class: null, ours: 'changed', theirs: 'removed', take: null })
  const [a, b] = [conflict('a'), conflict('b')]

  it('takes sides one by one, and one in all that are left', () => {
    const one = take(nothingChosen(), a, 'theirs')
    expect([takenIn(one, a), takenIn(one, b), settled(one, 9)]).toEqual(['theirs', null, 1])
    expect(choicesOf(one)).toEqual([{ key: 'a', column: 'note', object: null, class: null, take: 'theirs' }])
    const all = take(takeAll('ours'), b, 'theirs')
    expect([takenIn(all, a), takenIn(all, b), settled(all, 9)]).toEqual(['ours', 'theirs', 9])
    const back = take(all, b, 'ours')
    expect([takenIn(back, b), choicesOf(back)]).toEqual(['ours', []])
    expect(takenIn(one, conflict('a'))).toBe('theirs')
  })
})

describe('steps', () => {
  const step = (more: Partial<Step>): Step => ({ step: 's', state: 'done', operation: '', action: 'run', reasons: [], items: null, worked: 0, failed: 0, failures: [], seconds: 0, value: null, ...more })

  it('says how many items were worked on and how many were known', () => {
    expect(shareOf(step({ action: 'skip', items: 9 }))).toEqual({ worked: 0, known: 9 })
    expect(shareOf(step({ action: 'partial', items: 9, worked: 2 }))).toEqual({ worked: 2, known: 7 })
    expect(shareOf(step({ action: 'run', items: 3, worked: 10 }))).toEqual({ worked: 10, known: 0 })
    expect(shareOf(step({ state: 'running' }))).toEqual({ worked: null, known: null })
  })
  it('looks like what is done about it', () => {
    expect([step({}), step({ action: 'skip' }), step({ state: 'failed' }), step({ state: 'stopped' }), step({ action: 'leave' })].map((one) => stepLook(one).kind)).toEqual(['done', 'known', 'failed', 'partial', 'left'])
    const planned = { step: 's', operation: '', reasons: [], items: 10, todo: 4 }
    expect([plannedLook({ ...planned, action: 'partial' }), plannedLook({ ...planned, action: 'wait' }).kind]).toEqual([{ kind: 'partial', note: '4/10' }, 'waiting'])
  })
  it('counts the steps of a run', () => {
    expect(countsOf({ steps_run: 1, steps_partial: 1, steps_skip: 3, items_worked: 7 })).toEqual({ run: 2, known: 3, worked: 7, failed: 0 })
    expect(countsOf({})).toEqual({ run: 0, known: 0, worked: null, failed: 0 })
  })
})
