import { ref, type Ref } from 'vue'
import { ask, client, type Schemas } from '@/api/client'

interface Ways {
  provider: Ref<string | null>
  connecting: Ref<string | null>
  look: () => Promise<void>
  leave: (next: string) => Promise<void>
}

/** How one may sign in besides with a password. */
export function useWays(): Ways {
  const provider = ref<string | null>(null)
  const connecting = ref<string | null>(null)

  async function look(): Promise<void> {
    const ways: Schemas['WaysAnswer'] = await ask(client.GET('/api/v1/session/ways'))
    provider.value = ways.provider
    connecting.value = ways.connecting
  }

  /** Go to the provider, which leads back to a page of this server. */
  async function leave(next: string): Promise<void> {
    const begun = await ask(client.POST('/api/v1/session/oidc', { body: { next } }))
    location.assign(begun.address)
  }

  return { provider, connecting, look, leave }
}
