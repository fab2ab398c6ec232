import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, expect, it } from 'vitest'
import type { Session } from '@/api/client'
import { get, queryClient } from '@/api/queries'
import { useSession } from '@/features/auth/useSession'

const { queryKey } = get('/api/v1/models')
function sessionOf(id: string, csrfToken = 'token'): Session {
  const user = { id, name: id, email: `${id}@example.org`, role: 'viewer', created: '2026-01-01T00:00:00Z', has_password: true }
  return { user, role: 'viewer', csrf_token: csrfToken } as Session
}

beforeEach(() => {
  setActivePinia(createPinia())
  queryClient.clear()
  useSession().setSession(sessionOf('ada'))
  queryClient.setQueryData(queryKey, ['of ada'])
})

it('keeps the cache when the session of the same user is renewed', () => {
  useSession().setSession(sessionOf('ada', 'new token'))
  expect(queryClient.getQueryData(queryKey)).toEqual(['of ada'])
})

it.each([null, sessionOf('grace')])('clears the cache when the user signs out or changes', (session) => {
  useSession().setSession(session)
  expect(queryClient.getQueryCache().getAll()).toEqual([])
})
