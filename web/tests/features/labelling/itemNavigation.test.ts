import { describe, expect, it } from 'vitest'
import { ApiError } from '@/api/client'
import { createItemNavigation } from '@/features/labelling/studio/itemNavigation'

const TOTAL = 20
const tick = (ms = 0): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Items `item0` to `item19`, and a server that can be away. */
function create() {
  const log = { shown: [] as string[], address: '' }
  let index: number | null = null
  let opening = ''
  const server = { isAway: false, isBusy: false }
  const answer = async (): Promise<void> => {
    await tick(2)
    if (server.isAway) throw new ApiError(0, 'no-connection', 'The server does not respond.')
  }
  const keyOf = (position: number): string | null => (position >= 0 && position < TOTAL ? `item${position}` : null)
  const navigation = createItemNavigation({
    current: () => (index === null ? null : { key: `item${index}`, index, total: TOTAL, previous: keyOf(index - 1), next: keyOf(index + 1) }),
    keyAt: async (position) => {
      await answer()
      return keyOf(position ?? 3)
    },
    probe: answer,
    open: async (key) => {
      opening = key
      await answer()
      if (opening !== key) return false
      index = Number(key.slice(4))
      return true
    },
    show: async () => {
      log.shown.push(`item${index}`)
      await tick(1)
    },
    onOpened: (key) => (log.address = key),
    isBusy: () => server.isBusy,
    retryMs: 5,
  })
  return { navigation, log, server }
}

describe('going from item to item', () => {
  it('begins with the first item that needs work', async () => {
    const { navigation, log } = create()
    await navigation.go(null)
    expect(log).toEqual({ shown: ['item3'], address: 'item3' })
    expect(navigation.isLoading.value).toBe(false)
  })

  it.each([1, 2, 10])('counts each of %i quick requests', async (presses) => {
    const { navigation, log } = create()
    await navigation.go({ key: 'item3' })
    for (let press = 0; press < presses; press += 1) expect(navigation.moveBy(1)).toBe(true)
    expect(navigation.requestedIndex.value).toBe(3 + presses)
    expect(log.address).toBe('item3')
    await tick(30)
    expect(log).toEqual({ shown: ['item3', `item${3 + presses}`], address: `item${3 + presses}` })
    expect(navigation.isLoading.value).toBe(false)
  })

  it('ends at the first and the last, and returns', async () => {
    const { navigation, log } = create()
    await navigation.go({ key: 'item1' })
    expect(navigation.moveBy(-1)).toBe(true)
    expect(navigation.moveBy(-1)).toBe(false)
    expect(navigation.moveBy(1)).toBe(true)
    await tick(30)
    expect(log.address).toBe('item1')
  })

  it('keeps the item and the address without a connection, and goes on by itself', async () => {
    const { navigation, log, server } = create()
    await navigation.go({ key: 'item3' })
    server.isAway = true
    navigation.moveBy(1)
    await tick(20)
    expect(navigation.isOffline.value).toBe(true)
    expect(navigation.isLoading.value).toBe(false)
    expect(log).toEqual({ shown: ['item3'], address: 'item3' })
    server.isBusy = true
    server.isAway = false
    await tick(20)
    expect(log.address).toBe('item3')
    server.isBusy = false
    await tick(40)
    expect(log).toEqual({ shown: ['item3', 'item4'], address: 'item4' })
    expect(navigation.failure.value).toBe(null)
  })

  it('stays if the user wants that', async () => {
    const { navigation, log, server } = create()
    await navigation.go({ key: 'item3' })
    server.isAway = true
    navigation.moveBy(1)
    await tick(20)
    navigation.stay()
    server.isAway = false
    await tick(30)
    expect(navigation.failure.value).toBe(null)
    expect(log.address).toBe('item3')
  })
})
