"""Validation of uploaded Arrow items: hostile and broken uploads change nothing."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from saccade.app.ingest.remote_write import write_uploaded
from saccade.core.digest import digest_bytes
from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError, SaccadeError
from saccade.core.objects import Box, Object, Polygon
from saccade.core.reader import Item
from saccade.core.schema import Column, FileRef, ImageRef, Kind, Schema
from saccade.store.arrow.codec import SCHEMA_METADATA, arrow_schema, encode_items
from saccade.store.workspace import Workspace

SCHEMA = Schema((Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS), Column("tags", Kind.LABELS)))


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path / "home") as opened:
        yield opened


def picture(color: int, size: tuple[int, int] = (12, 8)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (color, 0, 0)).save(buffer, "png")
    return buffer.getvalue()


def ref_of(data: bytes, **more: Any) -> ImageRef:
    return ImageRef(
        **{
            "digest": digest_bytes(data),
            "size": len(data),
            "name": "a.png",
            "width": 0,
            "height": 0,
            "format": "",
            **more,
        }
    )


def stream_of(batch: pa.RecordBatch) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def upload_folder(
    folder: Path, items: list[Item] | bytes, files: Mapping[str, bytes] = {}, schema: Schema = SCHEMA
) -> Path:
    """Create the folder of an upload."""
    (folder / "sent" / "files").mkdir(parents=True, exist_ok=True)
    if isinstance(items, bytes):
        data = items
    else:
        data = stream_of(encode_items(items, schema).cast(arrow_schema(schema, position=False)))
    (folder / "sent" / "items-000000.arrow").write_bytes(data)
    for digest, content in files.items():
        (folder / "sent" / "files" / digest).write_bytes(content)
    return folder / "sent"


def refused(workspace: Workspace, folder: Path, words: str = ".", kind: type[SaccadeError] = InvalidValueError) -> None:
    with pytest.raises(kind, match=words):
        write_uploaded(workspace, folder, "d", mode="create")
    assert workspace.datasets.list() == []
    assert {run.state for run in workspace.runs.list()} <= {"failed"}
    assert list(workspace.blobs.digests()) == []


def test_stated_properties_of_files_are_ignored(workspace: Workspace, tmp_path: Path) -> None:
    data = picture(1)
    lie = ref_of(data, width=9999, height=1, format="jpeg", mode="L", size=7)
    version = write_uploaded(
        workspace, upload_folder(tmp_path, [Item("a", {"image": lie})], {lie.digest: data}), "d", mode="create"
    )
    image = version.get("a")["image"]
    assert image == ImageRef(digest_bytes(data), len(data), "a.png", 12, 8, "png", "RGB", 1)
    assert version.read_media(image) == data
    [run] = workspace.runs.list()
    assert (run.kind, run.state, run.outputs) == ("write-items", "finished", ("d@1",))


def test_bad_file_fails_the_write(workspace: Workspace, tmp_path: Path) -> None:
    good, bad = picture(1), b"no picture"
    items = [Item(str(at), {"image": ref_of(data)}) for at, data in enumerate((good, bad))]
    files = {digest_bytes(data): data for data in (good, bad)}
    refused(workspace, upload_folder(tmp_path, items, files), "item '1'.*cannot be used")


def test_file_with_wrong_digest(workspace: Workspace, tmp_path: Path) -> None:
    ref = ref_of(picture(1))
    refused(workspace, upload_folder(tmp_path, [Item("a", {"image": ref})], {ref.digest: picture(2)}), "has the digest")


def test_missing_files_are_found_only_in_the_project(workspace: Workspace, tmp_path: Path) -> None:
    data = picture(1)
    items = [Item("a", {"image": ref_of(data)})]
    write_uploaded(workspace, upload_folder(tmp_path / "1", items, {digest_bytes(data): data}), "d", mode="create")
    again = write_uploaded(workspace, upload_folder(tmp_path / "2", items), "e", mode="create")
    assert again.get("a")["image"] == workspace.datasets.open("d").get("a")["image"]
    owner = workspace.projects.add("other").name
    with pytest.raises(InvalidValueError, match="is not in the project"):
        write_uploaded(workspace.scoped_to_project(owner), upload_folder(tmp_path / "3", items), "f", mode="create")
    as_file = Schema((Column("image", Kind.FILE),))
    file = FileRef(digest_bytes(data), len(data), "a")
    with pytest.raises(InvalidValueError, match="is not in the project"):
        write_uploaded(
            workspace, upload_folder(tmp_path / "4", [Item("a", {"image": file})], schema=as_file), "g", mode="create"
        )


def test_external_files_stay_external(workspace: Workspace, tmp_path: Path) -> None:
    data = picture(1)
    (tmp_path / "a.png").write_bytes(data)
    true = ImageRef(digest_bytes(data), len(data), "a.png", 12, 8, "png", uri=(tmp_path / "a.png").as_uri())
    workspace.datasets.write("linked", SCHEMA, [Item("a", {"image": true})], mode="create")
    version = write_uploaded(
        workspace, upload_folder(tmp_path, [Item("b", {"image": ref_of(data)})]), "d", mode="create"
    )
    assert version.get("b")["image"] == true
    assert version.read_media(version.get("b")["image"]) == data


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ({"digest": "../../etc/passwd"}, "SHA-256"),
        ({"digest": "A" * 64}, "SHA-256"),
        ({"size": -1}, "size"),
        ({"uri": "file:///etc/passwd"}, "cannot have a URI"),
        ({"frame": -1}, "no frame"),
        ({"name": "x" * 3000}, "name"),
    ],
)
def test_invalid_references(workspace: Workspace, tmp_path: Path, ref: dict[str, Any], words: str) -> None:
    refused(workspace, upload_folder(tmp_path, [Item("a", {"image": ref_of(picture(1), **ref)})]), words)


def test_invalid_schemas(workspace: Workspace, tmp_path: Path) -> None:
    good = encode_items([Item("a", {})], SCHEMA).cast(arrow_schema(SCHEMA, position=False))
    for metadata in (
        None,
        {},
        {SCHEMA_METADATA: b"{"},
        {SCHEMA_METADATA: b"[]"},
        {SCHEMA_METADATA: b'{"columns": 5}'},
        {SCHEMA_METADATA: b'{"columns": []}'},
        {SCHEMA_METADATA: json.dumps({"columns": [{"name": "image"}]}).encode()},
        {SCHEMA_METADATA: b"[" * 100_000},
        {SCHEMA_METADATA: b'{"columns": [{"name": "a", "kind": ["x"]}]}'},
        {SCHEMA_METADATA: json.dumps({"columns": [{"name": "_rowid", "kind": "text"}]}).encode()},
    ):
        refused(workspace, upload_folder(tmp_path, stream_of(good.replace_schema_metadata(metadata))))
    full_schema = arrow_schema(SCHEMA, position=False)
    numbers = pa.schema(
        [full_schema.field(0), *(pa.field(name, pa.int64()) for name in SCHEMA.names)], full_schema.metadata
    )
    odd = pa.record_batch([pa.array(["a"]), *(pa.array([at]) for at in range(3))], schema=numbers)
    refused(workspace, upload_folder(tmp_path, stream_of(odd)), "columns")
    (tmp_path / "sent" / "items-000000.arrow").unlink()
    refused(workspace, tmp_path / "sent", "no items")


def test_invalid_objects(workspace: Workspace, tmp_path: Path) -> None:
    """Inverted boxes, invalid shapes, NaN and infinity."""
    obj = Object("1", "a", Polygon.simple([(0, 0), (4, 0), (0, 4)]))
    good = encode_items([Item("a", {"objects": (obj, Object("2", "a", Box(0, 0, 1, 1)))})], SCHEMA)
    good = good.cast(arrow_schema(SCHEMA, position=False))
    objects = good.column("objects").flatten()
    for name, values in (
        ("x1", [0.0, np.nan]),
        ("x1", [0.0, 5.0]),
        ("x2", [0.0, np.inf]),
        ("type", ["polygon", "nothing"]),
        ("type", [None, "box"]),
        ("shape", [[9, 9], []]),
        ("shape", [[-1], []]),
        ("coords", [[1.0], []]),
        ("id", ["1", "1"]),
        ("id", [None, "2"]),
        ("class", [None, "a"]),
        ("attributes", ["{", None]),
        ("attributes", ["[1]", None]),
        ("attributes", ["[" * 100_000, None]),
        ("score", [np.nan, None]),
    ):
        position = objects.type.get_field_index(name)
        arrays = [objects.field(at) for at in range(objects.type.num_fields)]
        arrays[position] = pa.array(values, objects.type.field(position).type)
        flat = pa.StructArray.from_arrays(arrays, fields=list(objects.type))
        lists = pa.ListArray.from_arrays(pa.array([0, 2], pa.int32()), flat)
        batch = good.set_column(2, good.schema.field(2), lists)
        refused(workspace, upload_folder(tmp_path, stream_of(batch)))


def test_invalid_arrow_offsets(workspace: Workspace, tmp_path: Path) -> None:
    """Offsets beyond the end of a buffer, which would read foreign memory if they were not checked."""
    key = "k" * 77
    good = stream_of(encode_items([Item(key, {})], SCHEMA).cast(arrow_schema(SCHEMA, position=False)))
    offsets, wrong = np.array([0, 77], np.int32).tobytes(), np.array([0, 1 << 30], np.int32).tobytes()
    head, match, rest = good.rpartition(offsets)
    assert match
    refused(workspace, upload_folder(tmp_path, head + wrong + rest), "cannot be read")
    refused(workspace, upload_folder(tmp_path, good.replace(key.encode(), b"\xff\xfe" + b"k" * 75)), "cannot be read")


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_damaged_files(workspace: Workspace, tmp_path: Path, data: st.DataObject) -> None:
    """With flipped or missing bytes the write fails, or what it has written can be read."""
    obj = Object("1", "a", Box(0, 0, 1, 1))
    items = [Item("a", {"objects": (obj,), "tags": ("x", "y")}), Item("b", {"objects": (), "tags": None})]
    good = bytearray(stream_of(encode_items(items, SCHEMA).cast(arrow_schema(SCHEMA, position=False))))
    for at in data.draw(st.lists(st.integers(0, len(good) - 1), max_size=6)):
        good[at] = data.draw(st.integers(0, 255))
    body = bytes(good[: data.draw(st.integers(0, len(good)))])
    before = workspace.datasets.exists("d")
    try:
        version = write_uploaded(workspace, upload_folder(tmp_path, body), "d", mode="replace")
    except SaccadeError:
        assert workspace.datasets.exists("d") == before
        return
    for item in version.items():
        assert item.key
        assert all(isinstance(obj.geometry.area(), float) for obj in item["objects"] or ())


def test_conflict_is_detected_before_files_are_stored(workspace: Workspace, tmp_path: Path) -> None:
    data = picture(1)
    folder = upload_folder(tmp_path, [Item("a", {"image": ref_of(data)})], {digest_bytes(data): data})
    with pytest.raises(NotFoundError):
        write_uploaded(workspace, folder, "nowhere", mode="append")
    write_uploaded(workspace, folder, "d", mode="create")
    with pytest.raises(ConflictError):
        write_uploaded(workspace, folder, "d", mode="create")
    with pytest.raises(ConflictError, match="already exist"):
        write_uploaded(workspace, folder, "d", mode="append")
    assert [info.number for info in workspace.datasets.log("d")] == [1]
