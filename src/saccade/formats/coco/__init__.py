"""COCO."""

from saccade.formats.coco.read import FORMAT, read_results

__all__ = ["FORMAT", "read_results"]
