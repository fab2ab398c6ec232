"""Single sign-on by OpenID Connect: the settings, what is asked of the provider, and what it says of people."""
