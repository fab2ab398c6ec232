"""Predictions of a model, as the start of a label set: a dataset version whose objects people accept or reject."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
import pyarrow as pa

from saccade.core.errors import InvalidValueError
from saccade.core.objects import Object, Objects
from saccade.core.schema import KEY, ClassInfo, Column, Kind
from saccade.store.arrow.codec import decode_batch
from saccade.store.datasets.version import DatasetVersion

MODEL_PREFIX = "model:"
_MAX_CACHED_ITEMS = 256


@dataclass(frozen=True, slots=True)
class PredictionSource:
    """Where the predictions of a label set come from.

    Attributes:
        ref: exact reference of the version with the predictions.
        column: its column of objects.
        model: reference of the model; that of the version if it does not name one.
        min_score: objects with a lower score are left out.
        classes: the id in the label set of each class, by its name in the predictions.
    """

    ref: str
    column: str
    model: str
    min_score: float
    classes: Mapping[str, str]


def check_min_score(min_score: float) -> None:
    """Check a confidence threshold.

    Raises:
        InvalidValueError: it is not a number from 0 to 1.
    """
    if not (math.isfinite(min_score) and 0 <= min_score <= 1):
        raise InvalidValueError(f"The minimum score is a number from 0 to 1, not {min_score}.")


def prediction_column(version: DatasetVersion, preferred: str) -> Column:
    """Return the column with the predicted objects: the only one of that kind, or the one that is named.

    Args:
        version: the version with the predictions.
        preferred: the column that is labelled.

    Raises:
        InvalidValueError: there is no such column, or more than one.
    """
    columns = {column.name: column for column in version.schema.columns_of_kind(Kind.OBJECTS)}
    if preferred in columns:
        return columns[preferred]
    if len(columns) == 1:
        return next(iter(columns.values()))
    if not columns:
        raise InvalidValueError(
            f"{version.ref} has no column of objects, and so no predictions to correct.",
            hint="Name a dataset that 'saccade predict --dataset' wrote with a detector.",
        )
    raise InvalidValueError(
        f"{version.ref} has the columns {', '.join(columns)}, and none named '{preferred}'.",
        hint="Label the column whose predictions you want to correct.",
    )


def used_classes(version: DatasetVersion, column: Column) -> list[ClassInfo]:
    """Return the classes that predictions have. A model may know many more."""
    counts = version.stats()["columns"][column.name]["classes"]
    return [info for info in column.classes if counts.get(info.name)]


def model_of(version: DatasetVersion) -> str:
    """Return the reference of the model that wrote a version, by its lineage; that of the version without one."""
    models = [ref.removeprefix(MODEL_PREFIX) for ref in version.info.inputs if ref.startswith(MODEL_PREFIX)]
    return models[0] if models else version.ref


class Predictions:
    """The predicted objects by item. The version never changes, so everything is read once. Thread-safe.

    Args:
        version: the version with the predictions.
        source: what is taken from it.
    """

    def __init__(self, version: DatasetVersion, source: PredictionSource) -> None:
        self.version = version
        self.source = source
        self._lock = Lock()
        self._items: OrderedDict[str, Objects] = OrderedDict()

    def count_items(self, keys: Sequence[str]) -> int:
        """Return how many of some items are in the version."""
        return int(np.count_nonzero(self.version.snapshot.index.rows_for_keys(pa.array(keys, pa.string())) >= 0))

    def objects(self, key: str) -> Objects:
        """Return the predicted objects of an item, without those below the minimum score."""
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
                return self._items[key]
        rows = self.version.snapshot.find_by_key(key, [KEY, self.source.column])
        items = decode_batch(rows, self.version.schema.select([self.source.column]).columns)
        objects = self._accurate(items[0].values.get(self.source.column)) if items else ()
        with self._lock:
            self._items[key] = objects
            while len(self._items) > _MAX_CACHED_ITEMS:
                self._items.popitem(last=False)
        return objects

    def objects_of(self, keys: Sequence[str]) -> dict[str, Objects]:
        """Return the predicted objects of items by key, without items that the version does not have."""
        rows = self.version.snapshot.index.rows_for_keys(pa.array(keys, pa.string()))
        existing = [key for key, row in zip(keys, rows.tolist(), strict=True) if row >= 0]
        column = self.source.column
        items = self.version.items([column], existing) if existing else ()
        return {item.key: self._accurate(item.values.get(column)) for item in items}

    def _accurate(self, objects: Iterable[Object] | None) -> Objects:
        """Return the objects that reach the minimum score; those without a score, too."""
        return tuple(obj for obj in objects or () if obj.score is None or obj.score >= self.source.min_score)
