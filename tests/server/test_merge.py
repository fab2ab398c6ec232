"""HTTP API: merges, refs, and writes based on a stale version."""

from __future__ import annotations

from typing import Any

from tests.server.conftest import ServerHarness, error_of

from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import Column, Kind, Schema
from saccade.server.permissions import API

D = f"{API}/datasets/notes"
SCHEMA = Schema((Column("note", Kind.TEXT),))


def create_two_branches(server: ServerHarness) -> None:
    """Main and trial diverge at version 1: both change ``a`` and ``b``, and each changes one more item."""
    datasets = server.workspace.datasets
    datasets.write("notes", SCHEMA, [Item(key, {"note": "old"}) for key in "abcd"], mode="create")
    datasets.branch("notes", "trial", "1")
    for branch, note, own in (("main", "mine", "c"), ("trial", "theirs", "d")):
        items = [Item(key, {"note": note}) for key in ("a", "b", own)]
        datasets.write("notes", SCHEMA, items, mode="merge", branch=branch)


def notes(server: ServerHarness) -> dict[str, Any]:
    return {item.key: item["note"] for item in server.workspace.datasets.open("notes").items()}


def test_conflicts_are_listed_and_resolved(server: ServerHarness) -> None:
    create_two_branches(server)
    manager = server.signed_in(Role.MANAGER)
    dry = manager.post(f"{API}/datasets/notes@trial/merge", json={"dry_run": True})
    preview = dry.json()
    assert (preview["version"], preview["base"], preview["ours"], preview["theirs"]) == (
        None,
        "notes@1",
        "notes@2",
        "notes@3",
    )
    assert (preview["total"], preview["unresolved"], preview["changed"]) == (2, 2, 1)
    assert [entry["key"] for entry in preview["conflicts"]] == ["a", "b"]
    assert preview["conflicts"][0] == {
        "key": "a",
        "column": "note",
        "object": None,
        "class": None,
        "ours": "changed",
        "theirs": "changed",
        "resolution": None,
    }
    page = manager.post(f"{API}/datasets/notes@trial/merge", json={"dry_run": True, "start": 1, "limit": 1}).json()
    assert ([entry["key"] for entry in page["conflicts"]], page["total"]) == (["b"], 2)
    refused = manager.post(f"{API}/datasets/notes@trial/merge", json={})
    assert (refused.status_code, error_of(refused)) == (409, "merge-conflict")
    choice = {name: preview["conflicts"][0][name] for name in ("key", "column", "object", "class")} | {
        "resolution": "theirs"
    }
    partial = manager.post(f"{API}/datasets/notes@trial/merge", json={"choices": [choice]})
    assert error_of(partial) == "merge-conflict"
    assert notes(server) == {"a": "mine", "b": "mine", "c": "mine", "d": "old"}
    body = {"choices": [choice], "resolution": "ours", "message": "both"}
    merged = manager.post(f"{API}/datasets/notes@trial/merge", json=body, headers={"If-Match": dry.headers["ETag"]})
    assert (merged.status_code, merged.json()["version"]) == (200, "notes@4")
    assert [entry["resolution"] for entry in merged.json()["conflicts"]] == ["theirs", "ours"]
    assert notes(server) == {"a": "theirs", "b": "mine", "c": "mine", "d": "theirs"}
    newest = manager.get(f"{D}/versions").json()[0]
    assert (newest["merged"], newest["message"], newest["author"]) == (3, "both", "Manager")
    again = manager.post(f"{API}/datasets/notes@trial/merge", json={}).json()
    assert (again["version"], again["total"]) == ("notes@4", 0)


def test_invalid_merges(server: ServerHarness) -> None:
    create_two_branches(server)
    manager, annotator = server.signed_in(Role.MANAGER), server.signed_in(Role.ANNOTATOR)
    path = f"{API}/datasets/notes@trial/merge"
    assert annotator.post(path, json={"dry_run": True}).status_code == 403
    for body, status in (
        ({"into": "nowhere"}, 404),
        ({"resolution": "mine"}, 422),
        ({"choices": [{"column": "note"}]}, 422),
        ({"choices": [{"key": "a", "resolution": "both"}]}, 422),
        ({"message": "x" * 2001}, 422),
        ({"limit": -1}, 422),
    ):
        assert manager.post(path, json=body).status_code == status, body
    assert manager.post(f"{API}/datasets/notes@missing/merge", json={}).status_code == 404
    assert len(server.workspace.datasets.log("notes")) == 3


def test_stale_writes_are_refused(server: ServerHarness) -> None:
    create_two_branches(server)
    manager = server.signed_in(Role.MANAGER)
    if_match = {"If-Match": manager.get(D).headers["ETag"]}
    first = manager.post(f"{D}/items/bulk", json={"keys": ["c"], "action": "delete"}, headers=if_match)
    assert first.status_code == 201
    calls: list[tuple[str, str, Any]] = [
        ("POST", f"{D}/items/bulk", {"keys": ["a"], "action": "delete"}),
        ("POST", f"{D}/restore", {"number": 1}),
        ("POST", f"{D}/items/bulk", {"keys": ["a"], "action": "tag", "target": "x"}),
        ("POST", f"{API}/datasets/notes@trial/merge", {"resolution": "ours"}),
        ("POST", f"{D}/tags", {"name": "t", "number": 1}),
        ("POST", f"{D}/aliases", {"name": "a", "number": 1}),
        ("POST", f"{D}/branches", {"name": "b", "number": 1}),
        ("DELETE", D, None),
        ("DELETE", f"{D}/branches/trial", None),
    ]
    before = manager.get(f"{D}/versions").json(), manager.get(f"{D}/refs").json()
    for method, path, body in calls:
        for header in (if_match, {"If-Match": f"W/{if_match['If-Match']}"}, {"If-Match": '"nothing", "at all"'}):
            late = manager.request(method, path, json=body, headers=header)
            assert (late.status_code, error_of(late)) == (412, "stale-version"), (path, late.text)
    assert (manager.get(f"{D}/versions").json(), manager.get(f"{D}/refs").json()) == before
    chained = manager.post(f"{D}/restore", json={"number": 1}, headers={"If-Match": first.headers["ETag"]})
    assert chained.json()["number"] == 5
    several = f'"other", {chained.headers["ETag"]}'
    assert manager.post(f"{D}/tags", json={"name": "t", "number": 1}, headers={"If-Match": several}).status_code == 201
    assert manager.post(f"{D}/restore", json={"number": 2}, headers={"If-Match": "*"}).status_code == 201


def test_restored_versions_have_their_own_etag(server: ServerHarness) -> None:
    """A restored version shares its data with the old one, but it is another version."""
    create_two_branches(server)
    manager = server.signed_in(Role.MANAGER)
    old = manager.get(f"{API}/datasets/notes@2").headers["ETag"]
    manager.post(f"{D}/items/bulk", json={"keys": ["c"], "action": "delete"})
    manager.post(f"{D}/restore", json={"number": 2})
    now = manager.get(D, headers={"If-None-Match": old})
    assert (now.status_code, now.json()["number"]) == (200, 5)
    late = manager.post(f"{D}/restore", json={"number": 1}, headers={"If-Match": old})
    assert late.status_code == 412


def test_branches_are_edited_by_name(server: ServerHarness) -> None:
    create_two_branches(server)
    manager = server.signed_in(Role.MANAGER)
    if_match = {"If-Match": manager.get(f"{API}/datasets/notes@trial").headers["ETag"]}
    edited = manager.post(
        f"{API}/datasets/notes@trial/items/bulk",
        json={"where": 'note == "theirs"', "action": "delete"},
        headers=if_match,
    )
    assert edited.json()["items"] == 1
    assert manager.get(f"{API}/datasets/notes@trial/keys").json() == {"keys": ["c"], "total": 1, "next": None}
    assert manager.get(f"{D}/keys", params={"limit": 0}).json() == {"keys": [], "total": 4, "next": None}
    assert manager.get(f"{D}/keys", params={"start": 1, "limit": 2}).json()["next"] == "3"
    late = manager.post(f"{API}/datasets/notes@trial/restore", json={"number": 1}, headers=if_match)
    assert late.status_code == 412
    assert [entry["number"] for entry in manager.get(f"{D}/versions", params={"branch": "trial"}).json()] == [4, 3, 1]
    for odd, status, code in (("notes@2", 422, "invalid-value"), ("notes@missing", 404, "not-found")):
        answer = manager.post(f"{API}/datasets/{odd}/restore", json={"number": 1})
        assert (answer.status_code, error_of(answer)) == (status, code)


def test_every_write_goes_to_the_branch_in_the_address(server: ServerHarness) -> None:
    create_two_branches(server)
    server.workspace.datasets.alias("notes", "gold", 1)
    manager = server.signed_in(Role.MANAGER)
    trial = f"{API}/datasets/notes@trial"
    labels = Schema((Column("label", Kind.LABEL),))
    server.workspace.datasets.write("notes@trial", labels, [Item("a", {"label": "car"})], mode="merge")
    rename = {"edits": [{"action": "rename", "name": "car", "new_name": "lorry"}]}
    writes: tuple[tuple[str, dict[str, Any]], ...] = (
        ("classes", rename),
        ("items/bulk", {"keys": ["a"], "action": "tag", "target": "night"}),
        ("items/bulk", {"keys": ["a"], "action": "untag", "target": "night"}),
        ("items/bulk", {"keys": ["a"], "action": "split", "target": "val"}),
        ("items/bulk", {"keys": ["b"], "action": "delete"}),
        ("restore", {"number": 1}),
    )
    for route, body in writes:
        etag = manager.get(trial).headers["ETag"]
        created = manager.post(f"{trial}/{route}", json=body, headers={"If-Match": etag})
        assert created.status_code == 201, created.text
        assert manager.get(trial).json()["number"] == created.json()["number"]
        assert manager.get(f"{API}/datasets/notes@{created.json()['number']}").json()["branch"] == "trial"
        stale = manager.post(f"{trial}/{route}", json=body, headers={"If-Match": etag})
        assert (stale.status_code, error_of(stale)) == (412, "stale-version")
        for fixed in ("notes@1", "notes@gold"):
            refused = manager.post(f"{API}/datasets/{fixed}/{route}", json=body)
            assert (refused.status_code, error_of(refused)) == (422, "invalid-value")
            assert "saccade datasets branch" in refused.json()["error"]["hint"]
    assert manager.get(D).json()["number"] == 2, "the main branch did not change"


def test_names_are_given_if_the_branch_is_unchanged(server: ServerHarness) -> None:
    """``If-Match`` is the ETag of the branch in the address, not of the main branch."""
    create_two_branches(server)
    manager = server.signed_in(Role.MANAGER)
    trial = f"{API}/datasets/notes@trial"
    current = {"If-Match": manager.get(trial).headers["ETag"]}
    stale = {"If-Match": manager.get(D).headers["ETag"]}
    for route, name in (("tags", "reviewed"), ("aliases", "best"), ("branches", "second")):
        body = {"name": name, "number": 3}
        assert manager.post(f"{trial}/{route}", json=body, headers=stale).status_code == 412
        assert manager.post(f"{trial}/{route}", json=body, headers=current).status_code == 201
    for path in ("tags/reviewed", "aliases/best"):
        assert manager.delete(f"{trial}/{path}", headers=stale).status_code == 412
        assert manager.delete(f"{trial}/{path}", headers=current).status_code == 204


def test_refs_are_moved_and_deleted(server: ServerHarness) -> None:
    create_two_branches(server)
    manager = server.signed_in(Role.MANAGER)
    manager.post(f"{D}/aliases", json={"name": "best", "number": 1})
    assert manager.post(f"{D}/aliases", json={"name": "best", "number": 2}).json()["aliases"] == {"best": 2}
    assert manager.post(f"{D}/aliases", json={"name": "trial", "number": 2}).status_code == 409
    assert manager.delete(f"{D}/aliases/best").status_code == 204
    assert manager.delete(f"{D}/aliases/best").status_code == 404
    main = manager.delete(f"{D}/branches/main")
    assert (main.status_code, error_of(main)) == (422, "invalid-value")
    assert manager.delete(f"{D}/branches/trial").status_code == 204
    assert manager.delete(f"{D}/branches/trial").status_code == 404
    assert manager.get(f"{D}/refs").json() == {"branches": {"main": 2}, "tags": {}, "aliases": {}}
    assert manager.get(f"{API}/datasets/notes@3").json()["branch"] == "trial", "its versions are kept"
    assert manager.post(f"{D}/branches", json={"name": "trial", "number": 3}).status_code == 201


def test_diffs_are_paged(server: ServerHarness) -> None:
    create_two_branches(server)
    viewer = server.signed_in(Role.VIEWER)
    pages = [
        viewer.get(f"{D}/diff", params={"against": "notes@1", "limit": 2, "start": start}).json() for start in (0, 2, 4)
    ]
    assert [[entry["key"] for entry in page["changed"]] for page in pages] == [["a", "b"], ["c"], []]
    assert {page["counts"]["changed"] for page in pages} == {3}
