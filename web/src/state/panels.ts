/** The panels of packages: which there are, and their plots as ECharts takes them. */
import { ref, type Ref } from 'vue'
import { ask, client, type Schemas } from '@/api/client'

export type PanelFacts = Schemas['PanelAnswer']
export type Block = Schemas['PanelShown']['blocks'][number]
export type PlotBlock = Schemas['Plot']
export type LinkBlock = Schemas['Link']
export type FormBlock = Schemas['Form']
export type FormField = Schemas['FormField']
export type Value = string | number | boolean | string[] | null
export type Values = Record<string, Value>

const known: Ref<PanelFacts[]> = ref([])
let asked: Promise<void> | null = null

/** The panels that whoever is signed in may see; they are asked for once. */
export function usePanels(): Ref<PanelFacts[]> {
  asked ??= ask(client.GET('/api/v1/panels')).then(
    (found) => void (known.value = found),
    () => void (asked = null), // screens do without; the next one asks again
  )
  return known
}

/** Whoever signs in next may see others. */
export function forgetPanels(): void {
  asked = null
  known.value = []
}

const COLORS = ['#3b82f6', '#e69f00', '#009e73', '#cc79a7', '#d55e00', '#56b4e9', '#9114ff', '#785c23']
const quiet = { axisLabel: { hideOverlap: true, overflow: 'truncate', width: 120 }, splitLine: { lineStyle: { opacity: 0.25 } } }

const shortened = (name: string): string => (name.length > 28 ? `${name.slice(0, 27)}…` : name)

/** A plot as options of ECharts. Texts go in as data alone: nothing of a panel becomes a format or a function. */
export function optionOf(plot: PlotBlock): Record<string, unknown> {
  const isBars = plot.type === 'bars'
  const isSideways = isBars && plot.sideways
  const names = { type: 'category', data: plot.along.map(String), ...quiet, inverse: isSideways }
  const values = { type: 'value', ...quiet }
  return {
    grid: { left: 12, right: 24, top: plot.series.length > 1 ? 44 : 16, bottom: 8, containLabel: true },
    tooltip: { trigger: 'axis', confine: true, extraCssText: 'max-width: 340px; white-space: normal; overflow-wrap: anywhere' },
    legend: plot.series.length > 1 ? { type: 'scroll', top: 4, icon: 'roundRect', itemGap: 22, formatter: shortened } : undefined,
    xAxis: isSideways ? values : names,
    yAxis: isSideways ? names : values,
    series: plot.series.map((one, index) => ({
      type: isBars ? 'bar' : 'line', name: one.name, data: one.values, stack: plot.stacked ? 'all' : undefined, barMaxWidth: 26, showSymbol: plot.along.length < 60,
      itemStyle: { color: one.color ?? COLORS[index % COLORS.length] },
    })),
  }
}

export const heightOf = (plot: PlotBlock): number => (plot.sideways ? Math.max(180, plot.along.length * (plot.stacked ? 28 : 14 + 12 * plot.series.length) + 70) : 280)

/** What is written in a field, as the parameter that it stands for; null where it is empty. */
export function valueOf(field: FormField, given: unknown): Value {
  if (field.type === 'truth') return given === true
  if (field.type === 'texts' || field.type === 'choices') return Array.isArray(given) ? given.map(String) : []
  if (field.type === 'number' || field.type === 'whole') return given === '' || given === null || given === undefined ? null : Number(given)
  return given === null || given === undefined ? '' : String(given)
}

/** The parameters of a filled in form. An empty number is left out, so that it is as it is to begin with. */
export function valuesOf(form: FormBlock, given: Record<string, unknown>): Values {
  const made: Values = {}
  for (const field of form.fields) {
    const value = valueOf(field, given[field.name])
    if (value !== null && !(value === '' && field.value === null)) made[field.name] = value
  }
  return made
}
