"""OpenID Connect single sign-on: settings, the provider client and token verification."""
