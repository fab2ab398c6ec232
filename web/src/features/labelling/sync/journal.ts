/**
 * The journal of edits that the server has not confirmed yet, in IndexedDB: it survives a reload, a crash and the end of the session.
 *
 * A scope separates projects, users and label sets, so that edits are never sent in the name of another user.
 */
import type { Edit } from './types'

export interface JournalEntry {
  /** The order in which edits are sent. */
  position: number
  scope: string
  edit: Edit
  status: 'waiting' | 'refused'
  /** Why the server refused it. */
  reason: string | null
}

export interface JournalCounts {
  waiting: number
  refused: number
}

export interface Journal {
  /** Resolves when the edits are on disk. */
  add(edits: readonly Edit[]): Promise<void>
  waiting(limit?: number): Promise<JournalEntry[]>
  refused(): Promise<JournalEntry[]>
  counts(): Promise<JournalCounts>
  remove(positions: readonly number[]): Promise<void>
  refuse(position: number, reason: string): Promise<void>
  /** Sends refused edits again, before those that were made later. */
  retry(positions: readonly number[]): Promise<void>
}

const STORE = 'edits'
const INDEX = 'scope'
const VERSION = 1

function result<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

function completion(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve()
    transaction.onerror = () => reject(transaction.error)
    transaction.onabort = () => reject(transaction.error)
  })
}

export class StoredJournal implements Journal {
  private constructor(
    private readonly database: IDBDatabase,
    private readonly scope: string,
  ) {}

  static async open(scope: string, factory: IDBFactory = indexedDB, name = 'saccade-labels'): Promise<StoredJournal> {
    const request = factory.open(name, VERSION)
    request.onupgradeneeded = () => {
      const store = request.result.createObjectStore(STORE, { keyPath: 'position', autoIncrement: true })
      store.createIndex(INDEX, ['scope', 'status'])
    }
    const database = await result(request)
    database.onversionchange = () => database.close() // a newer version of the app in another tab
    return new StoredJournal(database, scope)
  }

  close(): void {
    this.database.close()
  }

  async add(edits: readonly Edit[]): Promise<void> {
    await this.write((store) => {
      for (const edit of edits) store.add({ scope: this.scope, edit, status: 'waiting', reason: null })
    })
  }

  waiting(limit?: number): Promise<JournalEntry[]> {
    return this.entries('waiting', limit)
  }

  refused(): Promise<JournalEntry[]> {
    return this.entries('refused')
  }

  async counts(): Promise<JournalCounts> {
    const index = this.database.transaction(STORE, 'readonly').objectStore(STORE).index(INDEX)
    const [waiting, refused] = await Promise.all([result(index.count(this.range('waiting'))), result(index.count(this.range('refused')))])
    return { waiting, refused }
  }

  async remove(positions: readonly number[]): Promise<void> {
    if (!positions.length) return
    await this.write((store) => {
      for (const position of positions) store.delete(position)
    })
  }

  refuse(position: number, reason: string): Promise<void> {
    return this.update([position], { status: 'refused', reason })
  }

  retry(positions: readonly number[]): Promise<void> {
    return this.update(positions, { status: 'waiting', reason: null })
  }

  private async entries(status: JournalEntry['status'], limit?: number): Promise<JournalEntry[]> {
    const index = this.database.transaction(STORE, 'readonly').objectStore(STORE).index(INDEX)
    return (await result(index.getAll(this.range(status), limit))) as JournalEntry[] // of one key: in the order of the positions
  }

  private range(status: JournalEntry['status']): IDBKeyRange {
    return IDBKeyRange.only([this.scope, status])
  }

  private async update(positions: readonly number[], changes: Pick<JournalEntry, 'status' | 'reason'>): Promise<void> {
    await this.write((store) => {
      for (const position of positions) {
        const request = store.get(position)
        request.onsuccess = () => {
          if (request.result) store.put({ ...(request.result as JournalEntry), ...changes })
        }
      }
    })
  }

  private async write(change: (store: IDBObjectStore) => void): Promise<void> {
    // Strict: the edit must also survive a crash of the computer.
    const transaction = this.database.transaction(STORE, 'readwrite', { durability: 'strict' })
    const isComplete = completion(transaction)
    change(transaction.objectStore(STORE))
    await isComplete
  }
}

/** A journal for browsers that do not allow IndexedDB: edits are lost if the page closes before they are sent. */
export class MemoryJournal implements Journal {
  private entries: JournalEntry[] = []

  constructor(
    private readonly scope: string,
    private lastPosition = 0,
  ) {}

  async add(edits: readonly Edit[]): Promise<void> {
    for (const edit of edits) {
      this.lastPosition += 1
      this.entries.push({ position: this.lastPosition, scope: this.scope, edit, status: 'waiting', reason: null })
    }
  }

  async waiting(limit = Infinity): Promise<JournalEntry[]> {
    return this.entries.filter(({ status }) => status === 'waiting').slice(0, limit)
  }

  async refused(): Promise<JournalEntry[]> {
    return this.entries.filter(({ status }) => status === 'refused')
  }

  async counts(): Promise<JournalCounts> {
    const refused = this.entries.filter(({ status }) => status === 'refused').length
    return { waiting: this.entries.length - refused, refused }
  }

  async remove(positions: readonly number[]): Promise<void> {
    this.entries = this.entries.filter(({ position }) => !positions.includes(position))
  }

  async refuse(position: number, reason: string): Promise<void> {
    this.update([position], { status: 'refused', reason })
  }

  async retry(positions: readonly number[]): Promise<void> {
    this.update(positions, { status: 'waiting', reason: null })
  }

  private update(positions: readonly number[], changes: Pick<JournalEntry, 'status' | 'reason'>): void {
    this.entries = this.entries.map((entry) => (positions.includes(entry.position) ? { ...entry, ...changes } : entry))
  }
}

/** The positions of edits that could not be stored: after all others. */
const FIRST_UNSTORED = 2 ** 50

/** A journal that keeps an edit in memory if it cannot be stored, for instance because the disk is full. */
export class SafeJournal implements Journal {
  private readonly unstored: MemoryJournal

  /** @param onFailure - is called when an edit could not be stored. */
  constructor(
    private readonly stored: Journal,
    scope: string,
    private readonly onFailure: (error: unknown) => void,
  ) {
    this.unstored = new MemoryJournal(scope, FIRST_UNSTORED)
  }

  async add(edits: readonly Edit[]): Promise<void> {
    try {
      await this.stored.add(edits)
    } catch (error) {
      await this.unstored.add(edits)
      this.onFailure(error)
    }
  }

  async waiting(limit = Infinity): Promise<JournalEntry[]> {
    const stored = await this.stored.waiting(Number.isFinite(limit) ? limit : undefined)
    return [...stored, ...(await this.unstored.waiting(limit - stored.length))]
  }

  async refused(): Promise<JournalEntry[]> {
    return [...(await this.stored.refused()), ...(await this.unstored.refused())]
  }

  async counts(): Promise<JournalCounts> {
    const [first, second] = await Promise.all([this.stored.counts(), this.unstored.counts()])
    return { waiting: first.waiting + second.waiting, refused: first.refused + second.refused }
  }

  async remove(positions: readonly number[]): Promise<void> {
    await this.split(positions, (journal, part) => journal.remove(part))
  }

  async refuse(position: number, reason: string): Promise<void> {
    await this.split([position], (journal) => journal.refuse(position, reason))
  }

  async retry(positions: readonly number[]): Promise<void> {
    await this.split(positions, (journal, part) => journal.retry(part))
  }

  private async split(positions: readonly number[], run: (journal: Journal, part: number[]) => Promise<void>): Promise<void> {
    const stored = positions.filter((position) => position < FIRST_UNSTORED)
    const unstored = positions.filter((position) => position >= FIRST_UNSTORED)
    if (stored.length) await run(this.stored, stored)
    if (unstored.length) await run(this.unstored, unstored)
  }
}
