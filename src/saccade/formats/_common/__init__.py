"""Helpers that the formats share: JSON streams, spill-to-disk containers, paths, geometry and writing."""
