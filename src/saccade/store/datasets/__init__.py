"""Datasets: versions, refs, mutations, merges, diffs, classes and statistics."""
