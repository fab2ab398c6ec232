"""Authentication: users, sessions, tokens and single sign-on."""
