"""A folder of made harbour pictures as a dataset, labelled by construction."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, groupby
from pathlib import Path
from typing import Any, Literal

from saccade.core.errors import ConflictError, InvalidValueError
from saccade.core.objects import Objects, Polygon
from saccade.core.progress import Progress, Silent
from saccade.demo.synthetic.fleet import CLASS_NAMES
from saccade.demo.synthetic.scene import THREADS, Outline, make_scene
from saccade.media.image import encode

_QUALITY = 92


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
    """Write made harbours as a COCO dataset: ``images/scene012_03.jpg`` … and ``annotations.json``.

    The pictures of one scene share coast, colours and time of day, so a split must keep them together; the scene is in
    the file name and in the ``scene`` of each image entry. All or nothing: the folder appears when all is written.

    Args:
        folder: must not exist yet, or be empty.
        seed: of the dataset; scene ``n`` is ``make_scene(seed * 1000 + n)``.
        geometry: "polygon" writes outlines as segmentation beside the boxes.

    Raises:
        ConflictError: the folder holds something. InvalidValueError: wrong numbers or an unknown format.
    """
    if format != "coco" or geometry not in ("box", "polygon"):
        raise InvalidValueError(
            f"Harbours are written as 'coco', with 'box' or 'polygon', not {format!r}, {geometry!r}."
        )
    if not 1 <= scenes <= 1000 or images_per_scene < 1 or seed < 0:
        raise InvalidValueError(
            f"A dataset of harbours needs 1 to 1000 scenes, an image or more of each, and a seed from 0, "
            f"not {scenes}, {images_per_scene} and {seed}."
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConflictError(f"'{folder}' is there already and not empty.", hint="Name a new folder.")
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        (part / "images").mkdir(parents=True)
        names = [(f"scene{n:03d}", seed * 1000 + n, view) for n in range(scenes) for view in range(images_per_scene)]
        _write(part, names, progress or Silent(), size_wh, geometry)
        if folder.exists():
            folder.rmdir()
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _write(
    part: Path,
    names: list[tuple[str, int, int]],
    progress: Progress,
    size_wh: tuple[int, int],
    geometry: Outline,
) -> None:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    progress.start("Making harbour scenes", len(names))

    def make(views: list[tuple[str, int, int]]) -> list[tuple[str, str, Objects]]:
        made = []
        for scene_name, scene_seed, view in views:
            scene = make_scene(scene_seed, size_wh, view=view, geometry=geometry)
            name = f"{scene_name}_{view:02d}.jpg"
            (part / "images" / name).write_bytes(encode(scene.image, "jpeg", _QUALITY))
            made.append((scene_name, name, scene.objects))
        return made

    # One thread makes all views of a scene, which share much of the work.
    by_scene = [list(views) for _, views in groupby(names, key=lambda name: name[1])]
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="saccade-harbour")
    try:
        for scene_name, name, objects in chain.from_iterable(pool.map(make, by_scene)):
            image = {"id": len(images) + 1, "file_name": name, "width": size_wh[0], "height": size_wh[1]}
            images.append({**image, "scene": scene_name})
            annotations += _annotations(objects, len(images), len(annotations) + 1)
            progress.advance(note=name)
    finally:
        pool.shutdown(cancel_futures=True)
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASS_NAMES, 1)]
    whole = {"images": images, "annotations": annotations, "categories": categories}
    (part / "annotations.json").write_text(json.dumps(whole), encoding="utf-8")
    progress.finish()


def _annotations(objects: Objects, image_id: int, first_id: int) -> list[dict[str, Any]]:
    rows = []
    for number, one in enumerate(objects, first_id):
        x1, y1, x2, y2 = one.geometry.bounds_xyxy()
        rows.append(
            {
                "id": number,
                "image_id": image_id,
                "category_id": CLASS_NAMES.index(one.class_name) + 1,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": one.geometry.area(),
                "iscrowd": 0,
                "attributes": dict(one.attributes),
            }
            | ({"segmentation": _rings(one.geometry)} if isinstance(one.geometry, Polygon) else {})
        )
    return rows


def _rings(polygon: Polygon) -> list[list[float]]:
    return [[number for point in part[0] for number in point] for part in polygon.parts]
