"""Webhooks: configuration and the sender of deliveries."""
