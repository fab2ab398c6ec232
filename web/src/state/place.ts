/** Which project the address of the page names; the one that is always there has the short addresses. */
export const DEFAULT = 'default'

export function projectOf(path: string): string {
  const name = /^\/p\/([^/]+)(\/|$)/.exec(path)?.[1]
  if (name === undefined) return DEFAULT
  try {
    return decodeURIComponent(name)
  } catch {
    return name
  }
}

/** Where the pages of a project begin. */
export function baseOf(project: string): string {
  return project === DEFAULT ? '/' : `/p/${encodeURIComponent(project)}/`
}

/** An address of the API, in a project. */
export function apiOf(project: string, path = ''): string {
  const rest = path.replace(/^\/api\/v1/, '')
  return project === DEFAULT ? `/api/v1${rest}` : `/api/v1/projects/${encodeURIComponent(project)}${rest}`
}
