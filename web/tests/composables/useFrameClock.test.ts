import { describe, expect, it } from 'vitest'
import { effectScope } from 'vue'
import { playbackStride, positionAt, useFrameClock, type FrameClock, type FrameTimes } from '@/composables/useFrameClock'

const FRAME_MS = 40
const constantRate = (count: number): FrameTimes => ({
  times: Array.from({ length: count }, (_, index) => (index * FRAME_MS) / 1000),
  end: (count * FRAME_MS) / 1000,
})
/** The frames at 0, 0.1, 0.2 and 3 seconds, until 3.1 seconds. */
const VARIABLE_RATE: FrameTimes = { times: [0, 0.1, 0.2, 3], end: 3.1 }

/** A clock, and the function that repaints after some milliseconds. */
function createClock(frames: FrameTimes | null, isReady: (position: number) => boolean = () => true): [FrameClock, (milliseconds: number) => void, () => void] {
  let callback: ((now: number) => void) | null = null
  let now = 1000
  const scheduler = {
    request: (next: (now: number) => void) => {
      callback = next
      return 1
    },
    cancel: () => (callback = null),
  }
  const scope = effectScope()
  const clock = scope.run(() => useFrameClock(() => frames, isReady, scheduler)) as FrameClock
  function repaint(milliseconds: number): void {
    now += milliseconds
    const current = callback
    callback = null
    current?.(now)
  }
  return [clock, repaint, () => scope.stop()]
}

describe('positionAt', () => {
  it('is the frame that is shown at a time', () => {
    const { times } = VARIABLE_RATE
    expect([-1, 0, 0.099, 0.1, 0.25, 2.999, 3, 99].map((seconds) => positionAt(times, seconds))).toEqual([0, 0, 0, 1, 2, 2, 3, 3])
  })

  it('finds each frame by its own start, although times are rounded', () => {
    const times = Array.from({ length: 1000 }, (_, index) => Number((index / 29.97).toFixed(6)))
    expect(times.map((_, index) => positionAt(times, index / 29.97))).toEqual(times.map((_, index) => index))
  })
})

describe('the frame clock', () => {
  it('shows each frame as long as it lasts, also at a variable rate', () => {
    const [clock, repaint] = createClock(VARIABLE_RATE)
    clock.play()
    repaint(0)
    const shown = Array.from({ length: 31 }, () => {
      repaint(100)
      return clock.position.value
    })
    expect(shown).toEqual([1, ...Array.from({ length: 28 }, () => 2), 3, 3])
    expect(clock.isPlaying.value).toBe(false)
  })

  it('plays at a speed, and goes on from the current frame when the speed changes', () => {
    const [clock, repaint] = createClock(constantRate(100))
    clock.speed.value = 0.5
    clock.play()
    repaint(0)
    repaint(160)
    expect(clock.position.value).toBe(2)
    clock.speed.value = 2
    repaint(80)
    expect(clock.position.value).toBe(6)
  })

  it('limits the speed', () => {
    const [clock] = createClock(constantRate(3))
    clock.speed.value = 100
    expect(clock.speed.value).toBe(4)
    clock.speed.value = 0
    expect(clock.speed.value).toBe(0.25)
  })

  it('skips frames only at rates that no screen shows, always the same ones, and not the last', () => {
    expect(playbackStride(constantRate(100), 1)).toBe(1)
    expect(playbackStride(constantRate(100), 2)).toBe(1)
    expect(playbackStride(constantRate(100), 4)).toBe(2)
    const [clock, repaint] = createClock(constantRate(8))
    clock.seek(1)
    clock.speed.value = 4
    expect(clock.upcoming(10)).toEqual([1, 3, 5, 7])
    clock.play()
    repaint(0)
    for (let time = 0; time < 400; time += 5) {
      repaint(5)
      expect([1, 3, 5, 7]).toContain(clock.position.value)
    }
    expect(clock.position.value).toBe(7)
  })

  it('waits for a frame that is not ready, and then shows it', () => {
    const ready = new Set([0, 1, 2, 4])
    const [clock, repaint] = createClock(constantRate(6), (position) => ready.has(position))
    clock.play()
    repaint(0)
    for (let count = 0; count < 10; count += 1) repaint(FRAME_MS)
    expect(clock.position.value).toBe(2)
    expect(clock.isStalled.value).toBe(true)
    ready.add(3)
    repaint(1)
    expect(clock.position.value).toBe(3)
    expect(clock.isStalled.value).toBe(false)
    repaint(FRAME_MS)
    expect(clock.position.value).toBe(4)
  })

  it('does not jump after the page was in the background', () => {
    const [clock, repaint] = createClock(constantRate(1000))
    clock.play()
    repaint(0)
    repaint(60_000)
    expect(clock.position.value).toBe(6)
  })

  it('pauses at the end, and plays from the start after that', () => {
    const [clock, repaint] = createClock(constantRate(3))
    clock.play()
    repaint(0)
    repaint(FRAME_MS * 3)
    expect([clock.position.value, clock.isPlaying.value]).toEqual([2, false])
    clock.play()
    expect([clock.position.value, clock.isPlaying.value]).toEqual([0, true])
  })

  it('steps by frames within the video, and pauses', () => {
    const [clock] = createClock(constantRate(5))
    clock.play()
    clock.step(1)
    expect([clock.position.value, clock.isPlaying.value]).toEqual([1, false])
    clock.step(10)
    expect(clock.position.value).toBe(4)
    clock.step(-10)
    expect(clock.position.value).toBe(0)
  })

  it('plays from a frame that it was moved to while playing', () => {
    const [clock, repaint] = createClock(constantRate(100))
    clock.play()
    repaint(0)
    repaint(FRAME_MS)
    clock.seek(50)
    repaint(FRAME_MS)
    repaint(FRAME_MS)
    expect(clock.position.value).toBe(51)
  })

  it('does nothing without frames, nor after its component is gone', () => {
    const [empty] = createClock(null)
    empty.play()
    expect(empty.isPlaying.value).toBe(false)
    const [clock, repaint, dispose] = createClock(constantRate(5))
    clock.play()
    repaint(0)
    dispose()
    repaint(FRAME_MS)
    expect(clock.position.value).toBe(0)
  })
})
