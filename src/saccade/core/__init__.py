"""Kinds of values, schema, geometry, digests and errors: no input or output, no torch."""
