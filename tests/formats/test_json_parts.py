"""Large JSON files, read by parts, are what they are when they are read as a whole."""

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
from saccade.core.report import Report
from saccade.formats._common import json_stream
from saccade.formats._common.json import load_json
from saccade.formats._common.json_stream import Parts, load_by_parts, load_listed, load_mapped
from saccade.formats.coco import read as coco

EXAMPLES = 3 * int(os.environ.get("SACCADE_EXAMPLES", "60"))
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
tops = st.fixed_dictionaries({}, optional={"list": st.lists(values, max_size=6), "a": values, "é": values})


def same(one: Any, other: Any) -> bool:
    """Equality in which NaN is NaN."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@pytest.mark.slow
@settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    top=tops,
    window=st.integers(1, 40),
    indent=st.sampled_from([None, 1]),
    ascii_only=st.booleans(),
    bom=st.booleans(),
)
def test_parts_are_the_whole(
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
    monkeypatch.setattr(json_stream, "_WINDOW", window)
    whole, parts = Report(), Report()
    expected = load_json(path, whole)
    seen: list[Any] = []
    places: list[tuple[int, int]] = []
    file = Parts(path)

    def see(value: Any, begin: int, end: int) -> None:
        seen.append(value)
        places.append((begin, end))

    rest = load_by_parts(file, path, {"list": see}, parts)
    wanted = expected.get("list", None)
    assert same(rest, {**expected, "list": []} if "list" in expected else expected)
    assert same(seen, wanted or [])
    assert same([value for begin, end in places for value in file.values(begin, end)], wanted or [])
    if places:
        assert same(file.values(places[0][0], places[-1][1]), wanted)
    assert len(whole) == len(parts)


@pytest.mark.slow
@settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(top=tops, window=st.integers(1, 40), data=st.data())
def test_what_is_no_json_is_refused_by_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, top: Any, window: int, data: st.DataObject
) -> None:
    text = bytearray(json.dumps(top).encode())
    at = data.draw(st.integers(0, len(text) - 1))
    text[at : at + data.draw(st.integers(0, 3))] = data.draw(
        st.sampled_from([b"", b",", b"]", b"}", b'"', b"\xff", b"1"])
    )
    path = tmp_path / "a.json"
    path.write_bytes(bytes(text) or b" ")
    monkeypatch.setattr(json_stream, "_WINDOW", window)

    def outcome(read: Any) -> Any:
        try:
            return read()
        except FormatError:
            return FormatError

    expected = outcome(lambda: load_json(path, Report()))
    found = outcome(lambda: load_by_parts(Parts(path), path, {"list": lambda *_: None}, Report()))
    if not isinstance(expected, dict):
        assert found is FormatError
        return
    if found is FormatError:  # a name that is there twice, which only the whole takes
        assert b'"list"' in bytes(text)
        assert bytes(text).count(b'"list"') > 1
        return
    assert same(found, {**expected, "list": []} if isinstance(expected.get("list"), list) else expected)


@settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(whole=tops | st.lists(values, max_size=6) | scalars, name=st.sampled_from(["list", "a", ""]), data=st.data())
def test_elements_are_those_of_the_list_or_mapping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Any, name: str, data: st.DataObject
) -> None:
    load = data.draw(st.sampled_from([load_listed, load_mapped]))
    path = tmp_path / "a.json"
    path.write_text(json.dumps(whole))
    monkeypatch.setattr(json_stream, "_LARGE", 1 << 30)
    rest, elements = load(path, name, Report())
    monkeypatch.setattr(json_stream, "_LARGE", 0)
    monkeypatch.setattr(json_stream, "_TOGETHER", 2)
    if not isinstance(whole, dict) and not (isinstance(whole, list) and not name and load is load_listed):
        with pytest.raises(FormatError):
            load(path, name, Report())
        return
    large, read = load(path, name, Report())
    assert same(large, rest)
    for _ in range(2):
        assert same(list(read), list(elements))
    assert len(read) == len(elements)


def test_depth_has_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text('{"list": [' + "[" * 200_000 + "]" * 200_000 + "]}")
    with pytest.raises(FormatError, match="nested too deep"):
        load_by_parts(Parts(path), path, {"list": lambda *_: None}, Report())


@pytest.mark.parametrize("large", [False, True])
def test_large_annotation_files_are_read_alike(
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
    plain = kit.read_all(coco.FORMAT, folder)
    monkeypatch.setattr(json_stream, "_LARGE", 0 if large else 1 << 30)
    monkeypatch.setattr(json_stream, "_WINDOW", 500)
    again = kit.read_all(coco.FORMAT, folder)
    assert again.records == plain.records
    assert again.schema == plain.schema
    assert list(again.report) == list(plain.report)
    assert again.reasons()["dropped", "annotation of an unknown image"] == 3


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
def test_a_file_is_read_alike_however_large_it_is_taken_to_be(
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
    whole = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps({name: whole[name] for name in order}))
    monkeypatch.setattr(json_stream, "_LARGE", 1 << 30)
    held = kit.read_all(coco.FORMAT, folder)
    monkeypatch.setattr(json_stream, "_LARGE", 0)
    large = kit.read_all(coco.FORMAT, folder)
    assert list(large.records.items()) == list(held.records.items())
    assert large.schema == held.schema
    assert large.total == held.total
    assert list(large.report) == list(held.report)
