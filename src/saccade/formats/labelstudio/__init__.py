"""Label Studio."""

from saccade.formats.labelstudio.read import FORMAT

__all__ = ["FORMAT"]
