import { describe, expect, it } from 'vitest'
import { batchBody, batchFiles, suggestDatasetName, type UploadFile } from '@/features/imports/upload'

const createFile = (path: string, bytes: number): UploadFile => ({ path, file: new File([new Uint8Array(bytes)], path) })

describe('uploads', () => {
  it('are sent in batches of limited size, without losing a file', () => {
    const files = Array.from({ length: 1000 }, (_, index) => createFile(`${index}.jpg`, index % 3 ? 1000 : 120_000))
    const batches = batchFiles(files)
    expect(batches.flat().map(({ path }) => path)).toEqual(files.map(({ path }) => path))
    expect(Math.max(...batches.map((batch) => batch.length))).toBeLessThanOrEqual(256)
    expect(batchFiles([createFile('large', 30_000_000), createFile('small', 1)])).toHaveLength(2)
  })

  it('state the name and size of each file before its bytes', async () => {
    const batch = [{ path: 'ä/b.txt', file: new File(['hello'], 'b.txt') }, { path: 'c', file: new File([''], 'c') }]
    expect(await batchBody(batch).text()).toBe('{"name":"ä/b.txt","size":5}\nhello{"name":"c","size":0}\n')
  })

  it.each([
    ['/data/My Photos/', 'My-Photos'],
    ['cells.tar.gz', 'cells'],
    ['x.zip', 'x'],
    ['..', 'dataset'],
    ['https://a.b/c.zip', 'c'],
  ])('suggest a dataset name for %s', (source, name) => {
    expect(suggestDatasetName(source)).toBe(name)
  })
})
