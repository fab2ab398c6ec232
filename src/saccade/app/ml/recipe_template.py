"""Suggest a starter recipe for a dataset."""

from __future__ import annotations

from saccade.app.datasets.splits import SPLIT
from saccade.core.errors import InvalidValueError
from saccade.core.schema import Kind
from saccade.store.datasets.version import DatasetVersion

_VALIDATION_SPLITS = ("val", "valid", "validation", "dev", "test")
_DETECTOR_TEMPLATE = """\
model:
  input: {{size: [416, 416]}}
  encoder: {{type: csp, widths: [32, 64, 128, 192], depths: [1, 2, 2, 1]}}
  neck: {{type: fpn, channels: 64}}
  heads:
    {column}: {{type: dense_boxes, channels: 64}}
augment:
  - {{type: flip, horizontal: 0.5}}
  - {{type: affine, scale: [0.75, 1.35], translate: 0.1}}
  - {{type: color, brightness: 0.2, contrast: 0.2}}
train:
  epochs: 15
  batch_size: 8
  optimizer: {{type: AdamW, lr: 0.003}}
  schedule: {{type: cosine}}
  ema: 0.99
  validate_every: 5
"""
_CLASSIFIER_TEMPLATE = """\
model:
  input: {{size: [128, 128], fit: crop}}
  encoder: {{type: csp}}
  heads:
    {column}: {{type: classes, dropout: 0.1, label_smoothing: 0.1}}
augment:
  - {{type: affine, scale: [0.8, 1.25], rotate: 10}}
  - {{type: flip, horizontal: 0.5}}
  - {{type: color}}
train:
  epochs: 40
  batch_size: 32
  optimizer: {{type: AdamW, lr: 0.002}}
  schedule: {{type: one_cycle}}
  early_stop: {{patience: 10}}
"""


def suggest_recipe(version: DatasetVersion) -> str:
    """Return a recipe as YAML: a detector if the dataset has objects, or a classifier if its images have labels.

    Raises:
        InvalidValueError: There are no images, objects or labels, or no splits to train and validate on.
    """
    schema = version.schema
    if not schema.columns_of_kind(Kind.IMAGE):
        raise InvalidValueError(f"{version.ref} has no images to train on.")
    column = next(iter(schema.columns_of_kind(Kind.OBJECTS, Kind.LABEL)), None)
    if column is None:
        raise InvalidValueError(f"{version.ref} has no objects or labels to train on.")
    splits = [name for name in version.stats()["splits"] if name] if SPLIT in schema else []
    validation = next((name for name in _VALIDATION_SPLITS if name in splits), None)
    train = next((name for name in ("train", "training") if name in splits), None)
    if validation is None or train is None:
        raise InvalidValueError(
            f"{version.ref} has no training and validation splits.",
            hint="Assign items to the splits train and val, or import it with a split.",
        )
    data = f"name: {version.name}-{column.name}\ndata:\n  dataset: {version.name}\n"
    data += f"  train: {train}\n  validate: {validation}\n"
    if schema.first(Kind.IMAGE).name != "image":
        data += f"  image: {schema.first(Kind.IMAGE).name}\n"
    template = _DETECTOR_TEMPLATE if column.kind is Kind.OBJECTS else _CLASSIFIER_TEMPLATE
    return data + template.format(column=column.name)
