"""Label Studio."""

from saccade.formats.labelstudio.format import FORMAT

__all__ = ["FORMAT"]
