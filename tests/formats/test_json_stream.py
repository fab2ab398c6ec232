"""Large JSON files give the same content scanned incrementally and loaded at once."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saccade.core.errors import FormatError
from saccade.core.report import ConversionReport
from saccade.formats import coco
from saccade.formats._common import json_stream
from saccade.formats._common.json import load_json
from saccade.formats._common.json_stream import JsonFile, load_with_list, load_with_mapping, scan_json

EXAMPLES = 3 * int(os.environ.get("SACCADE_EXAMPLES", "60"))
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
tops = st.fixed_dictionaries({}, optional={"list": st.lists(values, max_size=6), "a": values, "é": values})


def same(first: Any, second: Any) -> bool:
    """Equality in which NaN equals NaN."""
    return json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)


@pytest.mark.slow
@settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    top=tops,
    window=st.integers(1, 40),
    indent=st.sampled_from([None, 1]),
    ascii_only=st.booleans(),
    bom=st.booleans(),
)
def test_scan_matches_load(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    top: Any,
    window: int,
    indent: int | None,
    ascii_only: bool,
    bom: bool,
) -> None:
    path = tmp_path / "a.json"
    text = json.dumps(top, indent=indent, ensure_ascii=ascii_only)
    path.write_bytes((b"\xef\xbb\xbf" if bom else b"") + text.encode("utf-8", "replace"))
    monkeypatch.setattr(json_stream, "_WINDOW_BYTES", window)
    load_report, scan_report = ConversionReport(), ConversionReport()
    expected = load_json(path, load_report)
    elements: list[Any] = []
    ranges: list[tuple[int, int]] = []
    file = JsonFile(path)

    def collect(value: Any, begin: int, end: int) -> None:
        elements.append(value)
        ranges.append((begin, end))

    rest = scan_json(file, path, {"list": collect}, scan_report)
    expected_list = expected.get("list", None)
    assert same(rest, {**expected, "list": []} if "list" in expected else expected)
    assert same(elements, expected_list or [])
    assert same([value for begin, end in ranges for value in file.values(begin, end)], expected_list or [])
    if ranges:
        assert same(file.values(ranges[0][0], ranges[-1][1]), expected_list)
    assert len(load_report) == len(scan_report)


@pytest.mark.slow
@settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(top=tops, window=st.integers(1, 40), data=st.data())
def test_scan_and_load_reject_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, top: Any, window: int, data: st.DataObject
) -> None:
    text = bytearray(json.dumps(top).encode())
    index = data.draw(st.integers(0, len(text) - 1))
    text[index : index + data.draw(st.integers(0, 3))] = data.draw(
        st.sampled_from([b"", b",", b"]", b"}", b'"', b"\xff", b"1"])
    )
    path = tmp_path / "a.json"
    path.write_bytes(bytes(text) or b" ")
    monkeypatch.setattr(json_stream, "_WINDOW_BYTES", window)

    def outcome(read: Any) -> Any:
        try:
            return read()
        except FormatError:
            return FormatError

    expected = outcome(lambda: load_json(path, ConversionReport()))
    scanned = outcome(lambda: scan_json(JsonFile(path), path, {"list": lambda *_: None}, ConversionReport()))
    if not isinstance(expected, dict):
        assert scanned is FormatError
        return
    if scanned is FormatError:  # a name that occurs twice, which only loading accepts
        assert b'"list"' in bytes(text)
        assert bytes(text).count(b'"list"') > 1
        return
    assert same(scanned, {**expected, "list": []} if isinstance(expected.get("list"), list) else expected)


@settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=tops | st.lists(values, max_size=6) | scalars, name=st.sampled_from(["list", "a", ""]), data=st.data())
def test_elements_match_the_list_or_mapping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any, name: str, data: st.DataObject
) -> None:
    load = data.draw(st.sampled_from([load_with_list, load_with_mapping]))
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    monkeypatch.setattr(json_stream, "_MAX_LOADED_BYTES", 1 << 30)
    rest, elements = load(path, name, ConversionReport())
    monkeypatch.setattr(json_stream, "_MAX_LOADED_BYTES", 0)
    monkeypatch.setattr(json_stream, "_BATCH", 2)
    if not isinstance(content, dict) and not (isinstance(content, list) and not name and load is load_with_list):
        with pytest.raises(FormatError):
            load(path, name, ConversionReport())
        return
    large, large_elements = load(path, name, ConversionReport())
    assert same(large, rest)
    for _ in range(2):
        assert same(list(large_elements), list(elements))
    assert len(large_elements) == len(elements)


def test_depth_limit(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text('{"list": [' + "[" * 200_000 + "]" * 200_000 + "]}")
    with pytest.raises(FormatError, match="nested too deeply"):
        scan_json(JsonFile(path), path, {"list": lambda *_: None}, ConversionReport())


@pytest.mark.parametrize("large", [False, True])
def test_indexed_file_matches_loaded_file(
    large: bool, pictures: Path, tmp_path: Path, kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "source"
    shutil.copytree(pictures, folder)
    path = folder / "annotations.json"
    truth = json.loads(path.read_text())
    truth["annotations"] += [
        {"id": 9001, "image_id": 10**6, "category_id": 1, "bbox": [1, 2, 3, 4]},
        {"id": 9002, "category_id": 1, "bbox": [1, 2, 3, 4]},
        "nothing",
        truth["annotations"][0],
    ]
    path.write_text(json.dumps(truth))
    expected = kit.read_all(coco.FORMAT, folder)
    monkeypatch.setattr(json_stream, "_MAX_LOADED_BYTES", 0 if large else 1 << 30)
    monkeypatch.setattr(json_stream, "_WINDOW_BYTES", 500)
    result = kit.read_all(coco.FORMAT, folder)
    assert result.records == expected.records
    assert result.schema == expected.schema
    assert list(result.report) == list(expected.report)
    assert result.reasons()["dropped", "annotation of an unknown image"] == 3


IDS = st.sampled_from([1, "1", 2, 7, 2**70, str(2**70), -5, "é", 3, 4, None, True, 1.5])
NAMES = st.sampled_from(["a.png", "b.png", "c.png", "nowhere.png", "../a.png", "é.png", "\ud800.png"])
IMAGES = st.lists(
    st.fixed_dictionaries(
        {"id": IDS, "file_name": NAMES}, optional={"width": st.integers(-1, 9), "height": st.just(6), "extra": values}
    ),
    max_size=6,
)
ANNOTATIONS = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"id": IDS, "image_id": IDS, "category_id": st.sampled_from([1, 2, 3]), "bbox": st.just([1, 2, 3, 2])},
            optional={"note": st.text(max_size=3)},
        ),
        scalars,
    ),
    max_size=10,
)


@settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(images=IMAGES, annotations=ANNOTATIONS, order=st.permutations(["images", "annotations", "categories"]))
def test_generated_files_are_read_the_same_indexed_and_loaded(
    images: list[Any],
    annotations: list[Any],
    order: list[str],
    tmp_path_factory: pytest.TempPathFactory,
    kit: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path_factory.mktemp("source")
    for name in ("a.png", "b.png", "é.png"):
        (folder / name).write_bytes(kit.png())
    categories = [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps({name: content[name] for name in order}))
    monkeypatch.setattr(json_stream, "_MAX_LOADED_BYTES", 1 << 30)
    small = kit.read_all(coco.FORMAT, folder)
    monkeypatch.setattr(json_stream, "_MAX_LOADED_BYTES", 0)
    large = kit.read_all(coco.FORMAT, folder)
    assert list(large.records.items()) == list(small.records.items())
    assert large.schema == small.schema
    assert large.total == small.total
    assert list(large.report) == list(small.report)
