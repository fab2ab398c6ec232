"""Idempotency keys: requests are done once, and their responses are replayed."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from tests.server.conftest import ServerHarness, error_of

from saccade.core.errors import WorkspaceError
from saccade.core.roles import Role
from saccade.server.middleware.idempotency import IDEMPOTENCY_HEADER, MAX_KEY_LENGTH, REPLAYED_HEADER
from saccade.server.permissions import API, ROUTE_PERMISSIONS, SAFE_METHODS, SECRET_RESPONSES
from saccade.store.datasets.datasets import Datasets
from saccade.store.jobs import idempotency

D = f"{API}/datasets/harbour"


def with_key(key: str) -> dict[str, str]:
    return {IDEMPOTENCY_HEADER: key}


def deletion(server: ServerHarness, count: int) -> dict[str, Any]:
    """Return the body of a write that fails if it is done twice."""
    return {"keys": server.workspace.datasets.open("harbour").keys()[:count], "action": "delete"}


def test_responses_are_replayed(server: ServerHarness) -> None:
    manager, body = server.signed_in(Role.MANAGER), deletion(server, 2)
    first = manager.post(f"{D}/items/bulk", json=body, headers=with_key("one"))
    again = manager.post(f"{D}/items/bulk", json=body, headers=with_key("one"))
    assert (first.status_code, first.json()["ref"], REPLAYED_HEADER in first.headers) == (201, "harbour@2", False)
    assert (again.status_code, again.json(), again.headers["ETag"]) == (201, first.json(), first.headers["ETag"])
    assert again.headers[REPLAYED_HEADER] == "true"
    assert again.headers["Content-Type"] == first.headers["Content-Type"]
    assert manager.get(D).json()["number"] == 2
    owner = server.signed_in(Role.OWNER, "owner@example.org")
    actions = [entry["action"] for entry in owner.get(f"{API}/audit").json()["entries"]]
    assert actions.count(f"POST {API}/datasets/{{ref}}/items/bulk") == 1, "it was done once"
    assert manager.post(f"{D}/items/bulk", json=body).status_code == 404, "without a key, the request is done again"
    manager.post(f"{D}/tags", json={"name": "gold", "number": 1})
    assert [manager.delete(f"{D}/tags/gold", headers=with_key("two")).status_code for _ in range(2)] == [204, 204]
    assert manager.delete(f"{D}/tags/gold").status_code == 404


def test_responses_that_cannot_be_stored_are_sent(server: ServerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the disk is full for a while, the response is stored by a later request."""
    manager, body = server.signed_in(Role.MANAGER), deletion(server, 2)
    end = idempotency.IdempotencyStore.complete
    failed: list[str] = []

    def full(*given: Any, **named: Any) -> None:
        if len(failed) < 2:
            failed.append("full")
            raise WorkspaceError("The disk is full.")
        end(*given, **named)

    monkeypatch.setattr(idempotency.IdempotencyStore, "complete", full)
    first = manager.post(f"{D}/items/bulk", json=body, headers=with_key("one"))
    assert (first.status_code, first.json()["ref"]) == (201, "harbour@2")
    early = manager.post(f"{D}/items/bulk", json=body, headers=with_key("one"))
    assert (early.status_code, error_of(early)) == (409, "conflict"), (
        "the key is reserved, but the response is not stored yet"
    )
    again = manager.post(f"{D}/items/bulk", json=body, headers=with_key("one"))
    assert (again.status_code, again.json(), again.headers[REPLAYED_HEADER]) == (201, first.json(), "true")
    assert manager.get(D).json()["number"] == 2


def test_a_key_cannot_be_used_for_another_request(server: ServerHarness) -> None:
    manager = server.signed_in(Role.MANAGER)
    tag = {"name": "gold", "number": 1}
    assert manager.post(f"{D}/tags", json=tag, headers=with_key("one")).status_code == 201
    for method, path, body in (
        ("POST", f"{D}/tags", {**tag, "name": "silver"}),
        ("POST", f"{D}/branches", tag),
        ("POST", f"{D}/tags?a=b", tag),
        ("DELETE", f"{D}/tags/gold", None),
    ):
        answer = manager.request(method, path, json=body, headers=with_key("one"))
        assert (answer.status_code, error_of(answer)) == (409, "conflict"), path
    assert manager.get(f"{D}/refs").json()["tags"] == {"gold": 1}
    for wrong in ("", "x" * (MAX_KEY_LENGTH + 1)):
        assert manager.post(f"{D}/tags", json=tag, headers=with_key(wrong)).status_code == 422


def test_refused_requests_release_the_key(server: ServerHarness) -> None:
    manager = server.signed_in(Role.MANAGER)
    tag = {"name": "gold", "number": 2}
    assert manager.post(f"{D}/tags", json=tag, headers=with_key("one")).status_code == 404
    assert manager.post(f"{D}/tags", json={"name": 7}, headers=with_key("one")).status_code == 422
    manager.post(f"{D}/items/bulk", json=deletion(server, 1))
    assert manager.post(f"{D}/tags", json=tag, headers=with_key("one")).status_code == 201
    viewer = server.signed_in(Role.VIEWER)
    assert viewer.post(f"{D}/tags", json=tag, headers=with_key("two")).status_code == 403
    server.workspace.users.set_role("viewer@example.org", Role.MANAGER)
    assert viewer.delete(f"{D}/tags/gold", headers=with_key("two")).status_code == 204


def test_keys_belong_to_a_user_and_project(server: ServerHarness) -> None:
    manager, owner = server.signed_in(Role.MANAGER), server.signed_in(Role.OWNER, "owner@example.org")
    assert manager.post(f"{D}/tags", json={"name": "mine", "number": 1}, headers=with_key("one")).status_code == 201
    assert owner.post(f"{D}/tags", json={"name": "yours", "number": 1}, headers=with_key("one")).status_code == 201
    assert owner.post(f"{API}/projects", json={"name": "night"}, headers=with_key("two")).status_code == 201
    night = owner.post(f"{API}/projects/night/webhooks", json={}, headers=with_key("two"))
    assert night.status_code == 422, "keys of other projects are independent"
    assert manager.get(f"{D}/refs").json()["tags"] == {"mine": 1, "yours": 1}


def test_secrets_are_not_stored(server: ServerHarness) -> None:
    manager = server.signed_in(Role.MANAGER)
    body = {"name": "nightly", "role": "viewer", "days": 1}
    first = manager.post(f"{API}/tokens", json=body, headers=with_key("one"))
    assert first.status_code == 201
    again = manager.post(f"{API}/tokens", json=body, headers=with_key("one"))
    assert (again.status_code, error_of(again)) == (409, "conflict")
    assert "secret" in again.json()["error"]["message"]
    assert len(manager.get(f"{API}/tokens").json()) == 1
    with sqlite3.connect(server.workspace.location / "catalog.db") as catalog:
        assert first.json()["token"] not in str(catalog.execute("SELECT * FROM idempotent_requests").fetchall())


def test_secret_responses_are_complete(server: ServerHarness) -> None:
    """Every response with a field for a secret is excluded from storage."""
    assert set(ROUTE_PERMISSIONS) >= SECRET_RESPONSES
    described, found = server.app.openapi(), set()
    for path, methods in described["paths"].items():
        for method, facts in methods.items():
            if method.upper() in SAFE_METHODS or ROUTE_PERMISSIONS[f"{method.upper()} {path}"] in (
                "public",
                "authenticated",
            ):
                continue
            answers = [facts["responses"][status] for status in facts["responses"] if status.startswith("2")]
            shapes = [entry["content"]["application/json"]["schema"] for entry in answers if "content" in entry]
            names = [shape.get("$ref", "").rpartition("/")[2] for shape in shapes]
            kinds = described["components"]["schemas"]
            fields = {field for name in names for field in kinds.get(name, {}).get("properties", ())}
            if fields & {"secret", "link", "token"}:
                found.add(f"{method.upper()} {path}")
    assert found == SECRET_RESPONSES


def test_concurrent_requests_are_done_once(server: ServerHarness) -> None:
    manager, body = server.signed_in(Role.MANAGER), deletion(server, 1)

    def send(_: int) -> Any:
        return manager.post(f"{D}/items/bulk", json=body, headers=with_key("one"))

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(send, range(16)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert {answer.json()["ref"] for answer in answers if answer.status_code == 201} == {"harbour@2"}
    assert [answer.status_code for answer in answers if REPLAYED_HEADER not in answer.headers].count(201) == 1
    assert send(0).headers[REPLAYED_HEADER] == "true"
    assert manager.get(D).json()["number"] == 2


def test_unexpected_errors_leave_the_outcome_unknown(server: ServerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    manager, body = server.signed_in(Role.MANAGER), deletion(server, 1)

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("unexpected")

    with monkeypatch.context() as patched:
        patched.setattr(Datasets, "delete_items", fail)
        assert manager.post(f"{D}/items/bulk", json=body, headers=with_key("one")).status_code == 500
    answer = manager.post(f"{D}/items/bulk", json=body, headers=with_key("one"))
    assert (answer.status_code, error_of(answer)) == (409, "conflict")
    assert "outcome is unknown" in answer.json()["error"]["message"]
    assert manager.post(f"{D}/items/bulk", json=body, headers=with_key("two")).status_code == 201


def test_keys_expire_after_a_day(server: ServerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    manager, body = server.signed_in(Role.MANAGER), deletion(server, 1)
    assert manager.post(f"{D}/items/bulk", json=body, headers=with_key("one")).status_code == 201
    monkeypatch.setattr(idempotency, "RETENTION", timedelta(seconds=-1))
    assert manager.post(f"{D}/items/bulk", json=body, headers=with_key("one")).status_code == 404


def test_reads_and_file_uploads_ignore_keys(server: ServerHarness) -> None:
    manager = server.signed_in(Role.MANAGER)
    assert [manager.get(D, headers=with_key("one")).status_code for _ in range(2)] == [200, 200]
    upload = manager.post(f"{API}/uploads", headers=with_key("up")).json()["id"]
    assert manager.post(f"{API}/uploads", headers=with_key("up")).json()["id"] == upload
    body = b'{"name": "a.txt", "size": 2}\nhi'
    for _ in range(2):
        answer = manager.post(f"{API}/uploads/{upload}/files", content=body, headers=with_key("one"))
        assert answer.json() == {"files": 1}
