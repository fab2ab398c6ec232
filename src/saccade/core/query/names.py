"""Names available in queries and their types."""

from __future__ import annotations

from collections.abc import Mapping

from saccade.core.query.nodes import Type
from saccade.core.schema import Kind

COLUMN_TYPES: Mapping[Kind, Type] = {
    Kind.IMAGE: Type.IMAGE,
    Kind.VIDEO: Type.VIDEO,
    Kind.OBJECTS: Type.OBJECTS,
    Kind.LABEL: Type.TEXT,
    Kind.LABELS: Type.LABELS,
    Kind.EMBEDDING: Type.OTHER,
    Kind.TEXT: Type.TEXT,
    Kind.NUMBER: Type.NUMBER,
    Kind.TABLE: Type.JSON,
    Kind.FILE: Type.FILE,
}

_FILE = {"name": Type.TEXT, "size": Type.NUMBER, "digest": Type.TEXT, "uri": Type.TEXT}
MEDIA_FIELDS: Mapping[Type, Mapping[str, Type]] = {
    Type.FILE: _FILE,
    Type.IMAGE: {
        **_FILE,
        "width": Type.NUMBER,
        "height": Type.NUMBER,
        "format": Type.TEXT,
        "mode": Type.TEXT,
        "orientation": Type.NUMBER,
        "frame": Type.NUMBER,
    },
    Type.VIDEO: {
        **_FILE,
        "width": Type.NUMBER,
        "height": Type.NUMBER,
        "format": Type.TEXT,
        "codec": Type.TEXT,
        "orientation": Type.NUMBER,
        "frames": Type.NUMBER,
        "duration": Type.NUMBER,
        "rate": Type.NUMBER,
    },
}

OBJECT_FIELDS: Mapping[str, Type] = {
    "id": Type.TEXT,
    "class": Type.TEXT,
    "type": Type.TEXT,
    "track": Type.TEXT,
    "score": Type.NUMBER,
    "area": Type.NUMBER,
    "width": Type.NUMBER,
    "height": Type.NUMBER,
    "x1": Type.NUMBER,
    "y1": Type.NUMBER,
    "x2": Type.NUMBER,
    "y2": Type.NUMBER,
    "cx": Type.NUMBER,
    "cy": Type.NUMBER,
    "attributes": Type.JSON,
}
"""Sizes and coordinates are those of the bounding box in pixels; ``type`` is the type of the geometry."""

AGGREGATES = ("any", "all", "count", "sum", "min", "max", "mean")
FUNCTIONS: Mapping[str, tuple[Type, ...]] = {
    "abs": (Type.NUMBER,),
    "lower": (Type.TEXT,),
    "startswith": (Type.TEXT, Type.TEXT),
    "endswith": (Type.TEXT, Type.TEXT),
    "matches": (Type.TEXT, Type.TEXT),
}
"""Functions by name, with the types of their arguments; the text ones are methods too: ``key.startswith("a")``."""

RESULTS: Mapping[str, Type] = {
    "abs": Type.NUMBER,
    "lower": Type.TEXT,
    "startswith": Type.BOOLEAN,
    "endswith": Type.BOOLEAN,
    "matches": Type.BOOLEAN,
}
