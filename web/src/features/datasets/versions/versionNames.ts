/** The names of dataset versions: tags, branches and aliases. */
import type { Schemas } from '@/api/client'

export type NameKind = 'tag' | 'branch' | 'alias'
export interface VersionName {
  kind: NameKind
  name: string
}

export const NAME_COLORS: Record<NameKind, string> = { tag: 'success', branch: 'primary', alias: 'info' }

export function namesOfVersion(names: Schemas['RefsResponse'], number: number): VersionName[] {
  const ofKind = (kind: NameKind, numberByName: Record<string, number>): VersionName[] =>
    Object.keys(numberByName).filter((name) => numberByName[name] === number).map((name) => ({ kind, name }))
  return [...ofKind('tag', names.tags), ...ofKind('branch', names.branches), ...ofKind('alias', names.aliases)]
}
