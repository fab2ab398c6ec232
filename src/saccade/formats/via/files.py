"""JSON files of VIA: projects, and exported annotations."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from saccade.core.errors import FormatError
from saccade.core.report import ConversionReport, FindingType
from saccade.formats._common.json import Json, contains_tokens, get_mapping
from saccade.formats._common.json_stream import load_with_mapping
from saccade.formats._common.paths import SourceTree

FILE_ATTRIBUTES = "file_attributes"
"""Name of the column, and of the field of an image, for the attributes of files."""
CLASS_ATTRIBUTES = ("class", "label", "name", "type", "category", "class_name")
"""Region attributes that are read as the class; the first of them that exists counts."""
_IMAGE_METADATA = "_via_img_metadata"


def iter_image_entries(path: Path, report: ConversionReport) -> Iterator[Json]:
    """Iterate over the entries of images, which have a file name and regions, of a project or of annotations."""
    for entry in _load(path, report)[1]:
        if isinstance(entry, dict) and "regions" in entry and isinstance(entry.get("filename"), str):
            yield entry


def has_project(tree: SourceTree) -> bool:
    """Whether a file below the folder is a VIA project, even one without images."""
    files = tree.files_below("", (".json",))
    return any("_via_settings" in _load(tree.path(file), ConversionReport())[0] for file in files)


def regions_of(entry: Json) -> list[Json]:
    """Return the regions of an image's entry: a mapping in VIA 1, a list in VIA 2."""
    regions = entry["regions"]
    if isinstance(regions, dict):
        regions = list(regions.values())
    if not isinstance(regions, list):
        return []
    return [region if isinstance(region, dict) else {} for region in regions]


def region_attributes(region: Json) -> Json:
    return get_mapping(region, "region_attributes")


def _load(path: Path, report: ConversionReport) -> tuple[Json, Collection[Any]]:
    """Return the fields of a file, without the images if it is a project, and the entries of its images."""
    name = _IMAGE_METADATA if contains_tokens(path, f'"{_IMAGE_METADATA}"') else ""
    try:
        data, entries = load_with_mapping(path, name, report)
    except (FormatError, OSError) as error:
        report.add(FindingType.SKIPPED, "annotation that cannot be read", detail=str(error))
        return {}, ()
    if not isinstance(data, dict):
        return {}, ()
    # In a file that only mentions the name of the field, the top mapping is that of the images.
    return data, entries if not name or name in data else data.values()
