"""The registry of models, evaluations and runs, and their lineage."""
