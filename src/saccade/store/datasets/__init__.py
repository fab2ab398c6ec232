"""Datasets: versions, references, mutations, merges, diffs, classes and statistics."""
