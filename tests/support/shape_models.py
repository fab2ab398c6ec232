"""Pictures of coloured rectangles, in memory: what a small model can learn in seconds."""

from __future__ import annotations

import numpy as np

from saccade.core.digest import digest_bytes
from saccade.core.objects import Box, Object
from saccade.core.reader import Item, MemoryReader
from saccade.core.schema import ClassInfo, Column, ImageRef, Kind, Schema
from saccade.media.image import encode
from saccade.models.preprocess import ImageArray
from saccade.training.recipe import Recipe, parse_recipe

COLORS = {"red": (220, 30, 30), "blue": (30, 30, 220)}
SIDE = 96


def draw(seed: int, objects: int = 2) -> tuple[ImageArray, tuple[Object, ...]]:
    """A grey picture with rectangles on it."""
    random = np.random.default_rng(seed)
    pixels = np.full((SIDE, SIDE, 3), 120, np.uint8)
    found = []
    for number in range(objects):
        name = ("red", "blue")[int(random.integers(2))]
        x, y = random.integers(4, SIDE - 40), random.integers(4, SIDE - 40)
        width, height = random.integers(16, 32, 2)
        pixels[y : y + height, x : x + width] = COLORS[name]
        found.append(Object(str(number), name, Box(float(x), float(y), float(x + width), float(y + height))))
    return pixels, tuple(found)


def reader(train: int = 8, val: int = 4, objects: int = 2) -> MemoryReader:
    """A dataset of such pictures with boxes in ``objects`` and the first object's class in ``label``."""
    classes = tuple(ClassInfo(name) for name in COLORS)
    schema = Schema(
        (
            Column("image", Kind.IMAGE),
            Column("objects", Kind.OBJECTS, classes),
            Column("label", Kind.LABEL, classes),
            Column("split", Kind.TEXT),
        )
    )
    items, media = [], {}
    for number in range(train + val):
        pixels, found = draw(number, objects)
        data = encode(pixels, "png")
        ref = ImageRef(digest_bytes(data), len(data), f"{number}.png", SIDE, SIDE, "png")
        media[ref.digest] = data
        label = found[0].class_name if found else "red"
        split = "train" if number < train else "val"
        items.append(Item(str(number), {"image": ref, "objects": found, "label": label, "split": split}))
    return MemoryReader(schema, items, media)


def detector(*overrides: str) -> Recipe:
    """A small recipe of a detector."""
    return parse_recipe(
        {
            "name": "shapes",
            "data": {"dataset": "shapes"},
            "model": {
                "input": {"size": [96, 96]},
                "encoder": {"type": "csp", "widths": [8, 16, 24, 32], "depths": [1, 1, 1, 1]},
                "neck": {"type": "fpn", "channels": 16},
                "heads": {"objects": {"type": "dense_boxes", "channels": 16}},
            },
            "augment": [{"type": "mosaic"}, {"type": "affine"}, {"type": "flip"}, {"type": "color"}],
            "train": {"epochs": 3, "batch_size": 4, "precision": "fp32", "workers": 1},
        },
        overrides,
    )


def classifier(*overrides: str) -> Recipe:
    """A small recipe of a classifier."""
    return parse_recipe(
        {
            "name": "colours",
            "data": {"dataset": "shapes"},
            "model": {
                "input": {"size": [64, 64], "fit": "crop"},
                "encoder": {"type": "csp", "widths": [8, 16], "depths": [1, 1]},
                "heads": {"label": {"type": "classes", "dropout": 0.2}},
            },
            "augment": [{"type": "flip"}, {"type": "blur_noise"}],
            "train": {"epochs": 3, "batch_size": 4, "precision": "fp32", "workers": 2},
        },
        overrides,
    )
