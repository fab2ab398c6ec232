"""HTTP API: datasets, items, images and files equal those of the workspace."""

from __future__ import annotations

import json
import math
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from tests.server.conftest import ServerHarness, error_of

from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import Column, Kind, Schema
from saccade.server.permissions import API
from saccade.server.streaming import files
from saccade.store.datasets.version import DatasetVersion


def test_pages_contain_all_items(server: ServerHarness) -> None:
    viewer = server.signed_in(Role.VIEWER)
    version = server.workspace.datasets.open("harbour")
    assert [entry["name"] for entry in viewer.get(f"{API}/datasets").json()] == ["harbour"]
    dataset = viewer.get(f"{API}/datasets/harbour").json()
    assert dataset["ref"] == "harbour@1"
    assert [column["name"] for column in dataset["columns"]] == list(version.schema.names)
    listed: list[dict[str, Any]] = []
    cursor = None
    while True:
        params = {"limit": 3} | ({} if cursor is None else {"cursor": cursor})
        page = viewer.get(f"{API}/datasets/harbour/items", params=params).json()
        assert page["total"] == len(version)
        listed += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    items = list(version.items())
    assert [entry["key"] for entry in listed] == [item.key for item in items]
    for entry, item in zip(listed, items, strict=True):
        objects = entry["values"]["objects"]
        assert [(obj["id"], obj["class"]) for obj in objects] == [(o.id, o.class_name) for o in item["objects"]]
        assert [obj["bounds"] for obj in objects] == [list(o.geometry.bounds_xyxy()) for o in item["objects"]]
        assert "uri" not in entry["values"]["image"], "locations on the server are private"
    single = viewer.get(f"{API}/datasets/harbour/item", params={"key": items[2].key}).json()
    assert single == listed[2]


def test_queries_and_counts(server: ServerHarness) -> None:
    viewer = server.signed_in(Role.VIEWER)
    version = server.workspace.datasets.open("harbour")
    query = "len(objects) > 2"
    expected = version.where(query)
    assert 0 < len(expected) < len(version)
    for _ in range(2):  # the second is cached
        page = viewer.get(f"{API}/datasets/harbour/items", params={"where": query, "limit": 1000}).json()
        assert [entry["key"] for entry in page["items"]] == expected
    wrong = viewer.get(f"{API}/datasets/harbour/items", params={"where": "len(objcts) > 2"})
    assert (wrong.status_code, error_of(wrong)) == (422, "query")
    assert viewer.get(f"{API}/datasets/harbour/stats").json()["items"] == len(version)
    histogram = viewer.get(
        f"{API}/datasets/harbour/histogram", params={"expression": "area", "objects_column": "objects"}
    ).json()
    assert histogram["count"] == sum(len(item["objects"]) for item in version.items())
    missing = viewer.get(f"{API}/datasets/harbor")
    assert missing.status_code == 404
    assert "harbour" in missing.json()["error"]["hint"]


def test_search_by_plain_words(server: ServerHarness) -> None:
    viewer = server.signed_in(Role.VIEWER)
    items = list(server.workspace.datasets.open("harbour").items())

    def find(words: str) -> list[str]:
        where = f"search({json.dumps(words, ensure_ascii=False)})"
        response = viewer.get(f"{API}/datasets/harbour/items", params={"where": where, "limit": 1000})
        assert response.status_code == 200, response.text
        return [entry["key"] for entry in response.json()["items"]]

    labelled = next(item for item in items if item["objects"])
    key = labelled.key
    class_name = labelled["objects"][0].class_name
    assert find(key.upper()) == find(f"{key}.jpg") == [key]
    with_class = [item.key for item in items if any(class_name in obj.class_name for obj in item["objects"])]
    assert find(class_name) == with_class
    assert find(f"{class_name} {key}") == [key]
    for text in ('"', "\\", "it's", "any(objects", "a and not", "*?[", "%_", "Größe 船 🚢", "{}", "#"):
        assert find(text) == [], text
    empty = viewer.get(f"{API}/datasets/harbour/items", params={"where": 'search("")'})
    assert (empty.status_code, error_of(empty)) == (422, "query")


def test_new_versions_appear_and_old_ones_stay(server: ServerHarness) -> None:
    viewer = server.signed_in(Role.VIEWER)
    key = server.workspace.datasets.open("harbour").keys()[0]
    before = viewer.get(f"{API}/datasets/harbour/items").json()
    server.workspace.datasets.delete_items("harbour", [key])
    after = viewer.get(f"{API}/datasets/harbour/items").json()
    assert after["total"] == before["total"] - 1
    assert viewer.get(f"{API}/datasets/harbour@1/items").json() == before
    assert [entry["number"] for entry in viewer.get(f"{API}/datasets/harbour/versions").json()] == [2, 1]


def test_images_and_files(server: ServerHarness) -> None:
    viewer = server.signed_in(Role.VIEWER)
    version = server.workspace.datasets.open("harbour")
    key = version.keys()[0]
    answer = viewer.get(f"{API}/datasets/harbour@1/image", params={"key": key, "size": 64})
    assert answer.headers["content-type"] == "image/jpeg"
    assert "immutable" in answer.headers["Cache-Control"]
    assert max(Image.open(BytesIO(answer.content)).size) == 64
    drawn = viewer.get(f"{API}/datasets/harbour/image", params={"key": key, "size": 64, "objects": True})
    assert drawn.content != answer.content
    assert "immutable" not in drawn.headers["Cache-Control"]
    file = viewer.get(f"{API}/datasets/harbour/file", params={"key": key, "column": "image"})
    assert file.content == version.read_media(version.get(key)["image"])
    assert file.headers["content-disposition"] == "attachment", "untrusted files are downloads"
    assert file.headers["content-type"] == "application/octet-stream"
    assert viewer.get(f"{API}/datasets/harbour/file", params={"key": key, "column": "objects"}).status_code == 404


def test_files_are_streamed(server: ServerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may be larger than the memory."""
    viewer = server.signed_in(Role.VIEWER)
    version = server.workspace.datasets.open("harbour")
    key = version.keys()[0]
    content = version.read_media(version.get(key)["image"])
    monkeypatch.setattr(DatasetVersion, "read_media", None)
    monkeypatch.setattr(files, "_CHUNK_BYTES", 1000)
    answer = viewer.get(f"{API}/datasets/harbour/file", params={"key": key, "column": "image"})
    assert answer.content == content
    assert answer.headers["Content-Length"] == str(len(content))


@pytest.mark.parametrize("number", [math.inf, -math.inf, 1e308])
def test_non_finite_numbers(server: ServerHarness, number: float) -> None:
    viewer = server.signed_in(Role.VIEWER)
    schema = Schema((Column("x", Kind.NUMBER),))
    server.workspace.datasets.write("odd", schema, [Item("<script>", {"x": number})], mode="create")
    page = viewer.get(f"{API}/datasets/odd/items").json()
    expected = number if math.isfinite(number) else f"{'-' if number < 0 else ''}Infinity"
    assert page["items"] == [{"key": "<script>", "values": {"x": expected}}]


def test_not_modified(server: ServerHarness) -> None:
    viewer = server.signed_in(Role.VIEWER)
    key = server.workspace.datasets.open("harbour").keys()[0]
    paths = [
        "harbour",
        "harbour/items?limit=3",
        f"harbour/item?key={key}",
        f"harbour/image?key={key}",
        "harbour/arrow",
        "harbour/stats",
        "harbour/histogram?expression=image.width",
        "harbour@1/items",
    ]
    first = {path: viewer.get(f"{API}/datasets/{path}") for path in paths}
    tags = {answer.headers["ETag"] for answer in first.values()}
    assert len(tags) == 1, "all are of the same version"
    (tag,) = tags
    for path, answer in first.items():
        again = viewer.get(f"{API}/datasets/{path}", headers={"If-None-Match": f'"other", W/{tag}'})
        assert (again.status_code, again.content) == (304, b""), path
        assert answer.content
    server.workspace.datasets.write(
        "harbour", Schema((Column("note", Kind.TEXT),)), [Item(key, {"note": "new"})], mode="merge"
    )
    for path in paths[:-1]:
        again = viewer.get(f"{API}/datasets/{path}", headers={"If-None-Match": tag})
        assert again.status_code == 200, path
        assert again.headers["ETag"] != tag
    assert viewer.get(f"{API}/datasets/{paths[-1]}", headers={"If-None-Match": tag}).status_code == 304
    stranger = server.client().get(f"{API}/datasets/harbour", headers={"If-None-Match": tag})
    assert (stranger.status_code, stranger.headers.get("ETag")) == (401, None)
    assert viewer.get(f"{API}/datasets/missing").headers["Cache-Control"] == "no-store"
