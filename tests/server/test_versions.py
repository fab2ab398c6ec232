"""HTTP API: versions, refs, bulk edits, saved views, and the pages of the web app."""

from __future__ import annotations

from tests.server.conftest import ServerHarness, error_of

from saccade.core.roles import Role
from saccade.server.permissions import API

D = f"{API}/datasets/harbour"


def test_bulk_edits_create_versions(server: ServerHarness) -> None:
    manager = server.signed_in(Role.MANAGER)
    keys = server.workspace.datasets.open("harbour").keys()
    created = manager.post(f"{D}/items/bulk", json={"keys": keys[:3], "action": "tag", "target": "night"})
    assert created.json() == {"ref": "harbour@2", "number": 2, "items": len(keys)}
    manager.post(f"{D}/items/bulk", json={"keys": keys[2:4], "action": "tag", "target": "rain"})
    tags = {item.key: item["tags"] for item in server.workspace.datasets.open("harbour").items(["tags"])}
    assert tags[keys[0]] == ("night",)
    assert tags[keys[2]] == ("night", "rain")
    assert not tags[keys[5]]
    assert manager.get(f"{D}/items", params={"where": '"night" in tags'}).json()["total"] == 3
    manager.post(f"{D}/items/bulk", json={"where": '"night" in tags', "action": "untag", "target": "night"})
    assert manager.get(f"{D}/items", params={"where": '"night" in tags'}).json()["total"] == 0
    manager.post(f"{D}/items/bulk", json={"keys": keys[:2], "action": "split", "target": "val"})
    assert manager.get(f"{D}/items", params={"where": 'split == "val"'}).json()["total"] == 2
    manager.post(f"{D}/items/bulk", json={"where": 'split == "val"', "action": "delete"})
    assert manager.get(f"{D}/items").json()["total"] == len(keys) - 2
    assert [entry["author"] for entry in manager.get(f"{D}/versions").json()][:5] == ["Manager"] * 5
    assert manager.get(f"{API}/datasets/harbour@1/items").json()["total"] == len(keys)
    for wrong in (
        {"keys": [], "action": "tag", "target": "x"},
        {"keys": keys[:1], "action": "tag", "target": " "},
        {"keys": keys[:1], "action": "paint"},
        {"keys": ["missing"], "action": "delete"},
    ):
        assert manager.post(f"{D}/items/bulk", json=wrong).status_code in (404, 422), wrong
    old = manager.post(f"{API}/datasets/harbour@1/items/bulk", json={"keys": keys[:1], "action": "delete"})
    assert error_of(old) == "invalid-value"


def test_diff_restore_and_refs(server: ServerHarness) -> None:
    manager = server.signed_in(Role.MANAGER)
    keys = server.workspace.datasets.open("harbour").keys()
    manager.post(f"{D}/items/bulk", json={"keys": keys[:2], "action": "delete"})
    diff = manager.get(f"{D}/diff", params={"against": "harbour@1"}).json()
    assert (diff["counts"]["removed"], diff["removed"]) == (2, keys[:2])
    assert manager.post(f"{D}/restore", json={"number": 1}).json()["ref"] == "harbour@3"
    again = manager.get(f"{D}/diff", params={"against": "harbour@1"}).json()
    assert again["counts"] == {"added": 0, "removed": 0, "changed": 0}
    assert manager.post(f"{D}/tags", json={"name": "first", "number": 1}).json()["tags"] == {"first": 1}
    assert manager.post(f"{D}/tags", json={"name": "first", "number": 2}).status_code == 409
    assert manager.get(f"{API}/datasets/harbour@first").json()["number"] == 1
    assert manager.post(f"{D}/branches", json={"name": "trial", "number": 2}).json()["branches"]["trial"] == 2
    assert manager.delete(f"{D}/tags/first").status_code == 204
    assert manager.get(f"{D}/refs").json()["tags"] == {}
    assert manager.delete(D).status_code == 204
    assert manager.get(f"{API}/datasets").json() == []


def test_sorted_pages_from_any_start(server: ServerHarness) -> None:
    viewer = server.signed_in(Role.VIEWER)
    version = server.workspace.datasets.open("harbour")
    counts = {item.key: len(item["objects"]) for item in version.items()}
    keys = version.keys()
    expected = sorted(keys, key=lambda key: (-counts[key], keys.index(key)))
    params: dict[str, str | int | bool] = {"order": "len(objects)", "descending": True, "start": 2, "limit": 4}
    page = viewer.get(f"{D}/items", params=params).json()
    assert [entry["key"] for entry in page["items"]] == expected[2:6]
    reversed_page = viewer.get(f"{D}/items", params={"descending": True}).json()
    assert [entry["key"] for entry in reversed_page["items"]] == keys[::-1]
    past_end = viewer.get(f"{D}/items", params={"start": 10**9}).json()
    assert (past_end["items"], past_end["next"]) == ([], None)
    wrong = viewer.get(f"{D}/items", params={"order": "len(objcts)"})
    assert (wrong.status_code, error_of(wrong)) == (422, "query")


def test_saved_views(server: ServerHarness) -> None:
    annotator, viewer = server.signed_in(Role.ANNOTATOR), server.signed_in(Role.VIEWER)
    body = {"filters": {"query": "len(objects) > 1"}}
    assert annotator.put(f"{D}/views/many <b>", json=body).status_code == 204
    assert viewer.put(f"{D}/views/x", json=body).status_code == 403
    [view] = viewer.get(f"{D}/views").json()
    assert (view["name"], view["filters"], view["author"]) == ("many <b>", body["filters"], "Annotator")
    assert annotator.delete(f"{D}/views/many <b>").status_code == 204
    assert annotator.delete(f"{D}/views/many <b>").status_code == 404


def test_tiles_of_an_image(server: ServerHarness) -> None:
    from io import BytesIO

    from PIL import Image

    viewer = server.signed_in(Role.VIEWER)
    item = next(server.workspace.datasets.open("harbour").items())
    width, height = item["image"].width, item["image"].height
    tile = viewer.get(f"{D}/tile", params={"key": item.key, "level": 0, "x": 0, "y": 0})
    assert Image.open(BytesIO(tile.content)).size == (min(512, width), min(512, height))
    for wrong in ({"x": 1000, "y": 0, "level": 0}, {"x": -1, "y": 0, "level": 0}, {"x": 0, "y": 0, "level": 99}):
        assert viewer.get(f"{D}/tile", params={"key": item.key, **wrong}).status_code == 422
    assert viewer.get(f"{D}/frame", params={"key": item.key, "number": 0}).status_code == 404


def test_models_runs_and_suggested_recipe(server: ServerHarness) -> None:
    viewer = server.signed_in(Role.VIEWER)
    assert viewer.get(f"{API}/models").json() == []
    [run] = viewer.get(f"{API}/runs").json()
    assert (run["kind"], run["state"]) == ("import", "finished")
    assert viewer.get(f"{API}/runs/{run['id']}").json()["config"]["format"] == "coco"
    assert viewer.get(f"{API}/runs/{run['id']}/metrics").json() == []
    unsplit = viewer.get(f"{API}/recipes/suggested", params={"dataset": "harbour"})
    assert (unsplit.status_code, "no training and validation splits" in unsplit.json()["error"]["message"]) == (
        422,
        True,
    )
    keys = server.workspace.datasets.open("harbour").keys()
    manager = server.signed_in(Role.MANAGER)
    for split, part in (("train", keys[:6]), ("val", keys[6:])):
        manager.post(f"{D}/items/bulk", json={"keys": part, "action": "split", "target": split})
    text = viewer.get(f"{API}/recipes/suggested", params={"dataset": "harbour"}).json()["recipe"]
    import yaml

    from saccade.training.recipe import parse_recipe

    recipe = parse_recipe(yaml.safe_load(text))
    assert (recipe.data.dataset, recipe.data.train, recipe.data.validate_split) == ("harbour", "train", "val")


def test_web_app_files(server: ServerHarness) -> None:
    client = server.client()
    page = client.get("/datasets/harbour")
    if page.status_code == 503:
        assert "make web" in page.text
        return
    assert page.headers["content-type"].startswith("text/html")
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert "unsafe-eval" not in page.headers["Content-Security-Policy"]
    script = page.text.split('src="')[1].split('"')[0]
    loaded = client.get(script, headers={"Accept-Encoding": "gzip"})
    assert "javascript" in loaded.headers["content-type"]
    assert "immutable" in loaded.headers["Cache-Control"]
    for wrong in ("/assets/../../../pyproject.toml", "/assets/%2e%2e/%2e%2e/app.py", "/assets/nothing.js"):
        answer = client.get(wrong)
        assert answer.status_code in (200, 404)
        assert "saccade.server" not in answer.text
        assert "[project]" not in answer.text
    unknown = client.get(f"{API}/nothing")
    assert (unknown.status_code, error_of(unknown)) == (404, "not-found")
