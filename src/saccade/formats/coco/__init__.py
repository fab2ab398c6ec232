"""COCO."""

from saccade.formats.coco.format import FORMAT, read_results

__all__ = ["FORMAT", "read_results"]
