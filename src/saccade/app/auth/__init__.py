"""Accounts and single sign-on."""
