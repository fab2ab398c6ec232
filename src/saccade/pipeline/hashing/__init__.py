"""Content hashes: code fingerprints and columnar digests."""
