"""Compare augmentation with torchvision.transforms.v2, alternating in one process.

    python benchmarks/augmentation.py --images 400

Both process the same decoded images with 20 boxes each on one thread, with the same operations: a random affine
(scale, translation, rotation) that moves the boxes, a horizontal flip, brightness, contrast, saturation and hue, and
boxes clipped at the border and dropped if little remains. Prints the time an image, the best of several rounds, and the
ratio of torchvision's time to ours.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import cv2
import numpy as np
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from saccade.models.preprocess import ImageArray
from saccade.models.spec import ComponentSpec
from saccade.training.augment import build_augmentations
from saccade.training.sample import IDENTITY, Sample

STEPS = (
    {"type": "affine", "scale": [0.7, 1.4], "translate": 0.1, "rotate": 10},
    {"type": "flip", "horizontal": 0.5},
    {"type": "color", "brightness": 0.2, "contrast": 0.2, "saturation": 0.3, "hue": 5},
)
TORCHVISION = v2.Compose(
    [
        v2.RandomAffine(10, (0.1, 0.1), (0.7, 1.4), interpolation=v2.InterpolationMode.BILINEAR, fill=114),
        v2.RandomHorizontalFlip(0.5),
        v2.ColorJitter(0.2, 0.2, 0.3, 5 / 360),
        v2.ClampBoundingBoxes(),
        v2.SanitizeBoundingBoxes(min_size=2),
    ]
)
Images = list[tuple[ImageArray, np.ndarray]]


def make_images(count: int, size_wh: tuple[int, int]) -> Images:
    """Create smooth random images with 20 boxes each."""
    random = np.random.default_rng(0)
    width, height = size_wh
    images = []
    for _ in range(count):
        small = random.integers(0, 255, (height // 16, width // 16, 3), dtype=np.uint8)
        low = random.uniform(0, 0.8, (20, 2)) * size_wh
        boxes = np.concatenate([low, low + random.uniform(0.05, 0.2, (20, 2)) * size_wh], axis=1)
        images.append((np.asarray(cv2.resize(small, size_wh), np.uint8), boxes))
    return images


def run_saccade(images: Images) -> None:
    """Apply Saccade's augmentations to every image."""
    steps = build_augmentations([ComponentSpec.model_validate(dict(step)) for step in STEPS])
    for number, (image, boxes) in enumerate(images):
        random = np.random.default_rng(number)
        size_wh = (image.shape[1], image.shape[0])
        sample = Sample(image, IDENTITY, size_wh, boxes, np.zeros(len(boxes), np.int64))
        for step in steps:
            sample = step(sample, random, lambda _: sample)  # noqa: B023  # none of the steps draws another
        sample.render()


def run_torchvision(images: Images) -> None:
    """Apply torchvision's transforms to every image."""
    for image, boxes in images:
        height, width = image.shape[:2]
        TORCHVISION(
            {
                "image": tv_tensors.Image(torch.from_numpy(image).permute(2, 0, 1)),
                "boxes": tv_tensors.BoundingBoxes(torch.from_numpy(boxes), format="XYXY", canvas_size=(height, width)),
                "labels": torch.zeros(len(boxes), dtype=torch.long),
            }
        )


def measure(work: Callable[[Images], None], images: Images) -> float:
    """Time a function in seconds."""
    start = time.perf_counter()
    work(images)
    return time.perf_counter() - start


def main() -> None:
    """Time both alternately."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, nargs=2, default=(416, 416), help="width and height")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    images = make_images(options.images, tuple(options.size))
    rounds = [(measure(run_saccade, images), measure(run_torchvision, images)) for _ in range(options.rounds)]
    best = [1000 * min(times) / options.images for times in zip(*rounds, strict=True)]
    result = {"saccade_ms": best[0], "torchvision_ms": best[1], "times_longer": best[1] / best[0]}
    if options.json:
        print(json.dumps(result))
    else:
        print(f"Saccade {best[0]:.2f} ms, torchvision {best[1]:.2f} ms an image: {best[1] / best[0]:.1f} times longer")


if __name__ == "__main__":
    main()
