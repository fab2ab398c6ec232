"""Webhooks: endpoints, the transactional outbox and the delivery queue."""
