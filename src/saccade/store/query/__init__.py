"""Query execution on dataset versions: vectorised in memory, or compiled to DuckDB SQL."""
