import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { MemoryJournal } from '@/features/labelling/sync/journal'
import { MAX_BATCH, Sender, type SenderStatus, type SendOutcome } from '@/features/labelling/sync/sender'
import type { Edit, EditResult } from '@/features/labelling/sync/types'
import { edit } from './edits'

const answer = (status: EditResult['status'], { id }: Edit, reason: string | null = null): EditResult =>
  ({ id, status, seq: status === 'applied' ? 1 : null, code: null, reason, overwrote: [], deleted_by: null })
const accept = (edits: Edit[]): SendOutcome => ({ type: 'results', results: edits.map((each) => answer('applied', each)), seq: edits.length })

/** A sender with a server whose answers the test decides, and the statuses that the screen has seen. */
function create(respond: (edits: Edit[]) => SendOutcome, journal = new MemoryJournal('a')) {
  const batches: string[][] = []
  const statuses: SenderStatus[] = []
  const sender = new Sender({
    journal,
    post: async (edits) => {
      batches.push(edits.map(({ object }) => object ?? ''))
      return respond(edits)
    },
    exclusively: (run) => run(),
    onStatus: (status) => statuses.push(status),
    onResults: () => undefined,
  })
  return { sender, journal, batches, statuses, last: () => statuses.at(-1) }
}

const numbered = (count: number): Edit[] => Array.from({ length: count }, (_, index) => edit('patch', `${index}`))

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

describe('a sender', () => {
  it('sends in order, in batches', async () => {
    const { sender, batches, last } = create(accept)
    await sender.add(numbered(MAX_BATCH + 3))
    await vi.runAllTimersAsync()
    expect(batches.map((batch) => batch.length)).toEqual([MAX_BATCH, 3])
    expect(batches.flat()).toEqual(numbered(MAX_BATCH + 3).map(({ object }) => object))
    expect(last()).toEqual({ waiting: 0, refused: 0, connection: 'online', isSending: false })
  })

  it('counts an edit as kept when the journal has it', async () => {
    class SlowJournal extends MemoryJournal {
      override async add(edits: readonly Edit[]): Promise<void> {
        if (this.isSlow) await new Promise((resolve) => setTimeout(resolve, 500))
        await super.add(edits)
      }
      isSlow = false
    }
    const journal = new SlowJournal('a')
    const { sender, last } = create(() => ({ type: 'retry' }), journal)
    await sender.add(numbered(2))
    await vi.advanceTimersByTimeAsync(1)
    journal.isSlow = true
    const added = sender.add(numbered(1))
    expect(last()).toMatchObject({ waiting: 2, connection: 'offline' })
    expect(sender.isWriting).toBe(true)
    await vi.advanceTimersByTimeAsync(600)
    await added
    expect(last()).toMatchObject({ waiting: 3, connection: 'offline' })
    expect(sender.isWriting).toBe(false)
  })

  it('keeps what it cannot send, and tries again', async () => {
    let isReachable = false
    const { sender, journal, batches, last } = create((edits) => (isReachable ? accept(edits) : { type: 'retry' }))
    await sender.add(numbered(2))
    await vi.advanceTimersByTimeAsync(1)
    await sender.add(numbered(1))
    expect(last()).toMatchObject({ waiting: 3, connection: 'offline', isSending: false })
    await vi.advanceTimersByTimeAsync(10_000)
    const attempts = batches.length
    expect(attempts).toBeGreaterThan(2)
    expect(attempts).toBeLessThan(20) // the time between attempts grows
    isReachable = true
    await sender.wake()
    expect((await journal.counts()).waiting).toBe(0)
    expect(last()).toMatchObject({ waiting: 0, connection: 'online' })
  })

  it('waits for the user to sign in', async () => {
    let isSignedIn = false
    const { sender, batches, last } = create((edits) => (isSignedIn ? accept(edits) : { type: 'signed-out' }))
    await sender.add(numbered(1))
    await vi.advanceTimersByTimeAsync(100_000)
    await sender.add(numbered(1))
    await vi.advanceTimersByTimeAsync(100_000)
    expect(batches).toHaveLength(1)
    expect(last()).toMatchObject({ waiting: 2, connection: 'signed-out' })
    isSignedIn = true
    await sender.wake()
    expect(last()).toMatchObject({ waiting: 0, connection: 'online' })
  })

  it('parks a refused edit, applies the others, and sends it again on demand', async () => {
    let isRefused = true
    const { sender, journal, last } = create((edits) => ({
      type: 'results', seq: 1,
      results: edits.map((each) => (each.object === '1' && isRefused ? answer('refused', each, 'The class was deleted.') : answer('applied', each))),
    }))
    await sender.add(numbered(3))
    await vi.runAllTimersAsync()
    expect(last()).toMatchObject({ waiting: 0, refused: 1 })
    const refused = await journal.refused()
    expect(refused.map(({ reason }) => reason)).toEqual(['The class was deleted.'])
    isRefused = false
    await sender.retry(refused)
    expect(last()).toMatchObject({ waiting: 0, refused: 0 })
  })

  it('finds the invalid edit of a batch that the server refuses as a whole', async () => {
    const { sender, journal, last } = create((edits) => (edits.some(({ object }) => object === '1') ? { type: 'refused', reason: 'Invalid.' } : accept(edits)))
    await sender.add(numbered(3))
    await vi.runAllTimersAsync()
    expect(last()).toMatchObject({ waiting: 0, refused: 1 })
    await sender.discard(await journal.refused())
    expect(last()).toMatchObject({ waiting: 0, refused: 0 })
  })

  it('sends edits that another page has left in the journal', async () => {
    const journal = new MemoryJournal('a')
    await journal.add(numbered(2))
    const { sender, batches } = create(accept, journal)
    await sender.wake()
    expect(batches).toEqual([['0', '1']])
  })
})
