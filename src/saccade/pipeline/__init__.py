"""Pipelines: graphs of steps that re-run only what changed, item by item."""
