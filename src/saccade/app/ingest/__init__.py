"""Data in and out: imports, exports, uploads, downloads of sources, and media ingestion."""
