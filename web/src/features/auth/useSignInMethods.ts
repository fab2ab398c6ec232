import { ref, type Ref } from 'vue'
import { client, unwrap } from '@/api/client'

interface SignInMethods {
  /** The name of the identity provider, if there is one. */
  provider: Ref<string | null>
  /** The e-mail address of the account that waits to be linked to an identity. */
  linkEmail: Ref<string | null>
  load: () => Promise<void>
  redirectToProvider: (next: string) => Promise<void>
}

/** The ways to sign in besides a password. */
export function useSignInMethods(): SignInMethods {
  const provider = ref<string | null>(null)
  const linkEmail = ref<string | null>(null)

  async function load(): Promise<void> {
    const methods = await unwrap(client.GET('/api/v1/auth/methods'))
    provider.value = methods.provider
    linkEmail.value = methods.link_email
  }

  /** Leaves the app for the provider, which redirects back to the page `next`. */
  async function redirectToProvider(next: string): Promise<void> {
    const { address } = await unwrap(client.POST('/api/v1/session/oidc', { body: { next } }))
    location.assign(address)
  }

  return { provider, linkEmail, load, redirectToProvider }
}
