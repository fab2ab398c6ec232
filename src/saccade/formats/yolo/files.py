"""Finding the parts of a YOLO source: its class names, its splits, its images and their label files."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from saccade.core.errors import FormatError
from saccade.core.report import Action, Report
from saccade.formats._common.paths import (
    SPLIT_WORDS,
    Tree,
    is_image_name,
    is_plain_name,
    leaves_folder,
    normal,
    stem_of,
    whole_text,
)
from saccade.formats._common.spill import RoomyDict

NAME_FILES = ("classes.txt", "obj.names", "names.txt", "_darknet.labels")
_HAS_NAMES = re.compile(rb"^[\"']?names[\"']?\s*:|[{,]\s*names\s*:", re.MULTILINE)
_NOTHING = ("", "~", "null")


class _Loader(yaml.SafeLoader):
    """Safe, and without guessing: every plain value is text, so that a class called ``no`` or ``1.0`` stays one."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - the name and type are PyYAML's


def load_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, all values as text; FormatError where there is none."""
    try:
        data = yaml.load(path.read_bytes(), Loader=_Loader)  # noqa: S506 - _Loader is a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else str(error).replace("\n", " ")
        raise FormatError(f"{path} is not YAML that can be read safely: {reason}.") from None
    if not isinstance(data, dict):
        raise FormatError(f"{path} holds no names with values.", hint="Expected names: and train: in data.yaml.")
    return data


def find_yaml(source: Path) -> Path | None:
    """The data.yaml of a source (or a YAML file of another name that has ``names:``)."""
    if source.is_file():
        return source if source.suffix.lower() in (".yaml", ".yml") else None
    paths = sorted((*source.glob("*.yaml"), *source.glob("*.yml")), key=lambda path: (path.stem != "data", path.name))
    for path in paths:
        inside = path.resolve().is_relative_to(source.resolve()) and path.is_file()
        if inside and re.search(
            rb"^[\"']?names[\"']?\s*:|[{,]\s*names\s*:", path.read_bytes()[: 1 << 20], re.MULTILINE
        ):
            return path
    return None


@dataclass
class Group:
    """The images of one split: their paths in the tree, each with the path that becomes its key."""

    split: str | None
    images: RoomyDict[str] = field(default_factory=RoomyDict)

    def add(self, image: str, key_path: str) -> None:
        if image not in self.images:
            self.images[image] = key_path


@dataclass
class Layout:
    """What a source holds. ``names`` is None where no file gives the names of the classes."""

    names: list[str] | None
    groups: list[Group]
    has_splits: bool
    keypoints_shape: tuple[int, int] | None = None
    keypoint_names: tuple[str, ...] = ()
    task: str = ""


def find_layout(source: Path, tree: Tree, report: Report) -> Layout:
    """The layout by data.yaml, by darknet's obj.data, or by the folders alone."""
    if (path := find_yaml(source)) is not None:
        return _by_yaml(path, tree, report)
    data = next((file for file in tree.files if file.endswith(".data")), None)
    if data is not None:
        return _by_darknet(tree, data, report)
    return _by_folders(tree, _names_file(tree))


def _names_file(tree: Tree) -> list[str] | None:
    for wanted in NAME_FILES:
        for file in tree.files:
            if file.rsplit("/", 1)[-1] == wanted:
                return _lines(tree.path(file))
    return None


def _lines(path: Path) -> list[str]:
    """The lines of a text file that hold something."""
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    return [line.strip() for line in text.split("\n") if line.strip()]


def _by_yaml(path: Path, tree: Tree, report: Report) -> Layout:
    data = load_yaml(path)
    mine = data.get("saccade")
    layout = Layout(_names(data, report), [], True)
    layout.keypoints_shape = _keypoints_shape(data.get("kpt_shape"))
    if isinstance(mine, dict) and isinstance(mine.get("folders"), list):
        entries = [entry for entry in mine["folders"] if isinstance(entry, dict)]
        layout.has_splits = mine.get("has_splits") == "true"
        layout.task = str(mine.get("task", ""))
        layout.keypoint_names = _texts(mine.get("keypoints"))
        places = [(entry.get("split"), entry.get("path")) for entry in entries]
    else:
        places = [(split, data.get(split) or data.get(other)) for split, other in _YAML_SPLITS]
    base = path_given if isinstance(path_given := data.get("path"), str) else ""
    found = _Finder(tree, report)
    for split, values in places:
        group = Group(split)
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, str) and value not in _NOTHING:
                found.add(group, value, base)
        if group.images or isinstance(mine, dict):
            layout.groups.append(group)
    return layout


def _texts(value: Any) -> tuple[str, ...]:
    given = value if isinstance(value, list) else []
    return tuple(whole_text(part) for part in given if isinstance(part, str))


_YAML_SPLITS = (("train", "training"), ("val", "valid"), ("test", "testing"))


def _names(data: Mapping[str, Any], report: Report) -> list[str]:
    names = data.get("names")
    if isinstance(names, list):
        found = [_scalar(name) for name in names]
    elif isinstance(names, dict):
        try:
            by_number = {int(number): _scalar(name) for number, name in names.items()}
        except ValueError:
            raise FormatError(f"The names in data.yaml need whole numbers, not {list(names)[:5]}.") from None
        if any(not 0 <= number < 100_000 for number in by_number):
            raise FormatError("The numbers of the names in data.yaml must lie in 0 to 99999.")
        found = [by_number.get(number, f"class {number}") for number in range(max(by_number, default=-1) + 1)]
        for number in set(range(len(found))) - by_number.keys():
            report.add(Action.GUESSED, "name of a class that data.yaml leaves out", detail=found[number])
    else:
        raise FormatError("data.yaml needs 'names': a list, or names by number.", hint="Look at the file.")
    stated = data.get("nc")
    if isinstance(stated, str) and stated != str(len(found)):
        report.add(Action.NOTICED, "number of classes that disagrees", detail=f"nc is {stated}, names {len(found)}")
    return _unique(found, report)


def _scalar(name: Any) -> str:
    """A name as text; lists and mappings are none (and, by aliases, can be endlessly large when written out)."""
    if not isinstance(name, str):
        raise FormatError("The names in data.yaml must be text, not lists or mappings.")
    return whole_text(name)


def _unique(names: list[str], report: Report) -> list[str]:
    made: dict[str, None] = {}
    for number, name in enumerate(names):
        free = name or f"class {number}"
        while free in made:
            free = f"{free} ({number})"
        if free != name:
            report.add(Action.REPAIRED, "name of a class that is empty or repeated", detail=f"{name!r} to {free!r}")
        made[free] = None
    return list(made)


def _keypoints_shape(value: Any) -> tuple[int, int] | None:
    if (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(part, str) and part.isdecimal() for part in value)
    ):
        count, dimensions = int(value[0]), int(value[1])
        return (count, dimensions) if count > 0 and dimensions in (2, 3) else None
    return None


class _Finder:
    """Finds the folders and lists that data.yaml or obj.data name, inside the source only."""

    def __init__(self, tree: Tree, report: Report) -> None:
        self._tree = tree
        self._report = report

    def add(self, group: Group, value: str, base: str) -> None:
        """Add the images of one folder, list or single file to the group."""
        for place in self._readings(value, base):
            if place == "" or place in self._tree.folders:
                self._add_folder(group, place)
                return
            if place in self._tree.files:
                if is_image_name(place):
                    group.add(place, place.rsplit("/", 1)[-1])
                else:
                    self._add_list(group, place)
                return
        reason = "folder of a split that is not in the source"
        self._report.add(Action.SET_ASIDE, reason, detail=f"{group.split}: {value!r}")

    def _readings(self, value: str, base: str) -> list[str]:
        """What a path may mean: below ``path:``, below the source, or so with the '..' in front cut off."""
        plain = re.sub(r"^(\.\./)+", "", value.replace("\\", "/"))
        tries = [f"{base}/{value}"] if base and not leaves_folder(base) else []
        return [normal(each) for each in (*tries, value, plain) if not leaves_folder(each) and is_plain_name(each)]

    def _add_folder(self, group: Group, place: str) -> None:
        for image in self._tree.each_image(place):
            group.add(image, image[len(place) + 1 :] if place else image)

    def _add_list(self, group: Group, place: str) -> None:
        folder = place.rpartition("/")[0]
        for line in _lines(self._tree.path(place)):
            first_cut = normal(line).partition("/")[2]
            for wish in (f"{folder}/{line}", line, first_cut):
                path = normal(wish)
                if not leaves_folder(line) and path in self._tree.files and is_image_name(path):
                    group.add(path, key_path(path, group.split))
                    break
            else:
                outside = leaves_folder(line) or self._tree.leads_outside(normal(f"{folder}/{line}"))
                reason = "file name that leads outside the source" if outside else "image file missing"
                self._report.add(Action.SET_ASIDE, reason, detail=repr(line))


def key_path(image: str, split: str | None) -> str:
    """The path of an image below its folder of images, without the folder of its split."""
    parts = image.split("/")
    if "images" in parts[:-1]:
        at = len(parts) - 1 - parts[::-1].index("images")
        parts = parts[at + 1 :] if len(parts) - at > 1 else parts
    if len(parts) > 1 and parts[0] == split:
        parts = parts[1:]
    return "/".join(parts)


def _by_darknet(tree: Tree, file: str, report: Report) -> Layout:
    pairs = (line.partition("=") for line in _lines(tree.path(file)))
    data = {name.strip(): value.strip() for name, _, value in pairs}
    wanted = normal(data.get("names", ""))
    names = next((_lines(tree.path(name)) for name in (wanted, wanted.partition("/")[2]) if name in tree.files), None)
    layout = Layout(_unique(names, report) if names else _names_file(tree), [], True)
    found = _Finder(tree, report)
    for split, word in (("train", "train"), ("val", "valid"), ("test", "test")):
        if value := data.get(word):
            group = Group(split)
            cut = normal(value).partition("/")[2]
            found.add(group, cut if cut in tree.files and normal(value) not in tree.files else value, "")
            layout.groups.append(group)
    return layout


def _by_folders(tree: Tree, names: list[str] | None) -> Layout:
    groups: dict[str | None, Group] = {}
    for image in tree.each_image():
        parts = image.split("/")[:-1]
        split = next((part for part in parts[:2] if part in SPLIT_WORDS), None)
        if split not in groups:
            groups[split] = Group(split)
        is_below = split is not None and image.startswith(f"{split}/")
        groups[split].add(image, key_path(image[len(split or "") + 1 :], None) if is_below else key_path(image, split))
    return Layout(names, list(groups.values()), any(groups))


def label_path(image: str) -> str:
    """Where the labels of an image lie: in ``labels`` in place of the last ``images``, else beside it.

    >>> label_path("images/train/1.jpg")
    'labels/train/1.txt'
    """
    parts = stem_of(image).split("/")
    folders = parts[:-1]
    if "images" in folders:
        parts[len(folders) - 1 - folders[::-1].index("images")] = "labels"
    return "/".join(parts) + ".txt"


def orphans(tree: Tree, expected: Container[str]) -> Iterator[str]:
    """Label files below folders called ``labels`` that belong to no image."""
    in_labels = (file for file in tree.below("", (".txt",)) if "labels" in file.split("/")[:-1])
    return (file for file in in_labels if file not in expected and not file.endswith(NAME_FILES))
