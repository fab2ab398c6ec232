"""Models, evaluations, runs and their lineage."""
