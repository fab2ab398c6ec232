"""Background jobs: their types, the worker that runs them, and the supervisor of the workers."""
