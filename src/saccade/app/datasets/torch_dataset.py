"""A dataset version as a map-style PyTorch dataset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from torchvision import tv_tensors

from saccade.core.reader import Item
from saccade.core.schema import Column, ImageRef, Kind
from saccade.media.loader import read_image


class TorchDataset(Dataset[Any]):
    """Samples are dicts by column, plus ``key``.

    Images are uint8 ``tv_tensors.Image`` of (3, height, width). Objects are dicts of ``boxes`` (``BoundingBoxes``, xyxy
    in pixels) and ``labels`` (int64 class indices), None if the item is not labelled. A label is its class index, -1 if
    it is missing. Other values are as in the item.
    """

    def __init__(self, version: Any, transform: Callable[[dict[str, Any]], Any] | None = None) -> None:
        self.version = version
        self.transform = transform

    def __len__(self) -> int:
        return len(self.version)

    def __getitem__(self, position: int) -> Any:
        item = self.version[position]
        size_wh = next(
            ((value.width, value.height) for value in item.values.values() if isinstance(value, ImageRef)), (0, 0)
        )
        sample: dict[str, Any] = {"key": item.key}
        for column in self.version.schema.columns:
            sample[column.name] = self._convert(column, item, size_wh)
        return sample if self.transform is None else self.transform(sample)

    def _convert(self, column: Column, item: Item, size_wh: tuple[int, int]) -> Any:
        value: Any = item[column.name]
        match column.kind:
            case Kind.LABEL:
                return -1 if value is None else column.class_names.index(value)
            case _ if value is None:
                return None
            case Kind.IMAGE:
                pixels = np.ascontiguousarray(read_image(self.version, value).transpose(2, 0, 1))
                return tv_tensors.Image(torch.from_numpy(pixels))
            case Kind.EMBEDDING:
                return torch.tensor(value, dtype=torch.float32)
            case Kind.OBJECTS:
                boxes = torch.tensor([obj.geometry.bounds_xyxy() for obj in value], dtype=torch.float32).reshape(-1, 4)
                indices = [column.class_names.index(obj.class_name) for obj in value]
                return {
                    "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(size_wh[1], size_wh[0])),
                    "labels": torch.tensor(indices, dtype=torch.int64),
                }
        return value
