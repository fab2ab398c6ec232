"""A request with an Idempotency-Key: done once, answered as often as it is sent, and nobody else's business."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from tests.server.conftest import Site, error_of

from saccade.core.errors import WorkspaceError
from saccade.core.roles import Role
from saccade.server.middleware.idempotency import HEADER, LONGEST, REPLAYED
from saccade.server.permissions import API, ROUTES, SAFE, TELLS_SECRET
from saccade.store.datasets.datasets import Datasets
from saccade.store.jobs import idempotency

D = f"{API}/datasets/harbour"


def named(name: str) -> dict[str, str]:
    return {HEADER: name}


def without(site: Site, count: int) -> dict[str, Any]:
    """A change that cannot be made twice."""
    return {"keys": site.workspace.datasets.open("harbour").keys()[:count], "act": "delete"}


def test_what_was_done_is_answered_again(site: Site) -> None:
    manager, body = site.signed_in(Role.MANAGER), without(site, 2)
    first = manager.post(f"{D}/change", json=body, headers=named("one"))
    again = manager.post(f"{D}/change", json=body, headers=named("one"))
    assert (first.status_code, first.json()["ref"], REPLAYED in first.headers) == (201, "harbour@2", False)
    assert (again.status_code, again.json(), again.headers["ETag"]) == (201, first.json(), first.headers["ETag"])
    assert again.headers[REPLAYED] == "true"
    assert again.headers["Content-Type"] == first.headers["Content-Type"]
    assert manager.get(D).json()["number"] == 2
    owner = site.signed_in(Role.OWNER, "owner@example.org")
    noted = [deed["action"] for deed in owner.get(f"{API}/audit").json()["deeds"]]
    assert noted.count(f"POST {API}/datasets/{{ref}}/change") == 1, "it was done once"
    assert manager.post(f"{D}/change", json=body).status_code == 404, "without a name it is a request like any other"
    manager.post(f"{D}/tags", json={"name": "gold", "number": 1})
    assert [manager.delete(f"{D}/tags/gold", headers=named("two")).status_code for _ in range(2)] == [204, 204]
    assert manager.delete(f"{D}/tags/gold").status_code == 404


def test_what_is_done_is_answered_also_where_that_cannot_be_noted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a disk that is full for a while; it is noted as soon as it can be."""
    manager, body = site.signed_in(Role.MANAGER), without(site, 2)
    end = idempotency.Requests.end
    failed: list[str] = []

    def full(*given: Any, **named: Any) -> None:
        if len(failed) < 2:
            failed.append("full")
            raise WorkspaceError("The disk is full.")
        end(*given, **named)

    monkeypatch.setattr(idempotency.Requests, "end", full)
    first = manager.post(f"{D}/change", json=body, headers=named("one"))
    assert (first.status_code, first.json()["ref"]) == (201, "harbour@2")
    early = manager.post(f"{D}/change", json=body, headers=named("one"))
    assert (early.status_code, error_of(early)) == (409, "conflict"), (
        "it is known that it is being done, not how it went"
    )
    again = manager.post(f"{D}/change", json=body, headers=named("one"))
    assert (again.status_code, again.json(), again.headers[REPLAYED]) == (201, first.json(), "true")
    assert manager.get(D).json()["number"] == 2


def test_another_request_under_the_same_name_is_refused(site: Site) -> None:
    manager = site.signed_in(Role.MANAGER)
    tag = {"name": "gold", "number": 1}
    assert manager.post(f"{D}/tags", json=tag, headers=named("one")).status_code == 201
    for method, path, body in (
        ("POST", f"{D}/tags", {**tag, "name": "silver"}),
        ("POST", f"{D}/branches", tag),
        ("POST", f"{D}/tags?a=b", tag),
        ("DELETE", f"{D}/tags/gold", None),
    ):
        answer = manager.request(method, path, json=body, headers=named("one"))
        assert (answer.status_code, error_of(answer)) == (409, "conflict"), path
    assert manager.get(f"{D}/names").json()["tags"] == {"gold": 1}
    for wrong in ("", "x" * (LONGEST + 1)):
        assert manager.post(f"{D}/tags", json=tag, headers=named(wrong)).status_code == 422


def test_what_was_refused_may_be_tried_again(site: Site) -> None:
    manager = site.signed_in(Role.MANAGER)
    tag = {"name": "gold", "number": 2}
    assert manager.post(f"{D}/tags", json=tag, headers=named("one")).status_code == 404
    assert manager.post(f"{D}/tags", json={"name": 7}, headers=named("one")).status_code == 422
    manager.post(f"{D}/change", json=without(site, 1))
    assert manager.post(f"{D}/tags", json=tag, headers=named("one")).status_code == 201
    viewer = site.signed_in(Role.VIEWER)
    assert viewer.post(f"{D}/tags", json=tag, headers=named("two")).status_code == 403
    site.workspace.people.set_role("viewer@example.org", Role.MANAGER)
    assert viewer.delete(f"{D}/tags/gold", headers=named("two")).status_code == 204


def test_names_are_ones_own(site: Site) -> None:
    manager, owner = site.signed_in(Role.MANAGER), site.signed_in(Role.OWNER, "owner@example.org")
    assert manager.post(f"{D}/tags", json={"name": "mine", "number": 1}, headers=named("one")).status_code == 201
    assert owner.post(f"{D}/tags", json={"name": "yours", "number": 1}, headers=named("one")).status_code == 201
    assert owner.post(f"{API}/projects", json={"name": "night"}, headers=named("two")).status_code == 201
    night = owner.post(f"{API}/projects/night/webhooks", json={}, headers=named("two"))
    assert night.status_code == 422, "in another project it is another name"
    assert manager.get(f"{D}/names").json()["tags"] == {"mine": 1, "yours": 1}


def test_a_secret_is_told_once(site: Site) -> None:
    manager = site.signed_in(Role.MANAGER)
    body = {"name": "nightly", "role": "viewer", "days": 1}
    first = manager.post(f"{API}/tokens", json=body, headers=named("one"))
    assert first.status_code == 201
    again = manager.post(f"{API}/tokens", json=body, headers=named("one"))
    assert (again.status_code, error_of(again)) == (409, "conflict")
    assert "secret" in again.json()["error"]["message"]
    assert len(manager.get(f"{API}/tokens").json()) == 1
    with sqlite3.connect(site.workspace.location / "catalog.db") as catalog:
        assert first.json()["token"] not in str(catalog.execute("SELECT * FROM requests").fetchall())


def test_routes_that_tell_secrets_are_known(site: Site) -> None:
    """Every answer that has a field for a secret or a link that lets in is one that is not kept."""
    assert set(ROUTES) >= TELLS_SECRET
    described, found = site.app.openapi(), set()
    for path, methods in described["paths"].items():
        for method, facts in methods.items():
            if method.upper() in SAFE or ROUTES[f"{method.upper()} {path}"] in ("public", "oneself"):
                continue
            answers = [facts["responses"][status] for status in facts["responses"] if status.startswith("2")]
            shapes = [one["content"]["application/json"]["schema"] for one in answers if "content" in one]
            names = [shape.get("$ref", "").rpartition("/")[2] for shape in shapes]
            kinds = described["components"]["schemas"]
            fields = {field for name in names for field in kinds.get(name, {}).get("properties", ())}
            if fields & {"secret", "link", "token"}:
                found.add(f"{method.upper()} {path}")
    assert found == TELLS_SECRET


def test_many_at_once_are_one(site: Site) -> None:
    manager, body = site.signed_in(Role.MANAGER), without(site, 1)

    def ask(_: int) -> Any:
        return manager.post(f"{D}/change", json=body, headers=named("one"))

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(16)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert {answer.json()["ref"] for answer in answers if answer.status_code == 201} == {"harbour@2"}
    assert [answer.status_code for answer in answers if REPLAYED not in answer.headers].count(201) == 1
    assert ask(0).headers[REPLAYED] == "true"
    assert manager.get(D).json()["number"] == 2


def test_nobody_knows_of_what_went_wrong(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    manager, body = site.signed_in(Role.MANAGER), without(site, 1)

    def break_down(*given: Any, **named: Any) -> Any:
        raise RuntimeError("nobody thought of this")

    with monkeypatch.context() as patched:
        patched.setattr(Datasets, "delete_items", break_down)
        assert manager.post(f"{D}/change", json=body, headers=named("one")).status_code == 500
    answer = manager.post(f"{D}/change", json=body, headers=named("one"))
    assert (answer.status_code, error_of(answer)) == (409, "conflict")
    assert "nobody knows" in answer.json()["error"]["message"]
    assert manager.post(f"{D}/change", json=body, headers=named("two")).status_code == 201


def test_after_a_day_it_is_forgotten(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    manager, body = site.signed_in(Role.MANAGER), without(site, 1)
    assert manager.post(f"{D}/change", json=body, headers=named("one")).status_code == 201
    monkeypatch.setattr(idempotency, "KEPT", timedelta(seconds=-1))
    assert manager.post(f"{D}/change", json=body, headers=named("one")).status_code == 404


def test_reading_and_sending_files_have_no_need_of_it(site: Site) -> None:
    manager = site.signed_in(Role.MANAGER)
    assert [manager.get(D, headers=named("one")).status_code for _ in range(2)] == [200, 200]
    upload = manager.post(f"{API}/uploads", headers=named("up")).json()["id"]
    assert manager.post(f"{API}/uploads", headers=named("up")).json()["id"] == upload
    sent = b'{"name": "a.txt", "size": 2}\nhi'
    for _ in range(2):
        answer = manager.post(f"{API}/uploads/{upload}/files", content=sent, headers=named("one"))
        assert answer.json() == {"files": 1}
