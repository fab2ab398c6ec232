/** Sends what an earlier visit to the studio has left in the journal of this browser, and tells how much of it is left. */
import { onBeforeUnmount, ref, type Ref } from 'vue'
import { refresh } from '@/api/queries'
import { useSession } from '@/features/auth/useSession'
import { sendEdits } from '@/features/labelling/labelSets'
import { journalScope, openJournal } from '@/features/labelling/openJournal'
import { Sender, withLock, type SenderStatus } from '@/features/labelling/sync/sender'

export const IDLE: SenderStatus = { waiting: 0, refused: 0, connection: 'online', isSending: false }

export function usePendingEdits(name: string): { status: Ref<SenderStatus> } {
  const session = useSession()
  const status = ref<SenderStatus>(IDLE)
  let sender: Sender | null = null
  let isUnmounted = false

  async function start(): Promise<void> {
    const scope = journalScope(session.user?.id ?? '', name)
    const { journal } = await openJournal(scope)
    if (isUnmounted) return
    sender = new Sender({
      journal,
      post: (edits) => sendEdits(name, edits),
      exclusively: withLock(`saccade-labels ${scope}`),
      onStatus: (current) => (status.value = current),
      onResults: () => void refresh(),
    })
    await sender.wake()
  }
  void start()
  onBeforeUnmount(() => {
    isUnmounted = true
    sender?.stop()
  })
  return { status }
}
