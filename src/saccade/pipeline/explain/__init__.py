"""Explanations: why a step or an item runs, and pictures of the graph."""
