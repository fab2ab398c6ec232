"""Conversion of dataset versions to the objects of other Python libraries, which are imported on use."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from saccade.core.errors import InvalidValueError, MissingExtraError
from saccade.core.geometry import mask_from_array, mask_to_array
from saccade.core.objects import Box, Mask, Object, Objects
from saccade.core.schema import Column, ImageRef, Kind


def to_pandas(version: Any, objects_column: str | None = None) -> Any:
    """Return a DataFrame; see ``DatasetVersion.to_pandas``."""
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("to_pandas", "notebook") from error
    if objects_column is None:
        names = version.schema.names
        rows = [(item.key, *(item[name] for name in names)) for item in version.items()]
        return pd.DataFrame(rows, columns=["key", *names]).set_index("key")
    _require_column(version, Kind.OBJECTS, objects_column)
    columns = ["key", "id", "class", "type", "x1", "y1", "x2", "y2", "area", "score", "track"]
    rows = [
        (
            item.key,
            obj.id,
            obj.class_name,
            obj.geometry.type,
            *obj.geometry.bounds_xyxy(),
            obj.geometry.area(),
            obj.score,
            obj.track,
        )
        for item in version.items([objects_column])
        for obj in item[objects_column] or ()
    ]
    return pd.DataFrame(rows, columns=columns)


def to_torch(version: Any, transform: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """Return a map-style dataset; see ``DatasetVersion.to_torch``."""
    try:
        from saccade.app.datasets.torch_dataset import TorchDataset
    except ImportError as error:
        raise MissingExtraError("to_torch", "train") from error
    return TorchDataset(version, transform)


def to_hf(version: Any) -> Any:
    """Return a Hugging Face dataset; see ``DatasetVersion.to_hf``."""
    try:
        import datasets as hf
    except ImportError as error:
        raise MissingExtraError("to_hf", "hf") from error
    features = hf.Features({"key": hf.Value("string")} | {c.name: _hf_feature(hf, c) for c in version.schema.columns})

    def rows() -> Iterator[dict[str, Any]]:
        for item in version.items():
            yield {"key": item.key} | {c.name: _hf_value(version, c, item[c.name]) for c in version.schema.columns}

    # In batches of 100, so that the images of few items are in memory at once.
    return hf.Dataset.from_generator(rows, features=features, writer_batch_size=100, fingerprint=_fingerprint(version))


def _fingerprint(version: Any) -> str:
    """Return a fingerprint for the cache of the library: a version never changes, but its name may be used again."""
    from saccade.core.digest import digest_bytes

    return digest_bytes(f"{version.ref} {version.info}".encode())[:32]


def _hf_feature(hf: Any, column: Column) -> Any:
    """Return the feature type of a column; references to files that are not images become their names."""
    objects = {
        "id": hf.Value("string"),
        "class": hf.Value("string"),
        "bbox": hf.List(hf.Value("float32"), length=4),
        "score": hf.Value("float32"),
    }
    features = {
        Kind.IMAGE: hf.Image(),
        Kind.LABEL: hf.ClassLabel(names=list(column.class_names)) if column.classes else hf.Value("string"),
        Kind.LABELS: hf.List(hf.Value("string")),
        Kind.EMBEDDING: hf.List(hf.Value("float32")),
        Kind.NUMBER: hf.Value("float64"),
        Kind.OBJECTS: hf.List(objects),
    }
    return features.get(column.kind, hf.Value("string"))


def _hf_value(version: Any, column: Column, value: Any) -> Any:
    match column.kind:
        case _ if value is None:
            pass
        case Kind.IMAGE:
            value = {"path": value.name, "bytes": _image_bytes(version, value)}
        case Kind.OBJECTS:
            value = [
                {"id": obj.id, "class": obj.class_name, "bbox": list(obj.geometry.bounds_xyxy()), "score": obj.score}
                for obj in value
            ]
        case Kind.LABELS | Kind.EMBEDDING:
            value = list(value)
        case Kind.VIDEO | Kind.FILE:
            value = value.name
        case Kind.TABLE:
            value = json.dumps(value)
    return value


def _image_bytes(version: Any, ref: ImageRef) -> bytes:
    """Return the file of an image as it is; a frame of a video as PNG."""
    from saccade.media.image import IMAGE_FORMATS, encode
    from saccade.media.loader import read_image

    if ref.frame is None and ref.format in IMAGE_FORMATS:
        content: bytes = version.read_media(ref)
        return content
    return encode(read_image(version, ref), "png")


def to_supervision(version: Any, objects_column: str | None = None) -> Any:
    """Return a ``DetectionDataset``; see ``DatasetVersion.to_supervision``."""
    try:
        from saccade.app.datasets.supervision_dataset import VersionDetections
    except ImportError as error:
        raise MissingExtraError("to_supervision", "notebook") from error
    column = _require_column(version, Kind.OBJECTS, objects_column)
    image_column = _require_column(version, Kind.IMAGE, None)
    images = {}
    annotations = {}
    for item in version.items([image_column.name, column.name]):
        if item[image_column.name] is not None:
            images[item.key] = item[image_column.name]
            annotations[item.key] = objects_to_detections(item[column.name] or (), column.class_names)
    return VersionDetections(version, list(column.class_names), images, annotations)


def objects_to_detections(objects: Objects, class_names: Sequence[str]) -> Any:
    """Return ``supervision.Detections``: bounding boxes, with masks if every object has one.

    Args:
        objects: the objects of one image.
        class_names: names of the classes; the index of a name is its class id.
    """
    import numpy as np
    import supervision as sv

    if not objects:
        return sv.Detections(np.empty((0, 4), np.float32), class_id=np.empty(0, np.int64))
    ids = {name: index for index, name in enumerate(class_names)}
    geometries = [obj.geometry for obj in objects]
    masks = [mask_to_array(geometry) for geometry in geometries if isinstance(geometry, Mask)]
    scores = [obj.score for obj in objects]
    return sv.Detections(
        np.array([geometry.bounds_xyxy() for geometry in geometries], np.float32),
        mask=np.stack(masks) if len(masks) == len(objects) else None,
        confidence=None if None in scores else np.array(scores, np.float32),
        class_id=np.array([ids[obj.class_name] for obj in objects], np.int64),
        data={"id": np.array([obj.id for obj in objects])},
    )


def from_supervision(detections: Any, class_names: Sequence[str] | None = None) -> Objects:
    """Convert ``supervision.Detections`` to objects: masks if there are any, else boxes.

    Args:
        detections: the detections of one image.
        class_names: names of the classes by class id; default: the ``class_name`` data of the detections.

    Returns:
        The objects, with the ``id`` data of the detections or the numbers 1, 2, … as ids.

    Raises:
        InvalidValueError: a detection has no class name.
    """
    names = detections.data.get("class_name")
    ids = detections.data.get("id")
    objects = []
    for index in range(len(detections)):
        class_id = None if detections.class_id is None else int(detections.class_id[index])
        if class_names is not None and class_id is not None and 0 <= class_id < len(class_names):
            name = class_names[class_id]
        elif class_names is None and names is not None:
            name = str(names[index])
        else:
            raise InvalidValueError(
                f"Detection {index} has no class name (class id {class_id}).", hint="Pass class_names=[…]."
            )
        mask = None if detections.mask is None else mask_from_array(detections.mask[index])
        objects.append(
            Object(
                str(index + 1) if ids is None else str(ids[index]),
                name,
                Box(*map(float, detections.xyxy[index])) if mask is None else mask,
                None if detections.confidence is None else float(detections.confidence[index]),
                None if detections.tracker_id is None else str(detections.tracker_id[index]),
            )
        )
    return tuple(objects)


def _require_column(version: Any, kind: Kind, name: str | None) -> Column:
    """Return a column by name, or the first of a kind.

    Raises:
        InvalidValueError: there is none, or it is of another kind.
    """
    columns: Sequence[Column] = version.schema.columns_of_kind(kind)
    for column in columns:
        if name in (None, column.name):
            return column
    names = ", ".join(column.name for column in columns) or "none"
    raise InvalidValueError(
        f"{version.ref} has no column {f'{name!r} ' if name else ''}of kind {kind}.",
        hint=f"Columns of this kind: {names}.",
    )
