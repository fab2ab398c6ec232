/** Branches of a dataset: what a reference shows, and which names are possible. */
import type { Schemas } from '@/api/client'
import { t } from '@/i18n'

export const MAIN = 'main'
const LATEST = 'latest'
const MAX_NAME_LENGTH = 200
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/

type Log = Schemas['VersionSummary'][]
type Refs = Schemas['RefsResponse']

/** The branch whose head a reference shows; null if the reference names a fixed version. */
export function branchFromRef(ref: string, refs: Refs | null): string | null {
  const selector = ref.split('@')[1]
  if (selector === undefined || selector === LATEST) return MAIN
  return refs && selector in refs.branches ? selector : null
}

/** The reference of the head of a branch. */
export const branchRef = (dataset: string, branch: string): string => (branch === MAIN ? dataset : `${dataset}@${branch}`)

/** The versions of a branch from its head to the first version, following the parents. */
export function branchHistory(log: Log, head: number | undefined): Log {
  const history: Log = []
  let number: number | null = head ?? null
  for (const entry of log) {
    if (entry.number !== number) continue // latest first: a parent has a smaller number than its child
    history.push(entry)
    number = entry.parent ?? null
  }
  return history
}

/** The number of versions with changes that a branch has and another branch, by default the main branch, does not have. */
export function unmergedCount(log: Log, branches: Refs['branches'], branch: string, into = MAIN): number {
  const ofTarget = new Set(branchHistory(log, branches[into]).flatMap((entry) => [entry.number, entry.merged ?? 0]))
  const history = branchHistory(log, branches[branch])
  const shared = history.findIndex((entry) => ofTarget.has(entry.number))
  const own = shared < 0 ? history : history.slice(0, shared)
  return own.filter((entry) => !ofTarget.has(entry.merged ?? -1)).length // merging the target into the branch adds no changes
}

/** Why a name is not possible for a new branch; an empty string if it is possible. */
export function branchNameError(name: string, refs: Refs | null): string {
  if (!name) return ''
  if (name.length > MAX_NAME_LENGTH) return t.branches.nameTooLong(MAX_NAME_LENGTH)
  if (!NAME.test(name)) return t.branches.nameCharacters
  if (/^\d+$/.test(name) || name === LATEST) return t.branches.nameIsVersion(name)
  if (refs && name in refs.branches) return t.branches.branchExists(name)
  if (refs && (name in refs.tags || name in refs.aliases)) return t.branches.nameInUse(name)
  return ''
}
