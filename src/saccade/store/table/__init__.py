"""Lance tables: snapshots, indexes of keys, staged writes. Everything that knows Lance is here."""
