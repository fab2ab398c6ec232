import { describe, expect, it } from 'vitest'
import { addPoints, latestAndBest, lossCurves, metricCurves, smooth, withoutNonPositive, type Progress, type StepPoint } from '@/features/runs/curves'
import { formatLearningRate, formatLeft } from '@/i18n'

const point = (step: number, losses: Record<string, number>): StepPoint => ({ step, losses, learning_rate: 0.1 })
const response = (points: StepPoint[], isReset: boolean): Progress => ({ points, is_reset: isReset }) as Progress

describe('curves of a training', () => {
  it('adds new points, and replaces all after a resumption', () => {
    const first = addPoints([], response([point(1, { a: 1 })], true))
    const second = addPoints(first, response([point(2, { a: 2 })], false))
    expect(second.map(({ step }) => step)).toEqual([1, 2])
    expect(addPoints(second, response([point(1, { a: 5 })], true))).toEqual([point(1, { a: 5 })])
  })
  it('shows the total only of several losses', () => {
    expect(lossCurves([point(1, { a: 1, b: 2 }), point(2, { a: 3, b: 4 })], [])).toEqual([
      { name: 'total', points: [[1, 3], [2, 7]] },
      { name: 'a', points: [[1, 1], [2, 3]] },
      { name: 'b', points: [[1, 2], [2, 4]] },
    ])
    expect(lossCurves([point(1, { a: 1 })], []).map(({ name }) => name)).toEqual(['a'])
  })
  it('takes the losses of old runs from their epochs', () => {
    expect(lossCurves([], [{ epoch: 1, step: 7, losses: { a: 2 } }])).toEqual([{ name: 'a', points: [[7, 2]] }])
  })
  it('has metrics only for validated epochs', () => {
    const epochs = [{ epoch: 1, step: 3 }, { epoch: 2, step: 6, metrics: { ap: 0.5 } }, { epoch: 3, step: 9, metrics: { ap: 0.4 } }]
    expect(metricCurves(epochs)).toEqual([{ name: 'ap', points: [[2, 0.5], [3, 0.4]] }])
    expect(latestAndBest(epochs)).toEqual({ latest: epochs[2], best: epochs[1] })
    expect(latestAndBest(epochs.slice(0, 1))).toBeNull()
  })
  it('smooths without a bias to the first value', () => {
    expect(smooth([[1, 4], [2, 4], [3, 4]])).toEqual([[1, 4], [2, 4], [3, 4]])
    const [first, second] = smooth([[1, 0], [2, 1]])
    expect(first).toEqual([1, 0])
    expect(second?.[1]).toBeGreaterThan(0.5)
    expect(second?.[1]).toBeLessThan(1)
  })
  it('leaves gaps for what a logarithmic axis cannot show', () => {
    expect(withoutNonPositive([[1, 0], [2, -1], [3, 2], [4, null]])).toEqual([[1, null], [2, null], [3, 2], [4, null]])
  })
  it('writes learning rates and remaining times briefly', () => {
    expect([0.01, 0.00025, 1e-5, 0].map(formatLearningRate)).toEqual(['0.01', '2.5e-4', '1e-5', '0'])
    expect([12.4, 300, 7800].map(formatLeft)).toEqual(['12 s', '5 min', '2 h 10 min'])
  })
})
