/** Sends files to the server: many small ones in one request, a large one on its own; again where one fails. */
import { address, guardHeaders, problemOf } from '@/api/client'

/** Where something is imported from, as the server takes it. */
export type Source = { upload: string } | { url: string } | { folder: string }

export interface Named {
  name: string
  file: File
}

const MOST_FILES = 256
const MOST_BYTES = 24_000_000
const AT_ONCE = 3
const TRIES = 4

/** Files in the groups in which they are sent. */
export function grouped(files: Named[]): Named[][] {
  const made: Named[][] = []
  let bytes = Infinity
  for (const one of files) {
    const group = made[made.length - 1]
    if (!group || group.length >= MOST_FILES || bytes + one.file.size > MOST_BYTES) {
      made.push([one])
      bytes = one.file.size
    } else {
      group.push(one)
      bytes += one.file.size
    }
  }
  return made
}

export function bodyOf(group: Named[]): Blob {
  return new Blob(group.flatMap(({ name, file }) => [`${JSON.stringify({ name, size: file.size })}\n`, file]))
}

export async function send(upload: string, files: Named[], tell: (files: number, bytes: number) => void, signal: AbortSignal): Promise<void> {
  const groups = grouped(files)
  let at = 0
  async function one(): Promise<void> {
    for (let group = groups[at++]; group; group = groups[at++]) {
      await sendGroup(upload, group, signal)
      tell(group.length, group.reduce((sum, { file }) => sum + file.size, 0))
    }
  }
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, groups.length) }, one))
}

async function sendGroup(upload: string, group: Named[], signal: AbortSignal): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const answer = await fetch(address(`/uploads/${upload}/files`), { method: 'POST', body: bodyOf(group), headers: guardHeaders(), signal })
      if (answer.ok) return
      if (answer.status < 500 || attempt >= TRIES) throw problemOf(answer.status, await answer.json().catch(() => undefined))
    } catch (error) {
      if (!(error instanceof TypeError) || attempt >= TRIES) throw error
    }
    await new Promise((done) => setTimeout(done, 500 * 2 ** attempt))
  }
}

/** All files of what was dropped, those of folders too, with their paths. */
export async function droppedFiles(data: DataTransfer): Promise<Named[]> {
  const entries = [...data.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null)
  const made: Named[] = []
  for (const entry of entries) await walk(entry, made)
  return made.length ? made : [...data.files].map((file) => ({ name: file.name, file }))
}

async function walk(entry: FileSystemEntry, made: Named[]): Promise<void> {
  if (entry.isFile) {
    const file = await new Promise<File>((done, fail) => (entry as FileSystemFileEntry).file(done, fail))
    made.push({ name: entry.fullPath.replace(/^\//, ''), file })
    return
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  for (;;) {
    const part = await new Promise<FileSystemEntry[]>((done, fail) => reader.readEntries(done, fail))
    if (!part.length) return
    for (const one of part) await walk(one, made)
  }
}

export const chosenFiles = (list: FileList): Named[] => [...list].map((file) => ({ name: file.webkitRelativePath || file.name, file }))

/** A name for a dataset after what is imported. */
export function nameFor(source: string): string {
  const last = source.replace(/[/\\]+$/, '').split(/[/\\]/).pop() ?? ''
  const plain = last.replace(/(\.(zip|tar|tgz|gz|json|xml|csv|parquet|txt))+$/i, '').replace(/[^A-Za-z0-9_.-]+/g, '-').replace(/^[-.]+|[-.]+$/g, '')
  return plain || 'dataset'
}
