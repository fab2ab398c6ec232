"""Masks as PNGs: beside each image one whose pixels are numbers of classes, and one that tells objects apart.

Read: ``images`` with ``masks``, or ``JPEGImages`` with ``SegmentationClass`` and ``SegmentationObject`` (Pascal VOC,
and CVAT's segmentation mask); ``instances`` beside ``masks`` tells objects of one class apart. The classes stand in
``labelmap.txt`` (``name:r,g,b::``) or ``classes.txt`` (``number name``, or a name a line from 0); without either a
class is called after its number. 0 and black are background, 255 in a mask of numbers is void. An image without a
mask is not labelled; a mask of background alone means reviewed and empty.

Written: ``images``, ``masks`` (8 or 16 bits, numbers of classes), ``instances`` (16 bits, numbers of objects) and
``classes.txt``. Every shape becomes a mask; where objects overlap, the later one is seen, and what it covers is
reported.

Source of the layouts: Everingham et al., "The Pascal Visual Object Classes Challenge" (2010); https://docs.cvat.ai.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from saccade.core.errors import FormatError, MediaError
from saccade.core.geometry import mask_from_array
from saccade.core.objects import Object
from saccade.core.report import Action, Report
from saccade.formats._common.geometry import refuse
from saccade.formats._common.index_mask import Painting, drop_beside_shape
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats._common.paths import Tree, stem_of, tree_of, whole_text
from saccade.formats._common.per_image import ByImage, ImagesOut, Out, SizeWH
from saccade.formats._common.text import read_text
from saccade.formats.base import Detection, Reading

_PAIRS = {"images": ("masks", "instances"), "JPEGImages": ("SegmentationClass", "SegmentationObject")}
_VOID = 255
_MOST_PIXELS = 1 << 28
_MOST_OBJECTS = 65_535
_COLOR = re.compile(r"(.*):(\d{1,3}),(\d{1,3}),(\d{1,3})(?::.*)?$")
Numbers = npt.NDArray[np.int64]


class Masks:
    name: ClassVar[str] = "masks"
    title: ClassVar[str] = "mask PNGs"
    holds: ClassVar[str] = "masks that do not overlap; labelled or not"

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and masks are read from a folder")
        tree = tree_of(source)
        found = next((mask for image in tree.each_image() if (mask := _mask_of(image, tree, 0))), "")
        if not found:
            return Detection(False, "there is no folder of masks beside one of images")
        if "JPEGImages" in tree.folders and any(tree.below("Annotations", (".xml",))):
            return Detection(False, f"there is {found}, but Annotations too: name the format to read the masks")
        return Detection(True, f"there is {found}")

    def read(self, source: Path, report: Report, **options: Any) -> Reading:
        """Open a folder."""
        parse_options(NoOptions, options, "masks")
        images = ByImage(source, report, containers=_PAIRS)
        table = _Classes(images.tree)
        names: set[str] = set()
        count = 0
        for image in images.index:
            mask = _mask_of(image, images.tree, 0)
            entry = images.entry(image) if mask else None
            if entry is not None:
                count += 1
                entry.raw = [mask, _mask_of(image, images.tree, 1)]
                names.update(_names_in(images.tree.path(mask), table))
        if not count:
            raise FormatError(f"There is no folder of masks beside one of images below {source}.")
        listed = [name for name in table.names.values() if name] or sorted(names)
        classes = [*listed, *sorted(names - set(listed))]

        def build(raw: list[str], key: str, size_wh: SizeWH) -> Iterator[Object]:
            mask, instances = images.tree.path(raw[0]), images.tree.path(raw[1]) if raw[1] else None
            return _objects(mask, instances, key, size_wh, table, report)

        return images.reading(classes, build, wanted=lambda image: bool(_pair_of(image)))

    def write(self, reading: Reading, destination: Path, report: Report, **options: Any) -> None:
        parse_options(NoOptions, options, "masks")
        _Writer(reading, destination, report).write()


def _pair_of(image: str) -> str:
    return next((part for part in image.split("/")[:-1] if part in _PAIRS), "")


def _mask_of(image: str, tree: Tree, which: int) -> str:
    """The mask (0) or the instances (1) of an image; "" where there are none."""
    folder = _pair_of(image)
    if not folder:
        return ""
    parts = image.split("/")
    at = parts.index(folder)
    path = stem_of("/".join([*parts[:at], _PAIRS[folder][which], *parts[at + 1 :]])) + ".png"
    return path if path in tree.files else ""


class _Classes:
    """The names of classes by number, and by colour where there is a label map."""

    def __init__(self, tree: Tree) -> None:
        self.names: dict[int, str] = {}
        self.colors: dict[int, str] = {}
        for file in ("labelmap.txt", "classes.txt"):
            found = next(tree.below("", (file,)), None)
            if found is not None:
                self._read(read_text(tree.path(found)), is_map=file == "labelmap.txt")
                break

    def _read(self, text: str, *, is_map: bool) -> None:
        lines = [whole_text(line.rstrip("\r")) for line in text.split("\n")]
        for at, line in enumerate(line for line in lines if line.strip() and not line.startswith("#")):
            color = _COLOR.fullmatch(line) if is_map else None
            number = re.match(r"(\d{1,5}) (.*)", line) if not is_map else None
            if color:
                code = int(color[2]) << 16 | int(color[3]) << 8 | int(color[4])
                self.colors[code] = "" if code == 0 else color[1]
                self.names[at] = "" if code == 0 else color[1]
            elif number:
                self.names[int(number[1])] = "" if number[1] == "0" else number[2]
            elif not is_map:
                self.names[at] = line if at or line.lower() not in ("background", "_background_") else ""

    def name(self, code: int, *, is_color: bool) -> str:
        """The class of a number or colour; "" for the background."""
        if is_color:
            return self.colors.get(code, "" if code == 0 else f"#{code:06x}")
        return self.names.get(code, "" if code in (0, _VOID) else f"class-{code}")


def read_numbers(path: Path) -> tuple[Numbers, bool]:
    """The numbers of a mask, or its colours as one number each, and which of the two; MediaError where it is none."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise MediaError(f"The mask '{path.name}' of {image.width} x {image.height} pixels is too large.")
            if image.mode in ("RGB", "RGBA"):
                colors = np.asarray(image.convert("RGB"), np.int64)
                return colors[..., 0] << 16 | colors[..., 1] << 8 | colors[..., 2], True
            return np.asarray(image.convert("L") if image.mode in ("1", "LA") else image).astype(np.int64), False
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise MediaError(f"The mask '{path.name}' cannot be read: {error}.") from None


def _names_in(path: Path, table: _Classes) -> set[str]:
    try:
        pixels, is_color = read_numbers(path)
    except MediaError:
        return set()  # reported when it is read
    return {name for code in np.unique(pixels).tolist() if (name := table.name(code, is_color=is_color))}


def _objects(
    mask: Path, instances: Path | None, key: str, size_wh: SizeWH, table: _Classes, report: Report
) -> Iterator[Object]:
    try:
        classes, is_color = read_numbers(mask)
        things = read_numbers(instances)[0] if instances else np.zeros_like(classes)
    except MediaError as error:
        report.add(Action.DROPPED, "mask that cannot be read", key=key, detail=str(error))
        return
    shape = (size_wh[1], size_wh[0]) if size_wh else classes.shape
    if classes.shape != shape or things.shape != shape:
        detail = f"{classes.shape[1]} x {classes.shape[0]}"
        report.add(Action.DROPPED, "mask of another size than its image", key=key, detail=detail)
        return
    # Instances of one number in two classes are two objects.
    pairs = np.unique(np.stack([things.ravel(), classes.ravel()], axis=1), axis=0)
    position = 0
    for thing, code in pairs.tolist():
        name = table.name(code, is_color=is_color)
        if name:
            position += 1
            yield Object(str(position), name, mask_from_array((things == thing) & (classes == code)))


class _Writer:
    def __init__(self, reading: Reading, destination: Path, report: Report) -> None:
        self._out = ImagesOut(reading, destination, report, reserved=_PAIRS)
        self._destination, self._report = destination, report
        self._ids = 0

    def write(self) -> None:
        for one in self._out:
            if one.objects is not None and one.size_wh is not None:
                self._masks(one)
        (self._destination / "masks").mkdir(exist_ok=True)
        if self._ids:
            self._report.add(Action.DROPPED, "ids of objects", detail=f"{self._ids} objects are numbered anew")
        lines = (f"{number + 1} {_line(name)}\n" for name, number in self._out.classes.numbers.items())
        (self._destination / "classes.txt").write_text("".join(lines), encoding="utf-8")

    def _masks(self, one: Out) -> None:
        from PIL import Image

        assert one.size_wh is not None
        painting = Painting(one.size_wh, one.key, self._report)
        for found in one.objects or ():
            painting.add(found)
        classes, things = np.zeros((2, *painting.numbers.shape), np.uint16)
        for position, (number, found) in enumerate(painting.seen(), 1):
            if position > _MOST_OBJECTS:
                refuse(found, one.key, self._report, f"an image can have {_MOST_OBJECTS} objects")
                continue
            self._ids += found.id != str(position)
            drop_beside_shape(found, one.key, self._report)
            if _line(found.class_name) != found.class_name:
                detail = repr(found.class_name)
                self._report.add(
                    Action.DROPPED, "line breaks in a class", key=one.key, object_id=found.id, detail=detail
                )
            pixels = painting.numbers == number
            classes[pixels] = self._out.classes.number(found.class_name) + 1
            things[pixels] = position
        for folder, numbers in (("masks", classes), ("instances", things)):
            path = self._destination / folder / f"{one.stem}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            small = folder == "masks" and numbers.max(initial=0) < _VOID
            Image.fromarray(numbers.astype(np.uint8) if small else numbers).save(path)


def _line(name: str) -> str:
    """The name of a class on one line."""
    return name.replace("\n", " ").replace("\r", " ")


FORMAT = Masks()
