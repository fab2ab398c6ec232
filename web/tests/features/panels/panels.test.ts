import { describe, expect, it } from 'vitest'
import { chartOption, formParameters, type FormField } from '@/features/panels/panels'

describe('panels', () => {
  it('draw the texts of a plot as data only', () => {
    const option = chartOption({
      kind: 'plot',
      type: 'bars',
      title: '',
      categories: ['<b>', 'b'],
      stacked: false,
      horizontal: true,
      series: [{ name: '{a|x}', values: [1, null] }, { name: 'y', values: [2, 3], color: '#aa0000' }],
    }) as { yAxis: { data: string[] }; series: { name: string; itemStyle: { color: string } }[] }
    expect(option.yAxis.data).toEqual(['<b>', 'b'])
    expect(option.series.map(({ name }) => name)).toEqual(['{a|x}', 'y'])
    expect(option.series[1]?.itemStyle.color).toBe('#aa0000')
    expect(JSON.stringify(option)).not.toContain('formatter')
  })

  it('convert the inputs of a form to parameters', () => {
    const createField = (name: string, type: FormField['type'], value: FormField['value'] = null): FormField => ({
      name,
      title: name,
      help: '',
      type,
      options: [],
      value,
    })
    const fields = [
      createField('a', 'text', 'x'),
      createField('b', 'integer', 1),
      createField('c', 'number'),
      createField('d', 'boolean'),
      createField('e', 'strings'),
      createField('f', 'text'),
    ]
    const form = { kind: 'form' as const, submit_label: 'Show', fields }
    expect(formParameters(form, { a: '', b: '7', c: '', d: null, e: null, f: null })).toEqual({ a: '', b: 7, d: false, e: [] })
    expect(formParameters(form, { a: 'y', b: 2, c: '0.5', d: true, e: ['p'], f: 'z' })).toEqual({ a: 'y', b: 2, c: 0.5, d: true, e: ['p'], f: 'z' })
  })
})
