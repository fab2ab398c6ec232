"""Output folders that are written atomically."""
