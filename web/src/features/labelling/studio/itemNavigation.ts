/**
 * Goes from item to item. Each request counts, and the last one wins; the item on the screen stays until the next one is there.
 *
 * Without a connection it waits, and goes on by itself.
 */
import { computed, ref, shallowRef, type ComputedRef, type Ref, type ShallowRef } from 'vue'
import { ApiError } from '@/api/client'

const RETRY_MS = 2000
const NO_RESPONSE = 0 // the status of an ApiError without a response

/** An item by its key or its position; null for the first that needs work. */
export type Target = { key: string } | { index: number } | null

export interface NavigationOptions {
  /** The item on the screen. */
  current: () => { key: string; index: number; total: number; previous: string | null; next: string | null } | null
  /** The key of the item at a position, or of the first that needs work; null if there is none. */
  keyAt: (index: number | null) => Promise<string | null>
  /** Fetches an item that will be opened. */
  probe: (key: string) => Promise<unknown>
  /** Opens an item. Returns false if another one was opened meanwhile. */
  open: (key: string) => Promise<boolean>
  /** Resolves when the image of the open item is on the screen. */
  show: () => Promise<void>
  /** The item has been opened, and no other was requested since. */
  onOpened: (key: string) => void
  /** Whether the user works on the item, so that it must stay. */
  isBusy: () => boolean
  retryMs?: number
}

export interface ItemNavigation {
  isLoading: Ref<boolean>
  /** Why the requested item could not be opened. */
  failure: ShallowRef<unknown>
  isOffline: ComputedRef<boolean>
  isWithoutItems: Ref<boolean>
  /** The position that was requested; null if it is not known, or if nothing is requested. */
  requestedIndex: ComputedRef<number | null>
  go: (target: Target) => Promise<void>
  /** Goes some items on from the one that was requested last. Returns false past the first and the last. */
  moveBy: (step: number) => boolean
  retry: () => Promise<void>
  /** Stays at the item on the screen after a failure. */
  stay: () => void
  /** The server may be there again. */
  wake: () => void
  stop: () => void
}

export function createItemNavigation(options: NavigationOptions): ItemNavigation {
  const isLoading = ref(true)
  const failure = shallowRef<unknown>(null)
  const isWithoutItems = ref(false)
  const requested = shallowRef<{ target: Target } | null>(null)
  const isOffline = computed(() => failure.value instanceof ApiError && failure.value.status === NO_RESPONSE)
  let attempt = 0
  let timer: ReturnType<typeof setTimeout> | null = null

  const indexOf = (target: Target): number | null => {
    const shown = options.current()
    if (target === null) return null
    if ('index' in target) return target.index
    if (!shown) return null
    if (target.key === shown.next) return shown.index + 1
    if (target.key === shown.previous) return shown.index - 1
    return target.key === shown.key ? shown.index : null
  }
  const requestedIndex = computed(() => (requested.value ? indexOf(requested.value.target) : null))

  async function keyOf(target: Target): Promise<string | null> {
    if (target === null) return options.keyAt(null)
    if ('key' in target) return target.key
    const shown = options.current()
    const near = shown ? [shown.previous, shown.key, shown.next][target.index - shown.index + 1] : undefined
    return near ?? options.keyAt(target.index)
  }

  function clearTimer(): void {
    if (timer !== null) clearTimeout(timer)
    timer = null
  }
  function schedule(): void {
    clearTimer()
    timer = setTimeout(() => void goOn(), options.retryMs ?? RETRY_MS)
  }
  /** Goes on once the server responds. Until then the item on the screen can be worked on. */
  async function goOn(): Promise<void> {
    clearTimer()
    const own = attempt
    if (!requested.value || isLoading.value) return
    try {
      const key = await keyOf(requested.value.target)
      if (key !== null) await options.probe(key)
    } catch {
      if (own === attempt && requested.value) schedule()
      return
    }
    if (own !== attempt || !requested.value) return
    if (options.isBusy()) schedule()
    else await load()
  }

  async function load(): Promise<void> {
    if (!requested.value) return
    attempt += 1
    const own = attempt
    clearTimer()
    isLoading.value = true
    failure.value = null
    try {
      const key = await keyOf(requested.value.target)
      if (own !== attempt) return
      if (key === null) {
        isWithoutItems.value = options.current() === null
        requested.value = null
        return
      }
      if (!(await options.open(key))) return
      if (own === attempt) {
        requested.value = null
        options.onOpened(key)
      }
      await options.show()
    } catch (error) {
      if (own !== attempt) return
      failure.value = error
      if (isOffline.value) schedule()
    } finally {
      if (own === attempt) isLoading.value = false
    }
  }

  async function go(target: Target): Promise<void> {
    requested.value = { target }
    await load()
  }
  function moveBy(step: number): boolean {
    const shown = options.current()
    if (!shown) return false
    const index = (requestedIndex.value ?? shown.index) + step
    if (index < 0 || index >= shown.total) return false
    void go({ index })
    return true
  }
  function stay(): void {
    if (isLoading.value || failure.value === null) return
    attempt += 1
    clearTimer()
    requested.value = null
    failure.value = null
  }

  return {
    isLoading, failure, isOffline, isWithoutItems, requestedIndex, go, moveBy, retry: load, stay,
    wake: () => {
      if (isOffline.value) void goOn()
    },
    stop: () => {
      attempt += 1
      clearTimer()
    },
  }
}
