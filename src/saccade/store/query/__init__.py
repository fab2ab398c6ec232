"""Query execution: on numpy arrays in memory if possible, otherwise in DuckDB."""
