import { IDBFactory, IDBKeyRange } from 'fake-indexeddb'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { MemoryJournal, SafeJournal, StoredJournal, type Journal } from '@/features/labelling/sync/journal'
import { edit } from './edits'

const ids = (entries: { edit: { id: string } }[]): string[] => entries.map((entry) => entry.edit.id)

beforeEach(() => vi.stubGlobal('IDBKeyRange', IDBKeyRange))

describe.each<[string, (scope: string) => Promise<Journal>]>([
  ['IndexedDB', (scope) => StoredJournal.open(scope, new IDBFactory())],
  ['memory', async (scope) => new MemoryJournal(scope)],
  ['both', async (scope) => new SafeJournal(await StoredJournal.open(scope, new IDBFactory()), scope, () => undefined)],
])('a journal in %s', (_, open) => {
  it('keeps the order of edits', async () => {
    const journal = await open('a')
    const edits = Array.from({ length: 5 }, (__, index) => edit('patch', `object ${index}`))
    await journal.add(edits.slice(0, 2))
    await journal.add(edits.slice(2))
    expect(ids(await journal.waiting())).toEqual(edits.map(({ id }) => id))
    expect(ids(await journal.waiting(3))).toEqual(edits.slice(0, 3).map(({ id }) => id))
  })

  it('parks a refused edit with its reason, and sends it again in its place', async () => {
    const journal = await open('a')
    const edits = [edit('put', 'first'), edit('put', 'second')]
    await journal.add(edits)
    const [first] = await journal.waiting()
    await journal.refuse(first?.position ?? 0, 'The class was deleted.')
    expect(await journal.counts()).toEqual({ waiting: 1, refused: 1 })
    expect((await journal.refused())[0]).toMatchObject({ edit: edits[0], reason: 'The class was deleted.' })
    await journal.retry([first?.position ?? 0])
    expect(ids(await journal.waiting())).toEqual(edits.map(({ id }) => id))
  })

  it('removes only what was answered', async () => {
    const journal = await open('a')
    await journal.add([edit('put', 'first'), edit('put', 'second')])
    const [first] = await journal.waiting()
    await journal.remove([first?.position ?? 0])
    expect((await journal.waiting()).map((entry) => entry.edit.object)).toEqual(['second'])
  })
})

it('survives a reload, and separates scopes', async () => {
  const factory = new IDBFactory()
  const journal = await StoredJournal.open('anna', factory)
  await journal.add([edit('put', 'mine')])
  journal.close()
  const others = await StoredJournal.open('ben', factory)
  expect(await others.counts()).toEqual({ waiting: 0, refused: 0 })
  const reopened = await StoredJournal.open('anna', factory)
  expect((await reopened.waiting()).map((entry) => entry.edit.object)).toEqual(['mine'])
})

it('keeps what cannot be stored in memory', async () => {
  const failures: unknown[] = []
  const journal = new SafeJournal(await StoredJournal.open('a', new IDBFactory()), 'a', (error) => failures.push(error))
  const edits = [edit('put', 'first'), edit('put', 'second', { size: () => 0 }), edit('put', 'third')] // a function cannot be stored
  for (const each of edits) await journal.add([each])
  expect(failures).toHaveLength(1)
  expect(await journal.counts()).toEqual({ waiting: 3, refused: 0 })
  const waiting = await journal.waiting()
  expect(waiting.map((entry) => entry.edit.object)).toEqual(['first', 'third', 'second'])
  await journal.refuse(waiting[2]?.position ?? 0, 'Invalid.')
  await journal.remove(waiting.slice(0, 2).map(({ position }) => position))
  expect(await journal.counts()).toEqual({ waiting: 0, refused: 1 })
  expect(await journal.refused()).toMatchObject([{ edit: { object: 'second' }, reason: 'Invalid.' }])
})
