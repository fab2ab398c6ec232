import { computed, onScopeDispose, ref, shallowRef, watch, type ComputedRef, type Ref } from 'vue'
import { apiUrl, fetchStream, type Item, type Schemas } from '@/api/client'
import { get, useApiQuery, type QueryProgress } from '@/api/queries'
import type { ImageObject } from '@/canvas/shapes'
import { useFrameClock, type FrameClock } from '@/composables/useFrameClock'
import { isVideoFrame, objectsOf, type Column, type Media } from '@/features/datasets/columns'
import { FrameBuffer } from '@/features/datasets/item/frameBuffer'
import { useItemPages } from '@/features/datasets/items/useItemPages'

export type Timeline = Schemas['TimelineResponse']

/** What the screen shows of a video: a frame with its number, its item and its objects. */
export interface ShownFrame {
  position: number
  number: number
  seconds: number
  /** Null if the frame is damaged. */
  picture: ImageBitmap | null
  /** Null if the video is a single item. */
  key: string | null
  objects: ImageObject[] | null
}

interface VideoContext {
  versionRef: ComputedRef<string>
  /** The item that is open: a video, a frame of a video, or an image. */
  key: ComputedRef<string>
  media: ComputedRef<Media | null>
  mediaColumn: ComputedRef<Column | null>
  objectColumn: ComputedRef<Column | null>
}

export interface VideoPlayback {
  isVideo: ComputedRef<boolean>
  /** The item with which the video was opened; it stays while other frames of the video are shown. */
  videoKey: Ref<string>
  timeline: ComputedRef<Timeline | null>
  clock: FrameClock
  shown: Readonly<Ref<ShownFrame | null>>
  /** The frame of the clock has not arrived. */
  isLoading: ComputedRef<boolean>
  /** Requests of the video, their errors, and how to try again. */
  query: QueryProgress
  /** Shows a frame by its number in the video, or the nearest one before it that is in the dataset. */
  goToFrame: (number: number) => void
}

const MAX_PICTURE_SIZE = 1600
const MAX_BUFFER_BYTES = 192_000_000
const MIN_BUFFERED_FRAMES = 12
const MAX_BUFFERED_FRAMES = 160
/** How many frames to fetch before they are shown: at 25 frames a second, more than a second. */
const MAX_PREFETCH = 40
/** While paused: for the next steps, in both directions. */
const PAUSED_PREFETCH = 12

/** The position of a frame by its number in the video, or of the nearest frame before it that is listed. */
export function positionOfFrame(frames: readonly number[], number: number): number {
  let low = 0
  let high = frames.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((frames[middle] as number) <= number) low = middle + 1
    else high = middle
  }
  return Math.max(0, low - 1)
}

/**
 * Plays the video of an item: a video, or the frames of one that are items of the dataset. Frames are decoded by the server, so that their numbers
 * are those of training and exports. The shown frame, its number and its objects change together, when all of them have arrived.
 */
export function useVideoPlayback({ versionRef, key, media, mediaColumn, objectColumn }: VideoContext): VideoPlayback {
  const isVideo = computed(() => media.value !== null && (mediaColumn.value?.kind === 'video' || isVideoFrame(media.value)))
  const videoKey = ref(key.value)
  const timelineQuery = useApiQuery(() => {
    if (!isVideo.value) return null
    const current = videoKey.value
    const { queryKey, queryFn } = get('/api/v1/datasets/{ref}/timeline', { path: { ref: versionRef.value }, query: { key: current } })
    return { queryKey, queryFn: async (context: { signal: AbortSignal }) => ({ ...(await queryFn(context)), key: current }) }
  })
  // While another video loads, the query still has the timeline of the last one.
  const timeline = computed<Timeline | null>(() => (isVideo.value && timelineQuery.data?.key === videoKey.value ? timelineQuery.data : null))

  // Frames and their objects

  let buffer: FrameBuffer<ImageBitmap> | null = null
  const arrivals = ref(0) // counts changes of the buffer, which is not reactive
  function createBuffer(width: number, height: number): FrameBuffer<ImageBitmap> {
    const scale = Math.min(1, MAX_PICTURE_SIZE / Math.max(width, height, 1))
    const bytes = Math.max(1, width * height * scale * scale * 4)
    const source = {
      fetch: (positions: number[], signal: AbortSignal) => {
        const number = positions.map((position) => timeline.value?.frames[position] ?? 0)
        const query = { key: videoKey.value, number, size: MAX_PICTURE_SIZE }
        return fetchStream(apiUrl(`/datasets/${encodeURIComponent(versionRef.value)}/frames`, query), signal)
      },
      decode: (jpeg: Uint8Array) => createImageBitmap(new Blob([jpeg as Uint8Array<ArrayBuffer>], { type: 'image/jpeg' })),
      close: (picture: ImageBitmap) => picture.close(),
      onChange: () => (arrivals.value += 1),
    }
    return new FrameBuffer(source, Math.max(MIN_BUFFERED_FRAMES, Math.min(MAX_BUFFERED_FRAMES, Math.floor(MAX_BUFFER_BYTES / bytes))))
  }
  /** The items of the frames; none if the video is one item, or if nothing is labelled. */
  const pages = useItemPages(() => {
    const column = mediaColumn.value
    if (!timeline.value?.keys || !column || !objectColumn.value || !media.value) return null
    const where = `${column.name}.digest == "${media.value.digest}" and ${column.name}.frame >= 0`
    return { ref: versionRef.value, where, order: `${column.name}.frame`, descending: false }
  })
  const hasItems = computed(() => timeline.value?.keys !== null && objectColumn.value !== null)
  // The page may still be that of another video.
  const itemAt = (position: number): Item | null => {
    const item = pages.item(position)
    return item && item.key === timeline.value?.keys?.[position] ? item : null
  }
  const isReady = (position: number): boolean =>
    (buffer?.has(position) ?? false) && (!hasItems.value || itemAt(position) !== null || pages.error !== null)
  const clock = useFrameClock(() => timeline.value, isReady)

  const shown = shallowRef<ShownFrame | null>(null)
  function show(): void {
    const current = timeline.value
    const position = clock.position.value
    if (!current || !buffer || !isReady(position)) return
    buffer.pin(position)
    shown.value = {
      position,
      number: current.frames[position] ?? 0,
      seconds: current.times[position] ?? 0,
      picture: buffer.get(position),
      key: current.keys?.[position] ?? null,
      objects: hasItems.value ? objectsOf(itemAt(position), objectColumn.value) : null,
    }
  }
  function prefetch(): void {
    if (!timeline.value || !buffer) return
    const { position, isPlaying, lastPosition } = clock
    const count = Math.min(MAX_PREFETCH, Math.floor(buffer.capacity / 2))
    const ahead = clock.upcoming(isPlaying.value ? count : Math.min(count, PAUSED_PREFETCH))
    const behind = isPlaying.value ? [] : Array.from({ length: Math.min(count, PAUSED_PREFETCH) }, (_, index) => position.value - 1 - index)
    buffer.request([...ahead, ...behind.filter((before) => before >= 0)])
    pages.loadRange(Math.max(0, position.value - PAUSED_PREFETCH), Math.min(lastPosition.value, ahead.at(-1) ?? 0) + 1)
  }
  const isLoading = computed(() => isVideo.value && shown.value?.position !== clock.position.value)

  // A new video, and moves from outside: to another item that is a frame of the same one

  watch(timeline, (current) => {
    buffer?.clear()
    buffer = null
    shown.value = null
    clock.pause()
    if (!current || !media.value) return
    buffer = createBuffer(media.value.width, media.value.height)
    clock.seek(Math.max(0, current.keys?.indexOf(key.value) ?? 0))
    prefetch()
  }, { immediate: true })
  watch(key, (newKey) => {
    if (newKey === shown.value?.key) return
    const position = timeline.value?.keys?.indexOf(newKey) ?? -1
    if (position >= 0) clock.seek(position)
    else {
      clock.pause()
      videoKey.value = newKey
    }
  })
  watch([clock.position, clock.isPlaying, clock.speed], prefetch)
  watch([clock.position, arrivals, () => hasItems.value && itemAt(clock.position.value)], show, { flush: 'sync' })
  onScopeDispose(() => buffer?.clear())

  const query: QueryProgress = {
    get error() {
      void arrivals.value
      return timelineQuery.error ?? buffer?.error ?? pages.error ?? null
    },
    get isLoading() {
      return timelineQuery.isLoading
    },
    reload: async () => {
      if (timelineQuery.error) await timelineQuery.reload()
      if (pages.error) await pages.reload()
      prefetch()
      arrivals.value += 1
    },
  }
  function goToFrame(number: number): void {
    if (timeline.value) clock.seek(positionOfFrame(timeline.value.frames, number))
  }
  return { isVideo, videoKey, timeline, clock, shown, isLoading, query, goToFrame }
}
