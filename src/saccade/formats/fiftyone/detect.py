"""Detection of FiftyOne, and its samples."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from saccade.core.errors import FormatError
from saccade.core.report import ConversionReport, FindingType
from saccade.formats._common.json import contains_tokens
from saccade.formats._common.json_stream import load_with_list
from saccade.formats.base import Detection


def detect(source: Path) -> Detection:
    if source.is_file():
        return Detection(False, "it is a file, and FiftyOne is a folder")
    path = source / "samples.json"
    if not path.is_file():
        return Detection(False, "there is no samples.json")
    if contains_tokens(path, '"samples"') and load_samples(path, ConversionReport()) is not None:
        return Detection(True, "samples.json has samples with a filepath")
    return Detection(False, "samples.json has no samples with a filepath")


def load_samples(path: Path, report: ConversionReport) -> Collection[Any] | None:
    """Load the list of samples, some of which may be invalid.

    Returns:
        None if the file has no list of samples, or, reported, cannot be read.
    """
    try:
        data, samples = load_with_list(path, "samples", report)
    except (FormatError, OSError) as error:
        report.add(FindingType.SKIPPED, "annotation that cannot be read", detail=str(error))
        return None
    if not isinstance(data, dict) or not isinstance(data.get("samples"), list):
        return None
    return samples if not len(samples) or any(map(is_sample, samples)) else None


def is_sample(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("filepath"), str)
