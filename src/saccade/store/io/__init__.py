"""Files and processes: scratch folders, fsspec URLs, lease owner ids and memory limits."""
