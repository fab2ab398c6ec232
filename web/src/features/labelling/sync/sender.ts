/**
 * Sends the edits of the journal to the server in order, in batches.
 *
 * Of all tabs of a browser one sends at a time (Web Locks). An entry leaves the journal only when its answer has come; the server answers an edit that
 * it has already applied as before, so that it is safe to send it again.
 */
import type { Journal, JournalCounts, JournalEntry } from './journal'
import type { Edit, EditResult } from './types'

export const MAX_BATCH = 256
const FIRST_DELAY_MS = 500
const MAX_DELAY_MS = 30_000

export type Connection = 'online' | 'offline' | 'signed-out'
export type SendOutcome =
  | { type: 'results'; results: EditResult[]; seq: number }
  /** The server cannot be reached, or is busy: send again later. */
  | { type: 'retry'; afterMs?: number }
  | { type: 'signed-out' }
  /** The server refuses the whole batch. */
  | { type: 'refused'; reason: string }

export interface SenderStatus extends JournalCounts {
  connection: Connection
  /** Edits are being written to the journal, or sent. */
  isSending: boolean
}

export interface SenderOptions {
  journal: Journal
  post: (edits: Edit[]) => Promise<SendOutcome>
  /** Runs a function while no other tab sends. */
  exclusively: (run: () => Promise<void>) => Promise<void>
  onStatus: (status: SenderStatus) => void
  onResults: (results: EditResult[], edits: Edit[]) => void
  /** Another tab has to count again. */
  onJournalChange?: () => void
  firstDelayMs?: number
}

/** Runs a function while it holds a lock that all tabs share. */
export function withLock(name: string): (run: () => Promise<void>) => Promise<void> {
  const { locks } = navigator
  // Not over plain HTTP from another computer: tabs may then send the same edit, which the server answers alike.
  if (!locks) return (run) => run()
  return async (run) => {
    await locks.request(name, run)
  }
}

export class Sender {
  private connection: Connection = 'online'
  private counts: JournalCounts = { waiting: 0, refused: 0 }
  private writing = 0
  private isDraining = false
  private isWoken = false
  private isStopped = false
  private failures = 0
  private timer: ReturnType<typeof setTimeout> | null = null

  constructor(private readonly options: SenderOptions) {}

  /** Whether edits are not in the journal yet: a page that is closed now would lose them. */
  get isWriting(): boolean {
    return this.writing > 0
  }

  /** Writes edits to the journal and sends them. Resolves when they are in the journal. */
  async add(edits: readonly Edit[]): Promise<void> {
    this.writing += edits.length
    this.report()
    try {
      await this.options.journal.add(edits)
    } finally {
      this.writing -= edits.length
      await this.recount()
    }
    this.options.onJournalChange?.()
    if (this.timer === null && this.connection !== 'signed-out') void this.drain()
  }

  /** Sends what waits now, also if the sender waits before another attempt, or for the user to sign in. */
  async wake(): Promise<void> {
    this.clearTimer()
    this.failures = 0
    if (this.connection === 'signed-out') this.connection = 'online'
    await this.recount()
    await this.drain()
  }

  /** Another tab has changed the journal. */
  async notice(): Promise<void> {
    if (this.isStopped) return
    await this.recount()
    if (this.counts.waiting > 0 && this.timer === null && this.connection === 'online') await this.drain()
  }

  async recount(): Promise<void> {
    this.counts = await this.options.journal.counts()
    this.report()
  }

  async retry(entries: readonly JournalEntry[]): Promise<void> {
    await this.options.journal.retry(entries.map(({ position }) => position))
    this.options.onJournalChange?.()
    await this.wake()
  }

  async discard(entries: readonly JournalEntry[]): Promise<void> {
    await this.options.journal.remove(entries.map(({ position }) => position))
    this.options.onJournalChange?.()
    await this.recount()
  }

  stop(): void {
    this.isStopped = true
    this.clearTimer()
  }

  private async drain(): Promise<void> {
    this.isWoken = true
    if (this.isDraining || this.isStopped) return
    this.isDraining = true
    try {
      while (this.isWoken && !this.isStopped) {
        this.isWoken = false
        await this.options.exclusively(() => this.sendAll())
      }
    } finally {
      this.isDraining = false
      if (!this.isStopped) await this.recount()
    }
  }

  private async sendAll(): Promise<void> {
    for (;;) {
      if (this.isStopped) return
      const batch = await this.options.journal.waiting(MAX_BATCH)
      if (!batch.length) return
      this.report()
      if (!(await this.send(batch))) return
      await this.recount()
    }
  }

  /** Sends one batch. Returns whether to go on. */
  private async send(batch: JournalEntry[]): Promise<boolean> {
    const edits = batch.map(({ edit }) => edit)
    const outcome = await this.options.post(edits)
    switch (outcome.type) {
      case 'results':
        this.connection = 'online'
        this.failures = 0
        await this.settle(batch, outcome.results)
        this.options.onResults(outcome.results, edits)
        return true
      case 'signed-out':
        this.connection = 'signed-out'
        return false
      case 'retry':
        this.connection = 'offline'
        this.schedule(outcome.afterMs)
        return false
      case 'refused':
        return this.settleRefusedBatch(batch, outcome.reason)
    }
  }

  private async settle(batch: JournalEntry[], results: EditResult[]): Promise<void> {
    const byId = new Map(results.map((result) => [result.id, result]))
    const done: number[] = []
    for (const { position, edit } of batch) {
      const answer = byId.get(edit.id)
      if (answer?.status === 'refused') await this.options.journal.refuse(position, answer.reason ?? answer.code ?? '')
      else if (answer) done.push(position)
    }
    await this.options.journal.remove(done)
    this.options.onJournalChange?.()
  }

  /** One invalid edit must not hold up the others: sends them one by one. */
  private async settleRefusedBatch(batch: JournalEntry[], reason: string): Promise<boolean> {
    if (batch.length === 1) {
      for (const { position } of batch) await this.options.journal.refuse(position, reason)
      this.options.onJournalChange?.()
      return true
    }
    for (const entry of batch) {
      if (!(await this.send([entry]))) return false
    }
    return true
  }

  private schedule(afterMs?: number): void {
    this.clearTimer()
    const first = this.options.firstDelayMs ?? FIRST_DELAY_MS
    // Jitter: after an outage not all browsers come back at once.
    const backoff = Math.min(MAX_DELAY_MS, first * 2 ** this.failures) * (0.5 + Math.random() / 2)
    this.failures += 1
    this.timer = setTimeout(() => {
      this.timer = null
      void this.drain()
    }, afterMs ?? backoff)
  }

  private clearTimer(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
  }

  private report(): void {
    if (this.isStopped) return
    const isOnline = this.connection === 'online'
    // "Offline: 3 edits waiting" promises that they survive the page, so only those count that the journal has.
    const waiting = this.counts.waiting + (isOnline ? this.writing : 0)
    this.options.onStatus({ ...this.counts, waiting, connection: this.connection, isSending: isOnline && waiting > 0 })
  }
}
