"""Files and processes: atomic writes, fsspec URLs, lease owner ids and memory limits."""
