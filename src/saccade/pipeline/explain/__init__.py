"""Explanations of cache hits and misses, and renderings of the graph."""
