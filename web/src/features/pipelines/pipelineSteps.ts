/** The status of pipeline steps, in a plan and in a run. */
import type { Schemas } from '@/api/client'
import { formatNumber, t } from '@/i18n'

export type Step = Schemas['StepResponse']
export type Graph = Schemas['GraphResponse']

export interface StepStatus {
  kind: 'cached' | 'done' | 'todo' | 'partial' | 'running' | 'waiting' | 'failed' | 'skipped'
  note: string
}

export interface PlannedStep {
  step: string
  operation: string
  action: string
  reasons: string[]
  items: number | null
  todo: number | null
}

/** Why a step processes an item, or takes its result from the cache. */
export interface ItemExplanation {
  step: string
  operation: string
  key: string
  known: boolean | null
  since: string | null
  reasons: string[]
}

/** The result of a job of the kind `plan`. */
export interface Plan {
  pipeline: string
  steps: PlannedStep[]
  graph: Graph
  causes: ItemExplanation[]
}

export const STATUS_COLORS: Record<StepStatus['kind'], string> = {
  cached: 'success',
  done: 'success',
  todo: 'warning',
  partial: 'warning',
  running: 'info',
  waiting: 'secondary',
  failed: 'error',
  skipped: 'secondary',
}

const PLANNED_KINDS: Record<string, StepStatus['kind']> = {
  skip: 'cached',
  run: 'todo',
  partial: 'partial',
  wait: 'waiting',
  omit: 'skipped',
}

export function plannedStatus(step: PlannedStep): StepStatus {
  const hasCounts = step.items !== null && step.todo !== null && step.action !== 'skip'
  const note = hasCounts ? `${formatNumber(step.todo ?? 0)}/${formatNumber(step.items ?? 0)}` : ''
  return { kind: PLANNED_KINDS[step.action] ?? 'waiting', note }
}

export function runStatus(step: Step): StepStatus {
  if (step.state !== 'done') return { kind: step.state === 'stopped' ? 'partial' : step.state, note: '' }
  if (step.action === 'omit') return { kind: 'skipped', note: '' }
  const note = step.items === null || step.items === undefined ? '' : formatNumber(step.items)
  return { kind: step.action === 'skip' ? 'cached' : 'done', note }
}

export function stepLabel(step: Step): string {
  if (step.state === 'done') return t.pipelines.finishedActions[step.action] ?? step.action
  return t.pipelines.stepStates[step.state] ?? step.state
}

/** How many items a step processed and how many results came from the cache; null if it does not apply. */
export function itemCounts(step: Step): { processed: number | null; cached: number | null } {
  if (step.state !== 'done' || step.items === null || step.items === undefined) return { processed: step.computed || null, cached: null }
  if (step.action === 'skip') return { processed: 0, cached: step.items }
  if (step.action === 'run' && !step.computed) return { processed: null, cached: null } // the step does not run by item
  return { processed: step.computed, cached: step.action === 'partial' ? Math.max(0, step.items - step.computed) : 0 }
}

/** Counts of steps and items from the metrics of a pipeline run. */
export function runCounts(metrics: Record<string, unknown>): { run: number; cached: number; processed: number | null; failed: number } {
  const count = (name: string): number => (typeof metrics[name] === 'number' ? metrics[name] : 0)
  return {
    run: count('steps_run') + count('steps_partial'),
    cached: count('steps_skip'),
    processed: typeof metrics.items_worked === 'number' ? metrics.items_worked : null,
    failed: count('items_failed'),
  }
}
