"""Outgoing HTTP that is protected against server-side request forgery (SSRF)."""
