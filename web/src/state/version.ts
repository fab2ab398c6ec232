/** The version of a dataset that a screen is about, shared by its tabs. */
import { computed, inject, type ComputedRef, type InjectionKey, type Ref } from 'vue'
import type { Schemas, Version } from '@/api/client'
import type { ClassLook } from '@/draw/shapes'

export interface Shown {
  /** As in the address: NAME or NAME@VERSION. */
  ref: ComputedRef<string>
  version: Readonly<Ref<Version | null>>
  isLatest: ComputedRef<boolean>
  /** That of the version, for changes that are to follow just this one. */
  tag: ComputedRef<string>
  again: () => Promise<void>
}

export const SHOWN: InjectionKey<Shown> = Symbol('shown')

export function useShown(): Shown {
  const found = inject(SHOWN)
  if (!found) throw new Error('There is no dataset around this.')
  return found
}

export type Column = Schemas['ColumnAnswer']

export const nameOf = (ref: string): string => ref.split('@')[0] ?? ref

export function columnOf(version: Version | null, ...kinds: string[]): Column | null {
  return version?.columns.find((column) => kinds.includes(column.kind)) ?? null
}

/** The column by whose classes items are filtered. */
export const labelsOf = (version: Version | null): Column | null => columnOf(version, 'objects', 'label', 'labels')

export function useClasses(version: Readonly<Ref<Version | null>>): ComputedRef<Map<string, ClassLook>> {
  return computed(() => {
    const made = new Map<string, ClassLook>()
    for (const column of version.value?.columns ?? []) {
      for (const one of (column.classes ?? []) as unknown as ClassLook[]) made.set(one.name, one)
    }
    return made
  })
}
