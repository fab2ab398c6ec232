"""Parquet files of Hugging Face: their schema, and the features in their metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from saccade.formats._common.names import SPLIT
from saccade.formats._common.paths import replace_surrogates
from saccade.formats.huggingface.rows import METADATA


def find_image_column(path: Path) -> str:
    """Return the column of a Parquet file that contains images; "" if there is none."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        schema = parquet.read_schema(path)
    except (OSError, pa.ArrowException):
        return ""
    structs = (field for field in schema if pa.types.is_struct(field.type))
    return next((field.name for field in structs if field.type.get_field_index("bytes") >= 0), "")


def read_class_names(schema: Any) -> tuple[list[str], list[str]]:
    """Return the class names of objects and of image labels from the features that Hugging Face stores in a schema."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return _find_names(features.get("objects")), _find_names(features.get("label"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return [], []


def _find_names(feature: Any) -> list[str]:
    """Return the names of the first ClassLabel inside a feature, which may be nested."""
    if isinstance(feature, dict) and isinstance(feature.get("names"), list):
        return [replace_surrogates(str(name)) for name in feature["names"]]
    if isinstance(feature, list):
        inner_features = feature
    else:
        inner_features = list(feature.values()) if isinstance(feature, dict) else []
    return next((names for inner in inner_features if (names := _find_names(inner))), [])


def table_schema() -> Any:
    """Return the Arrow schema of the Parquet files that Saccade writes."""
    import pyarrow as pa

    texts = pa.list_(pa.string())
    boxes = pa.list_(pa.list_(pa.float64()))
    objects = pa.struct(
        {
            "id": texts,
            "bbox": boxes,
            "box_xyxy": boxes,
            "category": texts,
            "score": pa.list_(pa.float64()),
            "track": texts,
            "attributes": texts,
        }
    )
    columns = {
        "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        "objects": objects,
        "label": pa.string(),
        METADATA: pa.string(),
        SPLIT: pa.string(),
    }
    features = {"image": {"_type": "Image"}}
    return pa.schema(columns).with_metadata({"huggingface": json.dumps({"info": {"features": features}})})
