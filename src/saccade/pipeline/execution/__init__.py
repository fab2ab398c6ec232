"""Execution: the runner, bound steps, engines and worker processes."""
