/** URLs of projects. The default project has the short URLs, without the prefix `/p/NAME`. */
export const DEFAULT_PROJECT = 'default'

/** The project that a page's path names. */
export function projectFromPath(path: string): string {
  const name = /^\/p\/([^/]+)(\/|$)/.exec(path)?.[1]
  if (name === undefined) return DEFAULT_PROJECT
  try {
    return decodeURIComponent(name)
  } catch {
    return name // a malformed escape: no project has this name, and the server says so
  }
}

/** The path under which the pages of a project lie. */
export function projectBasePath(project: string): string {
  return project === DEFAULT_PROJECT ? '/' : `/p/${encodeURIComponent(project)}/`
}

/** The path of an API resource within a project. */
export function projectApiPath(project: string, path = ''): string {
  const resource = path.replace(/^\/api\/v1/, '')
  return project === DEFAULT_PROJECT ? `/api/v1${resource}` : `/api/v1/projects/${encodeURIComponent(project)}${resource}`
}
