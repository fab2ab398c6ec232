"""Pipelines: graphs of steps that are run again only where something changed, item by item."""
