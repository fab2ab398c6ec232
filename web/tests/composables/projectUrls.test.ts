import { describe, expect, it } from 'vitest'
import { DEFAULT_PROJECT, projectApiPath, projectBasePath, projectFromPath } from '@/composables/projectUrls'

describe('project URLs', () => {
  it.each(['cells', 'a.b-c_d', 'ünï', '50%'])('contain the name %s', (name) => {
    expect(projectFromPath(`${projectBasePath(name)}datasets/x`)).toBe(name)
    expect(projectApiPath(name, '/api/v1/jobs')).toBe(`/api/v1/projects/${encodeURIComponent(name)}/jobs`)
  })

  it('do not contain the default project', () => {
    expect(projectBasePath(DEFAULT_PROJECT)).toBe('/')
    expect(projectApiPath(DEFAULT_PROJECT, '/api/v1/jobs')).toBe('/api/v1/jobs')
    expect(projectFromPath('/pipelines')).toBe(DEFAULT_PROJECT)
  })

  it('may lack the last slash or have a malformed escape', () => {
    expect(projectFromPath('/p/cells')).toBe('cells')
    expect(projectFromPath('/p/%E0%A4%A/x')).toBe('%E0%A4%A')
  })
})
