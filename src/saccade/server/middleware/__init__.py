"""ASGI middleware: project prefix, request limits and headers, idempotency keys."""
