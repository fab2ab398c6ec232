"""Webhook events and their signatures."""
