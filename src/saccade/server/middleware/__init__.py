"""ASGI middleware: idempotency keys."""
