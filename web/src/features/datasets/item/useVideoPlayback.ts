import { computed, onScopeDispose, ref, watch, type Ref } from 'vue'
import type { Media } from '@/features/datasets/columns'

const DEFAULT_FRAME_RATE = 25

/** Plays a video as a sequence of images, each fetched just before it is shown. */
export function useVideoPlayback(media: Ref<Media | null>, frameUrl: (frame: number) => string) {
  const frame = ref(0)
  const isPlaying = ref(false)
  const lastFrame = computed(() => Math.max(0, (media.value?.frames ?? 1) - 1))
  let currentPlayback = 0

  function stepFrames(count: number): void {
    frame.value = Math.max(0, Math.min(lastFrame.value, frame.value + count))
  }
  function reset(): void {
    frame.value = 0
    isPlaying.value = false
  }
  watch(isPlaying, async (isNowPlaying) => {
    const playback = ++currentPlayback
    while (isNowPlaying && playback === currentPlayback && frame.value < lastFrame.value) {
      const startTime = performance.now()
      const image = new Image()
      image.src = frameUrl(frame.value + 1)
      await image.decode().catch(() => undefined) // show the next frame even if this one cannot be decoded
      const frameDuration = 1000 / (media.value?.rate || DEFAULT_FRAME_RATE)
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, frameDuration - (performance.now() - startTime))))
      if (playback === currentPlayback && isPlaying.value) stepFrames(1)
    }
    isPlaying.value = false
  })
  onScopeDispose(() => (currentPlayback += 1)) // ends the loop
  return { frame, lastFrame, isPlaying, stepFrames, reset }
}
