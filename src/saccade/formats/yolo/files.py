"""The class names, splits, images and label files of a YOLO source."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from saccade.core.errors import FormatError
from saccade.core.report import ConversionReport, FindingType
from saccade.formats._common.encoding import read_head
from saccade.formats._common.paths import (
    SPLIT_NAMES,
    SourceTree,
    escapes_root,
    is_image_name,
    is_printable,
    normalize_path,
    replace_surrogates,
    strip_extension,
)
from saccade.formats._common.spill import SpillDict
from saccade.formats._common.text import read_text

NAME_FILES = ("classes.txt", "obj.names", "names.txt", "_darknet.labels")
LABEL_FOLDERS = frozenset({"labels", "label", "annotations", "annotation", "labels_txt", "txt"})
"""Names of folders of label files, in lower case."""
IMAGE_FOLDERS = frozenset({"images", "image", "imgs", "img", "jpegimages"})
"""Names of folders of images, in lower case, beside which a folder of label files may lie."""
_HAS_NAMES = re.compile(r"^[\"']?names[\"']?\s*:|[{,]\s*names\s*:", re.MULTILINE)
_MAX_CLASSES = 100_000
_EMPTY_VALUES = ("", "~", "null")
# Names of the splits in data.yaml, and the other word in use for each.
_YAML_SPLITS = (("train", "training"), ("val", "valid"), ("test", "testing"))
_DARKNET_SPLITS = (("train", "train"), ("val", "valid"), ("test", "test"))


class _Loader(yaml.SafeLoader):
    """A safe loader that reads all plain values as text, so that classes may be called ``no`` or ``1.0``."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - the name and type are PyYAML's


def load_yaml(path: Path) -> dict[str, Any]:
    """Load the mapping in a YAML file, with all values as text.

    Raises:
        FormatError: if the file is no YAML, or no mapping.
    """
    try:
        data = yaml.load(read_text(path), Loader=_Loader)  # noqa: S506 - _Loader is a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        is_too_deep = isinstance(error, RecursionError)
        reason = "it is nested too deeply" if is_too_deep else str(error).replace("\n", " ")
        raise FormatError(f"{path} is not YAML that can be read safely: {reason}.") from None
    if not isinstance(data, dict):
        raise FormatError(f"{path} is not a mapping.", hint="Expected names: and train: in data.yaml.")
    return data


def find_data_yaml(source: Path) -> Path | None:
    """Return the data.yaml of a source, or else a YAML file with ``names:``."""
    if source.is_file():
        return source if source.suffix.lower() in (".yaml", ".yml") else None
    paths = sorted((*source.glob("*.yaml"), *source.glob("*.yml")), key=lambda path: (path.stem != "data", path.name))
    for path in paths:
        is_inside = path.resolve().is_relative_to(source.resolve()) and path.is_file()
        if is_inside and _HAS_NAMES.search(read_head(path, 1 << 20)):
            return path
    return None


@dataclass
class SplitImages:
    """The images of one split.

    Attributes:
        images: the path that becomes the key, by the path in the tree.
    """

    split: str | None
    images: SpillDict[str] = field(default_factory=SpillDict)

    def add(self, image: str, key_path: str) -> None:
        if image not in self.images:
            self.images[image] = key_path


@dataclass
class YoloLayout:
    """The content of a source.

    Attributes:
        names: names of the classes, or None if no file gives them.
        keypoints_shape: number of keypoints, and 2 or 3 numbers for each.
        task: the task, if our own writer stated it.
    """

    names: list[str] | None
    splits: list[SplitImages]
    has_splits: bool
    keypoints_shape: tuple[int, int] | None = None
    keypoint_names: tuple[str, ...] = ()
    task: str = ""


def find_layout(source: Path, tree: SourceTree, report: ConversionReport) -> YoloLayout:
    """Return the layout from data.yaml, from darknet's obj.data, or from the folders alone.

    Raises:
        FormatError: if data.yaml cannot be read.
    """
    if (path := find_data_yaml(source)) is not None:
        return _yaml_layout(path, tree, report)
    data = next((file for file in tree.files if file.endswith(".data")), None)
    if data is not None:
        return _darknet_layout(tree, data, report)
    return _folder_layout(tree, _read_names_file(tree, report))


def _read_names_file(tree: SourceTree, report: ConversionReport) -> list[str] | None:
    for name in NAME_FILES:
        for file in tree.files:
            if file.rsplit("/", 1)[-1] == name:
                return _fill_blank_names(read_names(tree.path(file)), report)
    return None


def read_names(path: Path) -> list[str]:
    """Read a list of classes: a name a line, by whose number a class is meant, so that blank lines count too."""
    names = [line.strip() for line in read_text(path).split("\n")]
    while names and not names[-1]:
        names.pop()
    return [replace_surrogates(name) for name in names]


def _non_empty_lines(path: Path) -> list[str]:
    return [line.strip() for line in read_text(path).split("\n") if line.strip()]


def _yaml_layout(path: Path, tree: SourceTree, report: ConversionReport) -> YoloLayout:
    data = load_yaml(path)
    extra = data.get("saccade")
    layout = YoloLayout(_class_names(data, report), [], True)
    layout.keypoints_shape = _keypoints_shape(data.get("kpt_shape"))
    split_values: list[tuple[Any, Any]]
    if isinstance(extra, dict) and isinstance(extra.get("folders"), list):
        folders = [entry for entry in extra["folders"] if isinstance(entry, dict)]
        layout.has_splits = extra.get("has_splits") == "true"
        layout.task = str(extra.get("task", ""))
        layout.keypoint_names = _texts(extra.get("keypoints"))
        split_values = [(entry.get("split"), entry.get("path")) for entry in folders]
    else:
        split_values = [(split, data.get(split) or data.get(alias)) for split, alias in _YAML_SPLITS]
    base = data["path"] if isinstance(data.get("path"), str) else ""
    findings = ConversionReport()
    finder = _SplitFinder(tree, findings)
    for split, values in split_values:
        images = SplitImages(split)
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, str) and value not in _EMPTY_VALUES:
                finder.add(images, value, base)
        if images.images or isinstance(extra, dict):
            layout.splits.append(images)
    if not any(images.images for images in layout.splits) and not isinstance(extra, dict):
        by_folder = _folder_layout(tree, layout.names)
        if any(images.images for images in by_folder.splits):
            for finding in findings:
                report.add(FindingType.WARNING, "split of data.yaml that is not in the source", detail=finding.detail)
            reason = "images that data.yaml does not name, found by their folders"
            report.add(FindingType.WARNING, reason, detail=path.name)
            layout.splits = by_folder.splits
            layout.has_splits = by_folder.has_splits
            return layout
    for finding in findings:
        report.add(*finding[:2], key=finding.key, object_id=finding.object_id, detail=finding.detail)
    return layout


def _texts(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else []
    return tuple(replace_surrogates(text) for text in values if isinstance(text, str))


def _class_names(data: Mapping[str, Any], report: ConversionReport) -> list[str]:
    raw = data.get("names")
    if isinstance(raw, list):
        names = [_text(name) for name in raw]
    elif isinstance(raw, dict):
        try:
            by_number = {int(number): _text(name) for number, name in raw.items()}
        except ValueError:
            raise FormatError(f"The names in data.yaml need whole numbers, not {list(raw)[:5]}.") from None
        if any(not 0 <= number < _MAX_CLASSES for number in by_number):
            raise FormatError("The numbers of the names in data.yaml must lie in 0 to 99999.")
        names = [by_number.get(number, f"class {number}") for number in range(max(by_number, default=-1) + 1)]
        for number in set(range(len(names))) - by_number.keys():
            report.add(FindingType.INFERRED, "name of a class that data.yaml leaves out", detail=names[number])
    else:
        raise FormatError("data.yaml needs 'names': a list, or names by number.", hint="Check the file.")
    stated_count = data.get("nc")
    if isinstance(stated_count, str) and stated_count != str(len(names)):
        detail = f"nc is {stated_count}, names {len(names)}"
        report.add(FindingType.WARNING, "number of classes that disagrees", detail=detail)
    return _make_unique(names, report)


def _text(name: Any) -> str:
    # Lists and mappings with aliases can be endlessly large as text.
    if not isinstance(name, str):
        raise FormatError("The names in data.yaml must be text, not lists or mappings.")
    return replace_surrogates(name)


def _fill_blank_names(names: list[str], report: ConversionReport) -> list[str]:
    """Name the classes of blank lines by their numbers, and make all names unique."""
    filled = [name or f"class {number}" for number, name in enumerate(names)]
    if blank := [name for name, stated in zip(filled, names, strict=True) if not stated]:
        report.add(FindingType.WARNING, "blank line in the list of classes", detail=", ".join(blank[:20]))
    return _make_unique(filled, report)


def _make_unique(names: list[str], report: ConversionReport) -> list[str]:
    unique: dict[str, None] = {}
    for number, name in enumerate(names):
        candidate = name or f"class {number}"
        while candidate in unique:
            candidate = f"{candidate} ({number})"
        if candidate != name:
            detail = f"{name!r} to {candidate!r}"
            report.add(FindingType.REPAIRED, "name of a class that is empty or repeated", detail=detail)
        unique[candidate] = None
    return list(unique)


def _keypoints_shape(value: Any) -> tuple[int, int] | None:
    if not isinstance(value, list) or len(value) != 2:
        return None
    if not all(isinstance(part, str) and part.isdecimal() for part in value):
        return None
    count = int(value[0])
    dimensions = int(value[1])
    return (count, dimensions) if count > 0 and dimensions in (2, 3) else None


class _SplitFinder:
    """Finds the folders and lists that data.yaml or obj.data name, inside the source only."""

    def __init__(self, tree: SourceTree, report: ConversionReport) -> None:
        self._tree = tree
        self._report = report

    def add(self, images: SplitImages, value: str, base: str) -> None:
        """Add the images of one folder, list or single file.

        Args:
            value: the path of the folder or file.
            base: the value of ``path:`` in data.yaml.
        """
        for path in self._interpretations(value, base):
            folder = self._tree.find_folder(path)
            if folder is not None:
                self._add_folder(images, folder)
                return
            file = self._tree.find(path)
            if file is not None:
                if is_image_name(file):
                    images.add(file, file.rsplit("/", 1)[-1])
                else:
                    self._add_list(images, file)
                return
        reason = "folder of a split that is not in the source"
        self._report.add(FindingType.SKIPPED, reason, detail=f"{images.split}: {value!r}")

    def _interpretations(self, value: str, base: str) -> list[str]:
        """Return what a path may mean.

        It lies below ``path:``, below the source, or below it without a leading '..'. An absolute path, or one below an
        absolute ``path:``, is that of another computer: its longest end that exists here counts.
        """
        without_parents = re.sub(r"^(\.\./)+", "", value.replace("\\", "/"))
        below_base = [f"{base}/{value}"] if base and not escapes_root(base) else []
        paths = [*below_base, value, without_parents]
        # Exports name the folder of the other word for validation than they have.
        paths += [_with_other_word(path) for path in paths]
        absolute = value if escapes_root(value) else f"{base}/{value}"
        if ".." not in absolute.replace("\\", "/").split("/"):
            parts = normalize_path(absolute).split("/")
            for start in range(1, len(parts)):
                end = "/".join(parts[start:])
                paths += [end, _with_other_word(end)]
        return [normalize_path(path) for path in paths if not escapes_root(path) and is_printable(path)]

    def _add_folder(self, images: SplitImages, folder: str) -> None:
        for image in self._tree.iter_images(folder):
            images.add(image, image[len(folder) + 1 :] if folder else image)

    def _add_list(self, images: SplitImages, file: str) -> None:
        folder = file.rpartition("/")[0]
        for line in _non_empty_lines(self._tree.path(file)):
            paths = (self._tree.find(path) for path in _line_paths(line, folder))
            path = next((path for path in paths if path is not None), None)
            if path is not None and is_image_name(path):
                images.add(path, key_path(path, images.split))
            else:
                is_outside = escapes_root(line) or self._tree.links_outside(normalize_path(f"{folder}/{line}"))
                reason = "file name that leads outside the source" if is_outside else "image file missing"
                self._report.add(FindingType.SKIPPED, reason, detail=repr(line))


def _line_paths(line: str, folder: str) -> Iterator[str]:
    """Iterate over what a line of a list of images may mean: of an absolute path, its ends, the longest first."""
    unified = line.replace("\\", "/")
    if ".." in unified.split("/"):
        return
    parts = normalize_path(unified).split("/")
    if escapes_root(line):
        # One part alone, the name, would match an image of any folder.
        yield from ("/".join(parts[start:]) for start in range(1, len(parts) - 1))
        return
    yield normalize_path(f"{folder}/{line}")
    yield "/".join(parts)
    yield "/".join(parts[1:])


def _with_other_word(path: str) -> str:
    words = {"val": "valid", "valid": "val", "validation": "val"}
    return "/".join(words.get(part, part) for part in path.split("/"))


def key_path(image: str, split: str | None) -> str:
    """Return the path of an image below its folder of images, without the folder of its split."""
    parts = image.split("/")
    if "images" in parts[:-1]:
        index = len(parts) - 1 - parts[::-1].index("images")
        parts = parts[index + 1 :] if len(parts) - index > 1 else parts
    if len(parts) > 1 and parts[0] == split:
        parts = parts[1:]
    return "/".join(parts)


def _darknet_layout(tree: SourceTree, file: str, report: ConversionReport) -> YoloLayout:
    pairs = (line.partition("=") for line in _non_empty_lines(tree.path(file)))
    data = {name.strip(): value.strip() for name, _, value in pairs}
    names_file = normalize_path(data.get("names", ""))
    # darknet's paths begin with the name of a folder around the source, such as "data/".
    candidates = (names_file, names_file.partition("/")[2])
    name_files = (tree.find(candidate) for candidate in candidates)
    names = next((read_names(tree.path(name_file)) for name_file in name_files if name_file is not None), None)
    layout = YoloLayout(_fill_blank_names(names, report) if names else _read_names_file(tree, report), [], True)
    finder = _SplitFinder(tree, report)
    for split, word in _DARKNET_SPLITS:
        if value := data.get(word):
            images = SplitImages(split)
            path = normalize_path(value)
            without_first_part = path.partition("/")[2]
            is_shortened = without_first_part in tree.files and path not in tree.files
            finder.add(images, without_first_part if is_shortened else value, "")
            layout.splits.append(images)
    return layout


def _folder_layout(tree: SourceTree, names: list[str] | None) -> YoloLayout:
    splits: dict[str | None, SplitImages] = {}
    # Images that a link also leads to, such as from images/, are those below the link.
    linked = tuple(f"{folder}/" for folder in tree.linked_folders())
    for image in tree.iter_images():
        if image.startswith(linked):
            continue
        folders = image.split("/")[:-1]
        split = next((folder for folder in folders[:2] if folder in SPLIT_NAMES), None)
        if split not in splits:
            splits[split] = SplitImages(split)
        if split is not None and image.startswith(f"{split}/"):
            splits[split].add(image, key_path(image[len(split) + 1 :], None))
        else:
            splits[split].add(image, key_path(image, split))
    return YoloLayout(names, list(splits.values()), any(splits))


def label_path(image: str) -> str:
    """Return the path of an image's labels: with ``labels`` for the last ``images`` in its path, or beside it.

    >>> label_path("images/train/1.jpg")
    'labels/train/1.txt'
    """
    parts = strip_extension(image).split("/")
    folders = parts[:-1]
    if "images" in folders:
        parts[len(folders) - 1 - folders[::-1].index("images")] = "labels"
    return "/".join(parts) + ".txt"


class LabelFinder:
    """Finds the label files of images: in ``labels``, beside the image, or in another folder that is in use for them.

    The names of folders may differ in case, and those of files in their Unicode normal form.
    """

    def __init__(self, tree: SourceTree) -> None:
        self._tree = tree
        # Label folders by the folder beside which they lie.
        self._beside: dict[str, list[str]] = {}
        for folder in tree.folders:
            parent, _, name = folder.rpartition("/")
            if name.lower() in LABEL_FOLDERS or is_dota_folder(name):
                self._beside.setdefault(parent, []).append(folder)
        for folders in self._beside.values():
            folders.sort(key=lambda folder: is_dota_folder(folder.rpartition("/")[2]))

    def find(self, image: str) -> str | None:
        """Return the label file of an image, or None if it has none."""
        file = self._tree.find_companion(image, label_path(image))
        if file is not None or not self._beside:
            return file
        parts = strip_extension(image).split("/")
        for index in range(len(parts) - 2, -1, -1):
            if parts[index].lower() not in IMAGE_FOLDERS:
                continue
            below = "/".join(parts[index + 1 :])
            for folder in self._beside.get("/".join(parts[:index]), ()):
                file = self._tree.find_companion(image, f"{folder}/{below}.txt")
                if file is not None:
                    return file
        return None


def is_dota_folder(name: str) -> bool:
    """Whether a folder of label files is called as those of DOTA: ``labelTxt``, ``labelTxt-v1.0``."""
    return name.lower().startswith("labeltxt")


def is_dota_file(file: str) -> bool:
    """Whether a label file lies in a folder of DOTA."""
    return any(map(is_dota_folder, file.split("/")[:-1]))


def orphan_label_files(tree: SourceTree, expected: Container[str]) -> Iterator[str]:
    """Iterate over the text files below folders called ``labels`` that are not expected, but for lists of names."""
    label_files = (file for file in tree.files_below("", (".txt",)) if "labels" in file.split("/")[:-1])
    return (file for file in label_files if file not in expected and not file.endswith(NAME_FILES))
