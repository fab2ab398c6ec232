"""A COCO dataset of synthetic harbour images."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from saccade.core.errors import InvalidValueError
from saccade.core.objects import Objects, Polygon
from saccade.core.progress import NullProgress, Progress
from saccade.demo.synthetic.scene import THREADS, generate_scene
from saccade.demo.synthetic.ship_classes import CLASS_NAMES
from saccade.io.atomic import atomic_output_dir
from saccade.media.image import encode

_JPEG_QUALITY = 92


def write_dataset(
    folder: Path,
    scenes: int,
    images_per_scene: int,
    seed: int = 0,
    format: Literal["coco"] = "coco",
    progress: Progress | None = None,
    *,
    size_wh: tuple[int, int] = (640, 640),
    geometry: Literal["box", "polygon"] = "box",
) -> None:
    """Write a dataset of ``images/scene012_03.jpg`` … and ``annotations.json``, completely or not at all.

    The images of a scene share coast, colors and time of day, so a split must keep them together. The scene is in the
    file name, and in ``scene`` of each image entry.

    Args:
        folder: A folder that does not exist or is empty.
        scenes: The number of scenes.
        images_per_scene: The number of images of each scene.
        seed: The seed of the dataset; scene ``n`` is ``generate_scene(seed * 1000 + n)``.
        format: The format.
        progress: Advances by each image.
        size_wh: Width and height of the images.
        geometry: "polygon" writes outlines as segmentation beside the boxes.

    Raises:
        ConflictError: The folder is not empty.
        InvalidValueError: A number is out of range, or the format or geometry is unknown.
    """
    if format != "coco" or geometry not in ("box", "polygon"):
        raise InvalidValueError(
            f"Harbours are written as 'coco', with 'box' or 'polygon', not {format!r}, {geometry!r}."
        )
    if not 1 <= scenes <= 1000 or images_per_scene < 1 or seed < 0:
        raise InvalidValueError(
            f"A dataset of harbours needs 1 to 1000 scenes, at least 1 image of each, and a seed of at least 0, "
            f"not {scenes}, {images_per_scene} and {seed}."
        )
    progress = progress or NullProgress()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    with atomic_output_dir(folder) as output, ThreadPoolExecutor(THREADS) as executor:
        (output / "images").mkdir()
        progress.start("Generating harbours", scenes * images_per_scene)

        def write_images(number: int) -> list[tuple[str, Objects]]:
            images = []
            for view in range(images_per_scene):
                scene = generate_scene(seed * 1000 + number, size_wh, view=view, geometry=geometry)
                name = f"scene{number:03d}_{view:02d}.jpg"
                (output / "images" / name).write_bytes(encode(scene.image, "jpeg", _JPEG_QUALITY))
                images.append((name, scene.objects))
            return images

        try:
            # One thread generates all images of a scene, which share much of the work.
            for name, objects in chain.from_iterable(executor.map(write_images, range(scenes))):
                entry = {"id": len(images) + 1, "file_name": name, "width": size_wh[0], "height": size_wh[1]}
                images.append({**entry, "scene": name.partition("_")[0]})
                annotations += _annotations(objects, len(images), len(annotations) + 1)
                progress.advance(message=name)
        except BaseException:
            executor.shutdown(cancel_futures=True)
            raise
        categories = [{"id": number, "name": name} for number, name in enumerate(CLASS_NAMES, 1)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (output / "annotations.json").write_text(json.dumps(content), encoding="utf-8")
        progress.finish()


def _annotations(objects: Objects, image_id: int, first_id: int) -> list[dict[str, Any]]:
    annotations = []
    for number, obj in enumerate(objects, first_id):
        x1, y1, x2, y2 = obj.geometry.bounds_xyxy()
        annotation = {
            "id": number,
            "image_id": image_id,
            "category_id": CLASS_NAMES.index(obj.class_name) + 1,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": obj.geometry.area(),
            "iscrowd": 0,
            "attributes": dict(obj.attributes),
        }
        if isinstance(obj.geometry, Polygon):
            annotation["segmentation"] = [
                [value for point in part[0] for value in point] for part in obj.geometry.parts
            ]
        annotations.append(annotation)
    return annotations
