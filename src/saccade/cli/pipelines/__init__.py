"""Commands for pipelines: run, explain, operations, runs."""
