/** The event stream of a label set. It resumes after the last edit that has arrived, also if the server was away. */
import type { AppliedEdit, CommitEvent, LabelClass, Person } from './types'

export interface EventHandlers {
  edits: (edits: AppliedEdit[]) => void
  classes: (classes: LabelClass[]) => void
  presence: (people: Person[]) => void
  commit: (commit: CommitEvent) => void
  /** The stream is connected again, so that the server can be reached. */
  open: () => void
  /** The server has refused the stream, for instance because the label set was removed. */
  refused?: () => void
}

const FIRST_DELAY_MS = 1000
const MAX_DELAY_MS = 30_000

export class EventStream {
  private source: EventSource | null = null
  private timer: ReturnType<typeof setTimeout> | null = null
  private failures = 0
  private isClosed = false

  /**
   * @param url - returns the URL of the stream after an edit.
   * @param after - the number of the last edit that is known.
   */
  constructor(
    private readonly url: (after: number) => string,
    private after: number,
    private readonly handlers: EventHandlers,
  ) {
    this.connect()
  }

  /** Connects at once, if the stream waits before another attempt. */
  wake(): void {
    if (this.source || this.isClosed) return
    this.failures = 0
    this.connect()
  }

  close(): void {
    this.isClosed = true
    this.source?.close()
    if (this.timer !== null) clearTimeout(this.timer)
  }

  private connect(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
    const source = new EventSource(this.url(this.after))
    this.source = source
    source.onopen = () => {
      this.failures = 0
      this.handlers.open()
    }
    source.addEventListener('edits', (event) => {
      const edits = parse<AppliedEdit[]>(event) ?? []
      this.after = Math.max(this.after, ...edits.map(({ seq }) => seq))
      this.handlers.edits(edits)
    })
    source.addEventListener('classes', (event) => this.handlers.classes(parse<LabelClass[]>(event) ?? []))
    source.addEventListener('presence', (event) => this.handlers.presence(parse<{ people: Person[] }>(event)?.people ?? []))
    source.addEventListener('commit', (event) => {
      const commit = parse<CommitEvent>(event)
      if (commit) this.handlers.commit(commit)
    })
    source.onerror = () => {
      // The browser reconnects by itself after a broken connection, but not after an error response.
      if (source.readyState !== EventSource.CLOSED || this.isClosed) return
      this.source = null
      this.handlers.refused?.()
      const delay = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** this.failures)
      this.failures += 1
      this.timer = setTimeout(() => this.connect(), delay)
    }
  }
}

function parse<T>(event: Event): T | null {
  try {
    return JSON.parse((event as MessageEvent<string>).data) as T
  } catch {
    return null
  }
}
