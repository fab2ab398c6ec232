"""Lance tables: snapshots, key indexes and staged writes. The only package that depends on Lance's table format."""
