/** Uploads files: small ones in batches, large ones alone, with retries. */
import { apiUrl, csrfHeaders, toApiError } from '@/api/client'

/** What to import, as the server expects it. */
export type ImportSource = { upload: string } | { url: string } | { folder: string }

/** A file with its path inside the folder that was chosen or dropped. */
export interface UploadFile {
  path: string
  file: File
}

const MAX_BATCH_FILES = 256
const MAX_BATCH_BYTES = 24_000_000
const PARALLEL_REQUESTS = 3
const MAX_ATTEMPTS = 4

/** Splits files into batches, one for each request. */
export function batchFiles(files: UploadFile[]): UploadFile[][] {
  const batches: UploadFile[][] = []
  let batchBytes = 0
  for (const upload of files) {
    const batch = batches[batches.length - 1]
    if (!batch || batch.length >= MAX_BATCH_FILES || batchBytes + upload.file.size > MAX_BATCH_BYTES) {
      batches.push([upload])
      batchBytes = upload.file.size
    } else {
      batch.push(upload)
      batchBytes += upload.file.size
    }
  }
  return batches
}

/** The body of a request: before the bytes of each file, a line of JSON with its name and size. */
export function batchBody(batch: UploadFile[]): Blob {
  return new Blob(batch.flatMap(({ path, file }) => [`${JSON.stringify({ name: path, size: file.size })}\n`, file]))
}

export const totalBytes = (files: UploadFile[]): number => files.reduce((sum, { file }) => sum + file.size, 0)

export async function uploadFiles(
  uploadId: string,
  files: UploadFile[],
  onProgress: (files: number, bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const batches = batchFiles(files)
  async function uploadNextBatches(): Promise<void> {
    for (let batch = batches.shift(); batch; batch = batches.shift()) {
      await uploadBatch(uploadId, batch, signal)
      onProgress(batch.length, totalBytes(batch))
    }
  }
  await Promise.all(Array.from({ length: PARALLEL_REQUESTS }, uploadNextBatches))
}

async function uploadBatch(uploadId: string, batch: UploadFile[], signal: AbortSignal): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const init = { method: 'POST', body: batchBody(batch), headers: csrfHeaders(), signal }
      const response = await fetch(apiUrl(`/uploads/${uploadId}/files`), init)
      if (response.ok) return
      if (response.status < 500 || attempt >= MAX_ATTEMPTS) throw toApiError(response.status, await response.json().catch(() => undefined))
    } catch (error) {
      if (!(error instanceof TypeError) || attempt >= MAX_ATTEMPTS) throw error // fetch reports network errors as TypeError
    }
    await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** attempt))
  }
}

/** All dropped files, also those inside dropped folders. */
export async function filesFromDrop(data: DataTransfer): Promise<UploadFile[]> {
  const entries = [...data.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null)
  const files: UploadFile[] = []
  for (const entry of entries) await collectFiles(entry, files)
  return files.length ? files : [...data.files].map((file) => ({ path: file.name, file }))
}

async function collectFiles(entry: FileSystemEntry, files: UploadFile[]): Promise<void> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject))
    files.push({ path: entry.fullPath.replace(/^\//, ''), file })
    return
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  for (;;) {
    // readEntries returns only some entries at a time (100 in Chromium), and none at the end.
    const children = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject))
    if (!children.length) return
    for (const child of children) await collectFiles(child, files)
  }
}

export const filesFromInput = (list: FileList): UploadFile[] => [...list].map((file) => ({ path: file.webkitRelativePath || file.name, file }))

/** A dataset name from the name of a folder, an archive or a URL. */
export function suggestDatasetName(source: string): string {
  const lastPart = source.replace(/[/\\]+$/, '').split(/[/\\]/).pop() ?? ''
  const withoutExtensions = lastPart.replace(/(\.(zip|tar|tgz|gz|json|xml|csv|parquet|txt))+$/i, '')
  const name = withoutExtensions.replace(/[^A-Za-z0-9_.-]+/g, '-').replace(/^[-.]+|[-.]+$/g, '')
  return name || 'dataset'
}
