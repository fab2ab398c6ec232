import { currentProject } from '@/api/client'
import { MemoryJournal, StoredJournal, type Journal } from '@/features/labelling/sync/journal'

/** What separates the edits of projects, users and label sets in this browser. */
export const journalScope = (userId: string, labelSet: string): string => `${currentProject}/${userId}/${labelSet}`

/** Opens the journal. Some browsers do not allow storage; `isStored` is false then. */
export async function openJournal(scope: string): Promise<{ journal: Journal; isStored: boolean }> {
  try {
    return { journal: await StoredJournal.open(scope), isStored: true }
  } catch {
    return { journal: new MemoryJournal(scope), isStored: false }
  }
}
