import { currentProject } from '@/api/client'
import { MemoryJournal, SafeJournal, StoredJournal, type Journal } from '@/features/labelling/sync/journal'

/** What separates the edits of projects, users and label sets in this browser. */
export const journalScope = (userId: string, labelSet: string): string => `${currentProject}/${userId}/${labelSet}`

/**
 * Opens the journal. Some browsers do not allow storage; `isStored` is false then.
 *
 * @param onFailure - is called when an edit could not be stored. It is sent all the same.
 */
export async function openJournal(scope: string, onFailure: (error: unknown) => void = () => undefined): Promise<{ journal: Journal; isStored: boolean }> {
  try {
    return { journal: new SafeJournal(await StoredJournal.open(scope), scope, onFailure), isStored: true }
  } catch {
    return { journal: new MemoryJournal(scope), isStored: false }
  }
}
