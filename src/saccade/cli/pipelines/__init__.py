"""Commands on pipelines: run, explain, operations, runs."""
