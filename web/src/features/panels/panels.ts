/** The panels that installed packages provide, and their charts as ECharts options. */
import { computed, type ComputedRef } from 'vue'
import type { Schemas } from '@/api/client'
import { get, useApiQuery, type QueryResult } from '@/api/queries'

export type PanelInfo = Schemas['PanelResponse']
export type Block = Schemas['PanelContent']['blocks'][number]
export type PlotBlock = Schemas['Plot']
export type LinkBlock = Schemas['Link']
export type FormBlock = Schemas['Form']
export type FormField = Schemas['FormField']
export type ParameterValue = string | number | boolean | string[] | null
export type PanelParameters = Record<string, ParameterValue>

/** The panels that the user may see. */
export const usePanelList = (): QueryResult<PanelInfo[]> => useApiQuery(() => get('/api/v1/panels'))

/** These panels; none if they cannot be fetched, because most screens work without them. */
export function usePanels(): ComputedRef<PanelInfo[]> {
  const query = usePanelList()
  return computed(() => query.data ?? [])
}

const COLORS = ['#3b82f6', '#e69f00', '#009e73', '#cc79a7', '#d55e00', '#56b4e9', '#9114ff', '#785c23']
const AXIS_STYLE = { axisLabel: { hideOverlap: true, overflow: 'truncate', width: 120 }, splitLine: { lineStyle: { opacity: 0.25 } } }
const TOOLTIP_CSS = 'max-width: 340px; white-space: normal; overflow-wrap: anywhere'

const shorten = (name: string): string => (name.length > 28 ? `${name.slice(0, 27)}…` : name)

/** A plot as ECharts options. Texts of a panel are only data: none becomes a format string or a function. */
export function chartOption(plot: PlotBlock): Record<string, unknown> {
  const isBarChart = plot.type === 'bars'
  const isHorizontal = isBarChart && plot.horizontal
  const hasLegend = plot.series.length > 1
  const categoryAxis = { type: 'category', data: plot.categories.map(String), ...AXIS_STYLE, inverse: isHorizontal }
  const valueAxis = { type: 'value', ...AXIS_STYLE }
  return {
    grid: { left: 12, right: 24, top: hasLegend ? 44 : 16, bottom: 8, containLabel: true },
    tooltip: { trigger: 'axis', confine: true, extraCssText: TOOLTIP_CSS },
    legend: hasLegend ? { type: 'scroll', top: 4, icon: 'roundRect', itemGap: 22, formatter: shorten } : undefined,
    xAxis: isHorizontal ? valueAxis : categoryAxis,
    yAxis: isHorizontal ? categoryAxis : valueAxis,
    series: plot.series.map((series, index) => ({
      type: isBarChart ? 'bar' : 'line',
      name: series.name,
      data: series.values,
      stack: plot.stacked ? 'all' : undefined,
      barMaxWidth: 26,
      showSymbol: plot.categories.length < 60,
      itemStyle: { color: series.color ?? COLORS[index % COLORS.length] },
    })),
  }
}

/** The height of a plot in pixels. Horizontal bars need space for each category. */
export function chartHeight(plot: PlotBlock): number {
  if (!plot.horizontal) return 280
  const categoryHeight = plot.stacked ? 28 : 14 + 12 * plot.series.length
  return Math.max(180, plot.categories.length * categoryHeight + 70)
}

/** Converts the content of a form field to the type of its parameter; an empty number becomes null. */
export function fieldValue(field: FormField, input: unknown): ParameterValue {
  const isEmpty = input === null || input === undefined
  if (field.type === 'boolean') return input === true
  if (field.type === 'strings' || field.type === 'choices') return Array.isArray(input) ? input.map(String) : []
  if (field.type === 'number' || field.type === 'integer') return isEmpty || input === '' ? null : Number(input)
  return isEmpty ? '' : String(input)
}

/** The parameters of a filled-in form. Empty numbers, and empty texts without a default, are left out: the default applies. */
export function formParameters(form: FormBlock, inputs: Record<string, unknown>): PanelParameters {
  const parameters: PanelParameters = {}
  for (const field of form.fields) {
    const value = fieldValue(field, inputs[field.name])
    if (value !== null && !(value === '' && field.value === null)) parameters[field.name] = value
  }
  return parameters
}
