"""Background jobs and idempotency keys."""
