/** How the steps of a pipeline look, in a plan and in a run. */
import type { Schemas } from '@/api/client'
import { number, t } from '@/text'

export type Step = Schemas['StepAnswer']
export interface StepLook {
  kind: 'known' | 'done' | 'todo' | 'partial' | 'running' | 'waiting' | 'failed' | 'left'
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
export interface Cause {
  step: string
  operation: string
  key: string
  known: boolean | null
  since: string | null
  reasons: string[]
}
/** What a job of planning says. */
export interface Plan {
  pipeline: string
  steps: PlannedStep[]
  drawing: Schemas['DrawingAnswer']
  causes: Cause[]
}

const PLANNED: Record<string, StepLook['kind']> = { skip: 'known', run: 'todo', partial: 'partial', wait: 'waiting', leave: 'left' }

export function plannedLook(step: PlannedStep): StepLook {
  const note = step.items !== null && step.todo !== null && step.action !== 'skip' ? `${number(step.todo)}/${number(step.items)}` : ''
  return { kind: PLANNED[step.action] ?? 'waiting', note }
}

export function stepLook(step: Step): StepLook {
  if (step.state !== 'done') return { kind: step.state === 'stopped' ? 'partial' : step.state, note: '' }
  if (step.action === 'leave') return { kind: 'left', note: '' }
  return { kind: step.action === 'skip' ? 'known' : 'done', note: step.items === null || step.items === undefined ? '' : number(step.items) }
}

/** How many items were worked on, and how many were there already. */
export function shareOf(step: Step): { worked: number | null; known: number | null } {
  if (step.state !== 'done' || step.items === null || step.items === undefined) return { worked: step.worked || null, known: null }
  if (step.action === 'skip') return { worked: 0, known: step.items }
  if (step.action === 'run' && !step.worked) return { worked: null, known: null } // not by item
  return { worked: step.worked, known: step.action === 'partial' ? Math.max(0, step.items - step.worked) : 0 }
}

export const wordOf = (step: Step): string => (step.state === 'done' ? (t.pipelines.actions[step.action] ?? step.action) : (t.pipelines.states[step.state] ?? step.state))

export const COLORS: Record<StepLook['kind'], string> = {
  known: 'success', done: 'success', todo: 'warning', partial: 'warning', running: 'info', waiting: 'secondary', failed: 'error', left: 'secondary',
}

/** How many steps were run, and how many were known, of the numbers that a run keeps. */
export function countsOf(metrics: Record<string, unknown>): { run: number; known: number; worked: number | null; failed: number } {
  const of = (name: string): number => (typeof metrics[name] === 'number' ? (metrics[name] as number) : 0)
  return { run: of('steps_run') + of('steps_partial'), known: of('steps_skip'), worked: typeof metrics.items_worked === 'number' ? metrics.items_worked : null, failed: of('items_failed') }
}
