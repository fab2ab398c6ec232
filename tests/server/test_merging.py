"""Merging and naming by HTTP, and changes that are refused where somebody else was first."""

from __future__ import annotations

from typing import Any

from tests.server.conftest import Site, error_of

from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import Column, Kind, Schema
from saccade.server.permissions import API

D = f"{API}/datasets/notes"
SCHEMA = Schema((Column("note", Kind.TEXT),))


def two_branches(site: Site) -> None:
    """Main and trial parted at version 1; both changed ``a`` and ``b``, each one thing that the other left alone."""
    datasets = site.workspace.datasets
    datasets.write("notes", SCHEMA, [Item(key, {"note": "old"}) for key in "abcd"], mode="create")
    datasets.branch("notes", "trial", "1")
    for branch, note, alone in (("main", "mine", "c"), ("trial", "theirs", "d")):
        items = [Item(key, {"note": note}) for key in ("a", "b", alone)]
        datasets.write("notes", SCHEMA, items, mode="merge", branch=branch)


def notes(site: Site) -> dict[str, Any]:
    return {item.key: item["note"] for item in site.workspace.datasets.open("notes").items()}


def test_a_merge_lists_its_conflicts_and_takes_the_sides_that_are_chosen(site: Site) -> None:
    two_branches(site)
    manager = site.signed_in(Role.MANAGER)
    dry = manager.post(f"{API}/datasets/notes@trial/merge", json={"dry_run": True})
    told = dry.json()
    assert (told["version"], told["base"], told["ours"], told["theirs"]) == (None, "notes@1", "notes@2", "notes@3")
    assert (told["total"], told["open"], told["changed"]) == (2, 2, 1)
    assert [one["key"] for one in told["conflicts"]] == ["a", "b"]
    assert told["conflicts"][0] == {
        "key": "a",
        "column": "note",
        "object": None,
        "class": None,
        "ours": "changed",
        "theirs": "changed",
        "take": None,
    }
    page = manager.post(f"{API}/datasets/notes@trial/merge", json={"dry_run": True, "start": 1, "limit": 1}).json()
    assert ([one["key"] for one in page["conflicts"]], page["total"]) == (["b"], 2)
    refused = manager.post(f"{API}/datasets/notes@trial/merge", json={})
    assert (refused.status_code, error_of(refused)) == (409, "merge-conflict")
    choice = {name: told["conflicts"][0][name] for name in ("key", "column", "object", "class")} | {"take": "theirs"}
    half = manager.post(f"{API}/datasets/notes@trial/merge", json={"choices": [choice]})
    assert error_of(half) == "merge-conflict"
    assert notes(site) == {"a": "mine", "b": "mine", "c": "mine", "d": "old"}
    body = {"choices": [choice], "take": "ours", "message": "both"}
    done = manager.post(f"{API}/datasets/notes@trial/merge", json=body, headers={"If-Match": dry.headers["ETag"]})
    assert (done.status_code, done.json()["version"]) == (200, "notes@4")
    assert [one["take"] for one in done.json()["conflicts"]] == ["theirs", "ours"]
    assert notes(site) == {"a": "theirs", "b": "mine", "c": "mine", "d": "theirs"}
    newest = manager.get(f"{D}/log").json()[0]
    assert (newest["merged"], newest["message"], newest["author"]) == (3, "both", "Manager")
    again = manager.post(f"{API}/datasets/notes@trial/merge", json={}).json()
    assert (again["version"], again["total"]) == ("notes@4", 0)


def test_what_cannot_be_merged(site: Site) -> None:
    two_branches(site)
    manager, annotator = site.signed_in(Role.MANAGER), site.signed_in(Role.ANNOTATOR)
    path = f"{API}/datasets/notes@trial/merge"
    assert annotator.post(path, json={"dry_run": True}).status_code == 403
    for body, status in (
        ({"into": "nowhere"}, 404),
        ({"take": "mine"}, 422),
        ({"choices": [{"column": "note"}]}, 422),
        ({"choices": [{"key": "a", "take": "both"}]}, 422),
        ({"message": "x" * 2001}, 422),
        ({"limit": -1}, 422),
    ):
        assert manager.post(path, json=body).status_code == status, body
    assert manager.post(f"{API}/datasets/notes@nobody/merge", json={}).status_code == 404
    assert len(site.workspace.datasets.log("notes")) == 3


def test_whoever_looked_at_an_older_version_changes_nothing(site: Site) -> None:
    two_branches(site)
    manager = site.signed_in(Role.MANAGER)
    looked = {"If-Match": manager.get(D).headers["ETag"]}
    first = manager.post(f"{D}/change", json={"keys": ["c"], "act": "delete"}, headers=looked)
    assert first.status_code == 201
    calls: list[tuple[str, str, Any]] = [
        ("POST", f"{D}/change", {"keys": ["a"], "act": "delete"}),
        ("POST", f"{D}/restore", {"number": 1}),
        ("POST", f"{D}/change", {"keys": ["a"], "act": "tag", "value": "x"}),
        ("POST", f"{API}/datasets/notes@trial/merge", {"take": "ours"}),
        ("POST", f"{D}/tags", {"name": "t", "number": 1}),
        ("POST", f"{D}/aliases", {"name": "a", "number": 1}),
        ("POST", f"{D}/branches", {"name": "b", "number": 1}),
        ("DELETE", D, None),
        ("DELETE", f"{D}/branches/trial", None),
    ]
    before = manager.get(f"{D}/log").json(), manager.get(f"{D}/names").json()
    for method, path, body in calls:
        for header in (looked, {"If-Match": f"W/{looked['If-Match']}"}, {"If-Match": '"nothing", "at all"'}):
            late = manager.request(method, path, json=body, headers=header)
            assert (late.status_code, error_of(late)) == (412, "moved"), (path, late.text)
    assert (manager.get(f"{D}/log").json(), manager.get(f"{D}/names").json()) == before
    chained = manager.post(f"{D}/restore", json={"number": 1}, headers={"If-Match": first.headers["ETag"]})
    assert chained.json()["number"] == 5
    both = f'"other", {chained.headers["ETag"]}'
    assert manager.post(f"{D}/tags", json={"name": "t", "number": 1}, headers={"If-Match": both}).status_code == 201
    assert manager.post(f"{D}/restore", json={"number": 2}, headers={"If-Match": "*"}).status_code == 201


def test_a_version_that_equals_an_older_one_is_another_one(site: Site) -> None:
    """A version that was restored shares its data with the old one; whoever has that has not seen this."""
    two_branches(site)
    manager = site.signed_in(Role.MANAGER)
    old = manager.get(f"{API}/datasets/notes@2").headers["ETag"]
    manager.post(f"{D}/change", json={"keys": ["c"], "act": "delete"})
    manager.post(f"{D}/restore", json={"number": 2})
    now = manager.get(D, headers={"If-None-Match": old})
    assert (now.status_code, now.json()["number"]) == (200, 5)
    late = manager.post(f"{D}/restore", json={"number": 1}, headers={"If-Match": old})
    assert late.status_code == 412


def test_a_branch_is_changed_by_its_name(site: Site) -> None:
    two_branches(site)
    manager = site.signed_in(Role.MANAGER)
    looked = {"If-Match": manager.get(f"{API}/datasets/notes@trial").headers["ETag"]}
    made = manager.post(
        f"{API}/datasets/notes@trial/change", json={"where": 'note == "theirs"', "act": "delete"}, headers=looked
    )
    assert made.json()["items"] == 1
    assert manager.get(f"{API}/datasets/notes@trial/keys").json() == {"keys": ["c"], "total": 1, "next": None}
    assert manager.get(f"{D}/keys", params={"limit": 0}).json() == {"keys": [], "total": 4, "next": None}
    assert manager.get(f"{D}/keys", params={"start": 1, "limit": 2}).json()["next"] == "3"
    late = manager.post(f"{API}/datasets/notes@trial/restore", json={"number": 1}, headers=looked)
    assert late.status_code == 412
    assert [one["number"] for one in manager.get(f"{D}/log", params={"branch": "trial"}).json()] == [4, 3, 1]
    for odd in ("notes@2", "notes@nobody"):
        answer = manager.post(f"{API}/datasets/{odd}/restore", json={"number": 1})
        assert (answer.status_code, error_of(answer)) == (422, "invalid-value")


def test_names_are_moved_and_taken_away(site: Site) -> None:
    two_branches(site)
    manager = site.signed_in(Role.MANAGER)
    manager.post(f"{D}/aliases", json={"name": "best", "number": 1})
    assert manager.post(f"{D}/aliases", json={"name": "best", "number": 2}).json()["aliases"] == {"best": 2}
    assert manager.post(f"{D}/aliases", json={"name": "trial", "number": 2}).status_code == 409
    assert manager.delete(f"{D}/aliases/best").status_code == 204
    assert manager.delete(f"{D}/aliases/best").status_code == 404
    main = manager.delete(f"{D}/branches/main")
    assert (main.status_code, error_of(main)) == (422, "invalid-value")
    assert manager.delete(f"{D}/branches/trial").status_code == 204
    assert manager.delete(f"{D}/branches/trial").status_code == 404
    assert manager.get(f"{D}/names").json() == {"branches": {"main": 2}, "tags": {}, "aliases": {}}
    assert manager.get(f"{API}/datasets/notes@3").json()["branch"] == "trial", "its versions stay"
    assert manager.post(f"{D}/branches", json={"name": "trial", "number": 3}).status_code == 201


def test_differences_come_by_pages(site: Site) -> None:
    two_branches(site)
    viewer = site.signed_in(Role.VIEWER)
    pages = [
        viewer.get(f"{D}/diff", params={"against": "notes@1", "limit": 2, "start": start}).json() for start in (0, 2, 4)
    ]
    assert [[one["key"] for one in page["changed"]] for page in pages] == [["a", "b"], ["c"], []]
    assert {page["counts"]["changed"] for page in pages} == {3}
