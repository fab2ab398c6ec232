/** The studio's state: connects a label session with the components. */
import { computed, onBeforeUnmount, ref, shallowReactive, shallowRef, triggerRef, watch } from 'vue'
import { interceptSignedOut } from '@/api/client'
import { refresh } from '@/api/queries'
import type { ObjectChange } from '@/canvas/editor'
import { useToasts } from '@/composables/useToasts'
import { useSession } from '@/features/auth/useSession'
import { eventsUrl, fetchHistory, fetchItem, sendEdits, sendPresence } from '@/features/labelling/labelSets'
import { journalScope, openJournal } from '@/features/labelling/openJournal'
import { LabelSession, type Clash, type OpenItem } from '@/features/labelling/sync/session'
import type { JournalEntry } from '@/features/labelling/sync/journal'
import { othersAt } from '@/features/labelling/sync/people'
import type { SenderStatus } from '@/features/labelling/sync/sender'
import type { LabelClass, LabelObject, LabelSet, Person } from '@/features/labelling/sync/types'
import { IDLE } from '@/features/labelling/usePendingEdits'
import { t } from '@/i18n'

interface Callbacks {
  /** Objects that the editor has to draw. */
  onObjects: (changes: ObjectChange[]) => void
  /** The server has refused the event stream. */
  onStreamRefused: () => void
}

export function useLabelSession(name: string, { onObjects, onStreamRefused }: Callbacks) {
  const user = useSession()
  const toasts = useToasts()
  const canEdit = user.hasRole('annotator')
  const me = { id: user.user?.id ?? '', name: user.user?.name ?? '' }
  let session: LabelSession | null = null
  let isUnmounted = false

  const isReady = ref(false)
  const isStored = ref(true)
  const status = ref<SenderStatus>(IDLE)
  const current = shallowRef<OpenItem | null>(null)
  const classes = ref<LabelClass[]>([])
  const people = ref<Person[]>([])
  const clashes = shallowReactive<Clash[]>([]) // not deep: the journal cannot store reactive values
  const refused = shallowRef<JournalEntry[]>([])
  const isSignedOut = ref(false)

  /** Shows the sign-in over the studio, where the work stays. */
  const stopIntercepting = interceptSignedOut(() => (isSignedOut.value = true))

  async function start(set: LabelSet): Promise<void> {
    if (session || isUnmounted) return
    classes.value = set.classes
    const scope = journalScope(me.id, name)
    const opened = await openJournal(scope, () => {
      isStored.value = false
      toasts.showError(new Error(t.studio.journalFailed))
    })
    if (isUnmounted) return
    isStored.value = opened.isStored
    session = new LabelSession({
      name, scope, me, seq: set.seq, journal: opened.journal, canEdit,
      api: {
        item: (key) => fetchItem(name, key),
        history: (key) => fetchHistory(name, key),
        send: (edits) => sendEdits(name, edits),
        presence: (body) => sendPresence(name, body),
        eventsUrl: (after) => eventsUrl(name, after),
      },
      handlers: {
        status: (changed) => {
          status.value = changed
          if (changed.connection === 'signed-out') isSignedOut.value = true
        },
        objects: onObjects,
        changed: () => triggerRef(current),
        people: (changed) => (people.value = changed),
        classes: (changed) => mergeClasses(changed),
        committed: ({ base }) => {
          if (base !== set.base) void refresh()
        },
        clash: (clash) => clashes.push(clash),
        error: (error) => toasts.showError(error),
        streamRefused: onStreamRefused,
      },
    })
    isReady.value = true
  }
  function mergeClasses(changed: LabelClass[]): void {
    const byId = new Map(changed.map((each) => [each.id, each]))
    const known = new Set(classes.value.map(({ id }) => id))
    classes.value = [...classes.value.map((each) => byId.get(each.id) ?? each), ...changed.filter(({ id }) => !known.has(id))]
  }

  watch(() => status.value.refused, async () => (refused.value = (await session?.refused()) ?? []))

  async function open(key: string): Promise<OpenItem | null> {
    clashes.splice(0)
    const opened = (await session?.open(key)) ?? null
    if (opened) current.value = opened
    return opened
  }

  /** The user has signed in again, perhaps as another one, whose edits are not those of this page. */
  function onSignedIn(): void {
    if (user.user?.id !== me.id) {
      location.reload()
      return
    }
    isSignedOut.value = false
    session?.wake()
  }

  // A browser without a journal would lose what it has not sent.
  function onBeforeUnload(event: BeforeUnloadEvent): void {
    if (session?.sender.isWriting || (!isStored.value && status.value.waiting)) event.preventDefault()
  }
  window.addEventListener('beforeunload', onBeforeUnload)
  onBeforeUnmount(() => {
    isUnmounted = true
    window.removeEventListener('beforeunload', onBeforeUnload)
    stopIntercepting()
    session?.close()
  })

  const byOrder = (first: LabelObject, second: LabelObject): number => first.order - second.order || (first.id < second.id ? -1 : 1)
  const objects = computed(() => [...(current.value?.document.objects.values() ?? [])].sort(byOrder))
  const state = computed(() => current.value?.document.state ?? null)
  const peopleHere = computed(() => othersAt(people.value, me.id, current.value?.document.key ?? null))

  return {
    isReady, isStored, status, current, classes, people, peopleHere, clashes, refused, isSignedOut, objects, state, canEdit,
    canUndo: computed(() => current.value?.undo.canUndo ?? false),
    canRedo: computed(() => current.value?.undo.canRedo ?? false),
    start, open, onSignedIn, mergeClasses,
    prefetch: (key: string) => session?.prefetch(key),
    act: (changes: ObjectChange[]) => session?.act(changes),
    change: (changes: ObjectChange[]) => session?.change(changes),
    setState: (...parameters: Parameters<LabelSession['setState']>) => session?.setState(...parameters),
    undo: (force = false): string[] => session?.undo(force) ?? [],
    redo: () => session?.redo(),
    setSelected: (id: string | null) => session?.setSelected(id),
    keepMine: (clash: Clash) => session?.keepMine(clash),
    retry: (entries: JournalEntry[]) => session?.retry(entries),
    discard: (entries: JournalEntry[]) => session?.discard(entries),
  }
}

export type LabelSessionState = ReturnType<typeof useLabelSession>
