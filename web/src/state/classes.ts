/** Acts on classes that are not saved yet, and what they make of the classes. Nothing here knows of the page. */
import { reactive } from 'vue'
import type { Schemas } from '@/api/client'

export type Act = Schemas['ClassesChange']['acts'][number]
/** A class as it is to be; ``was`` is its name in the version that one looks at, null for a new one. */
export interface Row {
  column: string
  name: string
  color: string
  parent: string | null
  objects: number
  items: number
  was: string | null
  isMerged: boolean
}

export type Refusal = 'missing' | 'taken' | 'empty'
export class ActError extends Error {
  constructor(readonly reason: Refusal) {
    super(reason)
  }
}

export const rowsOf = (classes: Schemas['ClassAnswer'][]): Row[] =>
  classes.map((one) => ({ column: one.column, name: one.name, color: one.color, parent: one.parent, objects: one.objects, items: one.items, was: one.name, isMerged: false }))

const FRESH = ['#e69f00', '#56b4e9', '#009e73', '#f0e442', '#0072b2', '#d55e00', '#cc79a7', '#9114ff', '#4bff7b', '#ff1453', '#785c23', '#14ffef']
export function freshColor(rows: Row[]): string {
  return FRESH.find((color) => rows.every((row) => row.color !== color)) ?? '#5c7678'
}

/** The rows after an act; an ActError where it cannot be done. */
export function after(rows: Row[], act: Act): Row[] {
  const at = rows.findIndex((row) => row.column === act.column && row.name === act.name)
  const has = (name: string): boolean => rows.some((row) => row.column === act.column && row.name === name)
  const row = rows[at]
  if (act.act === 'add') {
    if (!act.name.trim()) throw new ActError('empty')
    if (row) throw new ActError('taken')
    const made: Row = { column: act.column ?? '', name: act.name, color: act.color ?? freshColor(rows), parent: null, objects: 0, items: 0, was: null, isMerged: false }
    const last = rows.reduce((found, one, index) => (one.column === act.column ? index : found), rows.length - 1)
    return [...rows.slice(0, last + 1), made, ...rows.slice(last + 1)]
  }
  if (!row) throw new ActError('missing')
  const heirs = (to: string | null): Row[] => rows.map((one) => (one.column === act.column && one.parent === act.name ? { ...one, parent: to === one.name ? null : to } : one))
  if (act.act === 'recolor') return rows.map((one, index) => (index === at ? { ...one, color: act.color } : one))
  if (act.act === 'rename') {
    if (!act.to.trim()) throw new ActError('empty')
    if (act.to !== act.name && has(act.to)) throw new ActError('taken')
    return heirs(act.to).map((one, index) => (index === at ? { ...one, name: act.to } : one))
  }
  if (act.act === 'merge') {
    if (!has(act.into) || act.into === act.name) throw new ActError('missing')
    return heirs(act.into).flatMap((one, index) => {
      if (index === at) return []
      const isHeir = one.column === act.column && one.name === act.into
      return [isHeir ? { ...one, objects: one.objects + row.objects, items: one.items + row.items, isMerged: one.isMerged || row.objects > 0 } : one]
    })
  }
  return heirs(row.parent).filter((_, index) => index !== at)
}

/** As many of the acts as can be done one after another, and the rows after them. */
export function replayed(rows: Row[], acts: Act[]): { rows: Row[]; acts: Act[] } {
  const done: Act[] = []
  let now = rows
  for (const act of acts) {
    try {
      now = after(now, act)
      done.push(act)
    } catch (error) {
      if (!(error instanceof ActError)) throw error
    }
  }
  return { rows: now, acts: done }
}

/** Acts with one more; a class that is given one colour after another was given the last one. */
export function withAct(acts: Act[], act: Act): Act[] {
  const last = acts[acts.length - 1]
  const isAgain = act.act === 'recolor' && last?.act === 'recolor' && last.name === act.name && last.column === act.column
  return [...(isAgain ? acts.slice(0, -1) : acts), act]
}

export interface Staged {
  /** The version that one looked at. */
  after: number
  /** Its tag, for the change that is to follow just this one. */
  tag: string
  acts: Act[]
}

/** What was begun and not saved, by dataset: it stays while one looks at other screens. */
export const staged = reactive(new Map<string, Staged>())
