"""The HTTP API: routes translate, call what is below, and return typed answers."""
