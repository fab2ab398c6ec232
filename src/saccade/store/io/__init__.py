"""Files and processes: atomic writes, fsspec URLs, process identity."""
