"""Use cases on dataset versions: bulk edits, classes, conflict resolution, diff reports, rendered items."""
