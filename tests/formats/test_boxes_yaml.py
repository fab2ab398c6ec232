"""YAML lists of boxes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from saccade.core.errors import FormatError
from saccade.core.objects import Box, Object
from saccade.core.registry import Registry
from saccade.formats.base import Format
from saccade.formats.boxes_yaml import FORMAT
from saccade.formats.detect import detect_format

WriteSource = Callable[[Mapping[str, str | bytes | None]], Path]
TEXT = """
images:
- image: 1.png
  split: train
  box_list:
  - {label: cat, x_min: 1, y_min: 1, x_max: 5, y_max: 4, occluded: true}
  - {class: 7, box: [1, 1, 5, 4], score: 0.5, id: q, attributes: {wet: yes, bad: [1]}}
  - {box: [1, 1, 5, 4]}
  - {class: dog, box: [1, .nan, 5, 4]}
- {file: 2.png, boxes: []}
- {file: 3.png}
- {file: gone.png}
"""


def test_names_in_use(write_source: WriteSource, kit: SimpleNamespace, formats: Registry[Format]) -> None:
    source = write_source({"boxes.yaml": TEXT, "1.png": None, "2.png": None, "3.png": None})
    assert detect_format(source, formats)[0] == "yaml"
    found = kit.read_all(FORMAT, source)
    assert found.values("objects") == {
        "1": (
            Object("1", "cat", Box(1, 1, 5, 4), attributes={"occluded": True}),
            Object("q", "7", Box(1, 1, 5, 4), 0.5, attributes={"wet": True}),
        ),
        "2": (),
        "3": None,
    }
    assert found.values("split") == {"1": "train", "2": None, "3": None}
    assert found.reasons() == {
        ("dropped", "object without a class"): 1,
        ("dropped", "box with numbers that are not finite"): 1,
        ("dropped", "attribute that is not text, a number or a boolean"): 1,
        ("skipped", "image file missing"): 1,
    }


@pytest.mark.parametrize(
    "text",
    [
        "images: !!python/object/apply:os.system ['x']",
        "a: &a [1.png]\nimages: [*a, *a]",
        "images: [" * 3000,
        "images: 3",
        "- {x: 1}",
        "\0",
    ],
)
def test_hostile_text_is_refused(text: str, write_source: WriteSource, kit: SimpleNamespace) -> None:
    source = write_source({"boxes.yaml": text, "1.png": None})
    assert not FORMAT.detect(source).matches
    with pytest.raises(FormatError, match="No YAML file"):
        kit.read_all(FORMAT, source)
