/**
 * A label set that is open in a tab: the item on the screen, its undo stack, the edits that wait, and the edits of others as they arrive.
 *
 * Independent of Vue. An act of the user is written to the journal in the same task in which the editor draws it.
 */
import type { ObjectChange } from '@/canvas/editor'
import { uuidv7 } from '@/canvas/editor/uuid'
import { ItemDocument, type StateOfItem } from './document'
import { changesFor, createEdit, editsFromChanges, type EditContext } from './edits'
import { EventStream } from './events'
import type { Journal, JournalEntry } from './journal'
import { Sender, withLock, type SenderStatus, type SendOutcome } from './sender'
import type {
  AppliedEdit, CommitEvent, Edit, EditResult, ItemState, LabelClass, LabelItemDetail, LabelObject, Person,
} from './types'
import { inverseEdits, laterAuthors, repeatedEdits, UndoStack } from './undo'

const PRESENCE_INTERVAL_MS = 10_000
/** Edits that are kept to bring a prefetched item up to date. */
const MAX_RECENT_EDITS = 5000

export interface LabelApi {
  item(key: string): Promise<LabelItemDetail>
  history(key: string): Promise<AppliedEdit[]>
  send(edits: Edit[]): Promise<SendOutcome>
  presence(body: { client: string; item: string | null; object: string | null }): Promise<void>
  eventsUrl(after: number): string
}

/** The work of this user that another person has changed at the same time. */
export interface Clash {
  author: string
  /** Edits that bring the user's values back. */
  mine: { object: string; fields: Record<string, unknown>; isDeleted: boolean }
}

export interface SessionHandlers {
  status(status: SenderStatus): void
  /** Objects of the item have changed by something else than the editor. */
  objects(changes: ObjectChange[]): void
  /** Anything of the item has changed: its objects, its state, or the undo stack. */
  changed(): void
  people(people: Person[]): void
  classes(classes: LabelClass[]): void
  committed(commit: CommitEvent): void
  clash(clash: Clash): void
  error(error: unknown): void
  /** The server has refused the event stream. */
  streamRefused?(): void
}

export interface SessionOptions {
  name: string
  scope: string
  me: { id: string; name: string }
  seq: number
  journal: Journal
  api: LabelApi
  handlers: SessionHandlers
  canEdit: boolean
}

export interface OpenItem {
  detail: LabelItemDetail
  document: ItemDocument
  undo: UndoStack
}

export class LabelSession {
  readonly client = uuidv7()
  readonly sender: Sender
  current: OpenItem | null = null
  private readonly stream: EventStream
  private readonly channel: BroadcastChannel
  private readonly prefetched = new Map<string, Promise<LabelItemDetail>>()
  private recent: AppliedEdit[] = []
  /** Edits up to this number may be missing from the recent ones. */
  private forgottenSeq: number
  private seenSeq: number
  private selected: string | null = null
  private readonly presenceTimer: ReturnType<typeof setInterval>
  private opening: string | null = null

  constructor(private readonly options: SessionOptions) {
    const { api, handlers, journal, scope, seq } = options
    this.forgottenSeq = seq
    this.seenSeq = seq
    this.channel = new BroadcastChannel(`saccade-labels ${scope}`)
    this.sender = new Sender({
      journal,
      post: (edits) => api.send(edits),
      exclusively: withLock(`saccade-labels ${scope}`),
      onStatus: (status) => handlers.status(status),
      onResults: (results, edits) => this.onResults(results, edits),
      onJournalChange: () => this.channel.postMessage('changed'),
    })
    this.channel.onmessage = () => void this.sender.notice()
    this.stream = new EventStream(api.eventsUrl, seq, {
      edits: (edits) => this.onEdits(edits),
      classes: (classes) => handlers.classes(classes),
      presence: (people) => handlers.people(people.filter(({ client }) => client !== this.client)),
      commit: (commit) => handlers.committed(commit),
      open: () => void this.sender.wake(),
      refused: () => handlers.streamRefused?.(),
    })
    this.presenceTimer = setInterval(() => this.reportPresence(), PRESENCE_INTERVAL_MS)
    window.addEventListener('online', this.wake)
    void this.sender.wake()
  }

  /** Sends and listens again: the network is back, or the user has signed in. */
  readonly wake = (): void => {
    this.stream.wake()
    void this.sender.wake()
  }

  close(): void {
    window.removeEventListener('online', this.wake)
    clearInterval(this.presenceTimer)
    this.stream.close()
    this.sender.stop()
    this.channel.close()
    if (this.options.canEdit) void this.options.api.presence({ client: this.client, item: null, object: null }).catch(() => undefined)
  }

  // Items

  /** Fetches an item that will be opened soon. */
  prefetch(key: string): Promise<LabelItemDetail> {
    const existing = this.prefetched.get(key)
    if (existing) return existing
    const request = this.options.api.item(key)
    this.prefetched.set(key, request)
    request.catch(() => this.prefetched.delete(key))
    return request
  }

  /** Opens an item. Returns null if another one was opened in the meantime. */
  async open(key: string): Promise<OpenItem | null> {
    this.opening = key
    const [detail, history] = await Promise.all([this.latest(key), this.options.api.history(key)])
    const [waiting, refused] = await Promise.all([this.options.journal.waiting(), this.options.journal.refused()])
    if (this.opening !== key) return null
    const document = new ItemDocument(detail)
    const undo = new UndoStack()
    for (const edit of history) {
      if (edit.author_id === this.options.me.id) undo.add(edit, edit.before, edit.seq)
      document.addHistory(edit)
    }
    this.current = { detail, document, undo }
    for (const edit of this.recent) if (edit.item === key) this.applyRemote(edit)
    for (const { edit } of [...waiting, ...refused].sort((first, second) => first.position - second.position)) {
      if (edit.item === key) this.applyOwn(edit)
    }
    this.prefetched.clear()
    this.selected = null
    this.reportPresence()
    return this.current
  }

  private async latest(key: string): Promise<LabelItemDetail> {
    const prefetched = await this.prefetched.get(key)?.catch(() => undefined)
    return prefetched && prefetched.seq >= this.forgottenSeq ? prefetched : this.options.api.item(key)
  }

  // Acts of the user

  /** One act in the editor, which shows it already: one step of undo. */
  act(changes: readonly ObjectChange[]): void {
    if (!this.current) return
    const edits = editsFromChanges(changes, this.context(uuidv7()), this.current.document)
    this.perform(edits)
    // The editor does not know that a correction accepts a prediction, and that a copy of one is none.
    const copies = changes.flatMap((change) => (change.kind === 'put' && change.object.accepted === false ? [change.object.id] : []))
    const corrected = edits.flatMap(({ kind, object, fields }) => (kind === 'patch' && object !== null && fields.accepted === true ? [object] : []))
    const accepted = [...copies, ...corrected].map((id): ObjectChange => ({ kind: 'patch', id, fields: { accepted: true } }))
    if (accepted.length) this.options.handlers.objects(accepted)
  }

  /** An act outside the editor, such as a change of class in the list. */
  change(changes: readonly ObjectChange[]): void {
    if (!this.current) return
    this.performAndShow(editsFromChanges(changes, this.context(uuidv7()), this.current.document))
  }

  /** Sets the state of the item. Changes of its objects, such as the acceptance of predictions, are part of the same step of undo. */
  setState(state: ItemState, reason: string | null = null, changes: readonly ObjectChange[] = []): void {
    if (!this.current) return
    const { document } = this.current
    const context = this.context(uuidv7())
    const edits = editsFromChanges(changes, context, document)
    if (edits.length || document.state.state !== state || document.state.reason !== reason) edits.push(createEdit(context, null, 'state', { state, reason }))
    this.performAndShow(edits)
  }

  /** Brings back what another person has overwritten. */
  keepMine({ mine }: Clash): void {
    const context = this.context(uuidv7())
    const edits = mine.isDeleted ? [createEdit(context, mine.object, 'restore')] : []
    if (Object.keys(mine.fields).length) edits.push(createEdit(context, mine.object, 'patch', mine.fields))
    this.performAndShow(edits)
  }

  /** Undoes the last act. Returns the people whose later changes this would overwrite; then nothing happens unless `force` is set. */
  undo(force = false): string[] {
    const group = this.current?.undo.nextUndo
    if (!this.current || !group) return []
    const authors = this.authorsAfter(group)
    if (authors.length && !force) return authors
    this.performAndShow(inverseEdits(group, this.context(uuidv7())))
    return []
  }

  redo(): void {
    const group = this.current?.undo.nextRedo
    if (group) this.performAndShow(repeatedEdits(group, this.context(uuidv7())))
  }

  setSelected(object: string | null): void {
    if (this.selected === object) return
    this.selected = object
    this.reportPresence()
  }

  async retry(entries: readonly JournalEntry[]): Promise<void> {
    await this.sender.retry(entries)
  }

  async discard(entries: readonly JournalEntry[]): Promise<void> {
    await this.sender.discard(entries)
    this.showChanges(() => {
      for (const { edit } of entries) {
        this.current?.undo.remove(edit.id)
        this.current?.document.removePending(edit.id)
      }
    }, entries.map(({ edit }) => edit.object))
  }

  refused(): Promise<JournalEntry[]> {
    return this.options.journal.refused()
  }

  private context(group: string): EditContext {
    return { item: this.current?.document.key ?? '', base: Math.max(this.seenSeq, this.current?.detail.seq ?? 0), group }
  }

  private authorsAfter(group: NonNullable<UndoStack['nextUndo']>): string[] {
    const document = this.current?.document
    if (!document) return []
    return laterAuthors(group, this.options.me.name, (object, field) => (object === null ? document.stateOrigin : document.originOf(object, field)))
  }

  private perform(edits: Edit[]): void {
    if (!edits.length || !this.options.canEdit) return
    for (const edit of edits) this.applyOwn(edit)
    this.sender.add(edits).catch((error: unknown) => this.options.handlers.error(error))
    this.options.handlers.changed()
  }

  private performAndShow(edits: Edit[]): void {
    this.showChanges(() => this.perform(edits), edits.map(({ object }) => object))
  }

  private applyOwn(edit: Edit): void {
    if (!this.current) return
    const { document, undo } = this.current
    const before: Record<string, unknown> =
      edit.kind === 'state' ? { ...document.state } : edit.kind === 'patch' && edit.object ? document.valuesOf(edit.object, Object.keys(edit.fields)) : {}
    document.addPending(edit)
    undo.add(edit, before, null)
  }

  /** Runs a change and reports the changed objects to the editor. */
  private showChanges(run: () => void, ids: readonly (string | null)[]): void {
    const document = this.current?.document
    const touched = [...new Set(ids.filter((id) => id !== null))]
    const before = new Map<string, LabelObject>()
    for (const id of touched) {
      const object = document?.objects.get(id)
      if (object) before.set(id, object)
    }
    run()
    if (!document || document !== this.current?.document) return
    const changed = touched.filter((id) => document.objects.get(id) !== before.get(id))
    const changes = changesFor(changed, before, document)
    if (changes.length) this.options.handlers.objects(changes)
    this.options.handlers.changed()
  }

  // What the server says

  private onResults(results: EditResult[], edits: Edit[]): void {
    const byId = new Map(edits.map((edit) => [edit.id, edit]))
    this.showChanges(() => {
      for (const result of results) {
        const edit = byId.get(result.id)
        if (edit && edit.item === this.current?.document.key) this.settle(edit, result)
      }
    }, edits.map(({ object }) => object))
    for (const { deleted_by: author, id } of results) {
      const edit = byId.get(id)
      if (author && author !== this.options.me.name && edit?.object && edit.kind === 'patch' && edit.item === this.current?.document.key) {
        this.options.handlers.clash({ author, mine: { object: edit.object, fields: {}, isDeleted: true } })
      }
    }
  }

  private settle(edit: Edit, result: EditResult): void {
    if (!this.current || result.status === 'refused') return // refused edits stay on the screen until the user decides
    const { document, undo } = this.current
    if (result.status === 'applied' && result.seq !== null) {
      document.confirm({ ...edit, seq: result.seq, author: this.options.me.name })
      undo.setSeq(edit.id, result.seq)
    } else if (result.status === 'unchanged' && edit.kind !== 'put') undo.remove(edit.id)
    document.removePending(edit.id)
  }

  private onEdits(edits: AppliedEdit[]): void {
    this.recent.push(...edits)
    for (const { seq } of edits) this.seenSeq = Math.max(this.seenSeq, seq)
    if (this.recent.length > MAX_RECENT_EDITS) {
      const forgotten = this.recent.splice(0, this.recent.length - MAX_RECENT_EDITS)
      this.forgottenSeq = forgotten.at(-1)?.seq ?? this.forgottenSeq
    }
    const here = edits.filter(({ item }) => item === this.current?.document.key)
    if (!here.length) return
    this.showChanges(() => here.forEach((edit) => this.applyRemote(edit)), here.map(({ object }) => object))
    for (const edit of here) this.reportClash(edit)
  }

  private applyRemote(edit: AppliedEdit): void {
    if (!this.current) return
    const { document, undo } = this.current
    if (edit.author_id === this.options.me.id) undo.add(edit, edit.before, edit.seq)
    document.confirm(edit)
    document.removePending(edit.id)
  }

  private reportClash(edit: AppliedEdit): void {
    if (edit.author_id === this.options.me.id || edit.object === null) return
    const fields = edit.overwrote.filter(({ author }) => author === this.options.me.name).map(({ field }) => field)
    if (!fields.length) return
    const mine = Object.fromEntries(fields.filter((field) => field in edit.before).map((field) => [field, edit.before[field]]))
    this.options.handlers.clash({ author: edit.author, mine: { object: edit.object, fields: edit.kind === 'delete' ? {} : mine, isDeleted: edit.kind === 'delete' } })
  }

  private reportPresence(): void {
    if (!this.options.canEdit || !this.current) return
    const body = { client: this.client, item: this.current.document.key, object: this.selected }
    this.options.api.presence(body).catch(() => undefined) // the next report comes soon
  }
}

export type { StateOfItem }
