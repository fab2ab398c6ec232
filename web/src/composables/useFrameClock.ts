/** The frame clock of a video player: which frame is to be shown, paused or playing, at any frame rate and speed. */
import { computed, onScopeDispose, ref, type ComputedRef, type Ref } from 'vue'

/**
 * The frames to play. A position is an index in `times`; it is not the number of the frame in the video if only some of its frames are played.
 */
export interface FrameTimes {
  /** Start of each frame in seconds, ascending. */
  times: readonly number[]
  /** End of the last frame in seconds. */
  end: number
}

export interface FrameClock {
  /** The position of the frame to show. While playing, it only moves to frames that are ready. */
  position: Readonly<Ref<number>>
  isPlaying: Readonly<Ref<boolean>>
  /** Playback waits for a frame that is not ready. */
  isStalled: Readonly<Ref<boolean>>
  /** Playback speed; 1 is the speed of the video. */
  speed: Ref<number>
  lastPosition: ComputedRef<number>
  play: () => void
  pause: () => void
  seek: (position: number) => void
  /** Pauses, and moves by some frames. */
  step: (count: number) => void
  /** The next positions that playback shows, beginning with the current one. */
  upcoming: (count: number) => number[]
}

/** Calls a function before the next repaint. */
export interface FrameScheduler {
  request: (callback: (milliseconds: number) => void) => number
  cancel: (handle: number) => void
}

export const MIN_SPEED = 0.25
export const MAX_SPEED = 4
/** More frames a second than this are not all shown: neither a screen nor a server keeps up with 25 frames a second at speed 4. */
const MAX_SHOWN_RATE = 60
/** A longer time between two repaints is a page in the background: playback continues where it was. */
const MAX_TICK_SECONDS = 0.25
const TOLERANCE_SECONDS = 1e-6 // times are rounded to microseconds

const browserScheduler: FrameScheduler = {
  request: (callback) => requestAnimationFrame(callback),
  cancel: (handle) => cancelAnimationFrame(handle),
}

/** The position of the frame that is shown at a time; the first before the start, the last after the end. */
export function positionAt(times: readonly number[], seconds: number): number {
  let low = 0
  let high = times.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((times[middle] as number) <= seconds + TOLERANCE_SECONDS) low = middle + 1
    else high = middle
  }
  return Math.max(0, low - 1)
}

/** Every how many frames one is shown. */
export function playbackStride({ times, end }: FrameTimes, speed: number): number {
  const duration = end - (times[0] ?? 0)
  return duration > 0 ? Math.max(1, Math.round((times.length / duration) * speed / MAX_SHOWN_RATE)) : 1
}

/**
 * @param frames - returns the frames to play; null as long as they are not known.
 * @param isReady - whether the frame at a position can be shown at once.
 */
export function useFrameClock(
  frames: () => FrameTimes | null,
  isReady: (position: number) => boolean,
  scheduler: FrameScheduler = browserScheduler,
): FrameClock {
  const position = ref(0)
  const isPlaying = ref(false)
  const isStalled = ref(false)
  const speedValue = ref(1)
  const lastPosition = computed(() => Math.max(0, (frames()?.times.length ?? 1) - 1))
  const stride = computed(() => {
    const current = frames()
    return current ? playbackStride(current, speedValue.value) : 1
  })
  const clamp = (target: number): number => Math.max(0, Math.min(lastPosition.value, Math.round(target)))

  let seconds = 0 // the time in the video up to which it was played
  let anchor = 0 // the position from which the stride counts
  let lastTick: number | null = null
  let handle: number | null = null

  function anchorAt(target: number): void {
    position.value = target
    anchor = target
    seconds = frames()?.times[target] ?? 0
    lastTick = null
    isStalled.value = false
  }
  function seek(target: number): void {
    anchorAt(clamp(target))
  }
  function pause(): void {
    isPlaying.value = false
    isStalled.value = false
    if (handle !== null) scheduler.cancel(handle)
    handle = null
  }
  function play(): void {
    if (isPlaying.value || !frames()) return
    anchorAt(position.value >= lastPosition.value ? 0 : position.value)
    isPlaying.value = true
    handle = scheduler.request(tick)
  }
  function step(count: number): void {
    pause()
    seek(position.value + count)
  }

  /** The position that playback shows after another one. The last frame is always shown. */
  const following = (from: number): number => Math.min(lastPosition.value, anchor + (Math.floor((from - anchor) / stride.value) + 1) * stride.value)
  const onStride = (target: number): number =>
    target >= lastPosition.value ? lastPosition.value : anchor + Math.floor((target - anchor) / stride.value) * stride.value

  function tick(now: number): void {
    handle = null
    const current = frames()
    if (!isPlaying.value || !current) return
    seconds += lastTick === null ? 0 : Math.min(MAX_TICK_SECONDS, (now - lastTick) / 1000) * speedValue.value
    lastTick = now
    const target = onStride(positionAt(current.times, seconds))
    // Of the frames that are due, show the last of those that are ready, without skipping one that is not.
    let next = position.value
    while (next < target && isReady(following(next))) next = following(next)
    isStalled.value = next < target
    if (isStalled.value) seconds = current.times[following(next)] ?? seconds
    position.value = next
    if (next >= lastPosition.value && seconds >= current.end) pause()
    else handle = scheduler.request(tick)
  }

  function upcoming(count: number): number[] {
    const positions = [position.value]
    while (positions.length < count && (positions.at(-1) as number) < lastPosition.value) positions.push(following(positions.at(-1) as number))
    return positions
  }
  const speed = computed({
    get: () => speedValue.value,
    set: (value) => {
      speedValue.value = Math.max(MIN_SPEED, Math.min(MAX_SPEED, value))
      anchor = position.value
    },
  })
  onScopeDispose(pause)
  return { position, isPlaying, isStalled, speed, lastPosition, play, pause, seek, step, upcoming }
}
