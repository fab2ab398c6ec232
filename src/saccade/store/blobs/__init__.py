"""Content-addressed blobs and the packs that hold small ones."""
