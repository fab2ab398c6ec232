"""Content-addressed blobs, the packs that hold small ones, and linked media files."""
