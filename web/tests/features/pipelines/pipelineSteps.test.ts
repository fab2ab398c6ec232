import { describe, expect, it } from 'vitest'
import { itemCounts, plannedStatus, runCounts, runStatus, type Step } from '@/features/pipelines/pipelineSteps'

const createStep = (values: Partial<Step>): Step => ({
  step: 's',
  state: 'done',
  operation: '',
  action: 'run',
  reasons: [],
  items: null,
  computed: 0,
  failed: 0,
  failures: [],
  seconds: 0,
  value: null,
  ...values,
})

describe('pipeline steps', () => {
  it('count processed and cached items', () => {
    expect(itemCounts(createStep({ action: 'skip', items: 9 }))).toEqual({ processed: 0, cached: 9 })
    expect(itemCounts(createStep({ action: 'partial', items: 9, computed: 2 }))).toEqual({ processed: 2, cached: 7 })
    expect(itemCounts(createStep({ action: 'run', items: 3, computed: 10 }))).toEqual({ processed: 10, cached: 0 })
    expect(itemCounts(createStep({ state: 'running' }))).toEqual({ processed: null, cached: null })
  })

  it.each([
    [{}, 'done'],
    [{ action: 'skip' }, 'cached'],
    [{ state: 'failed' }, 'failed'],
    [{ state: 'stopped' }, 'partial'],
    [{ action: 'omit' }, 'skipped'],
  ] as [Partial<Step>, string][])('with %o have the status %s', (values, kind) => {
    expect(runStatus(createStep(values)).kind).toBe(kind)
  })

  it('have a status in a plan', () => {
    const planned = { step: 's', operation: '', reasons: [], items: 10, todo: 4 }
    expect(plannedStatus({ ...planned, action: 'partial' })).toEqual({ kind: 'partial', note: '4/10' })
    expect(plannedStatus({ ...planned, action: 'wait' }).kind).toBe('waiting')
  })

  it('are counted for a run', () => {
    expect(runCounts({ steps_run: 1, steps_partial: 1, steps_skip: 3, items_worked: 7 })).toEqual({ run: 2, cached: 3, processed: 7, failed: 0 })
    expect(runCounts({})).toEqual({ run: 0, cached: 0, processed: null, failed: 0 })
  })
})
