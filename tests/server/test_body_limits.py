"""Limits of request bodies: size, number of fields and values, levels, and listed errors; and where they are parsed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from tests.server.conftest import ServerHarness, error_of
from tests.server.test_jobs import pack, send

from saccade.core.errors import InvalidValueError
from saccade.core.roles import Role
from saccade.server.app import ROUTERS
from saccade.server.dependencies import json_body
from saccade.server.dependencies.json_body import MAX_DEPTH, MAX_LISTED_ERRORS, JsonRoute, parse_body
from saccade.server.permissions import API, DEFAULT_BODY_LIMITS, LARGE_BODY_LIMITS, BodyLimits, body_limits


class AnyBody(BaseModel):
    """A body that accepts any field."""

    content: Any = None


def is_on_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def unknown_fields(count: int) -> dict[str, int]:
    return {f"unknown-{number}": number for number in range(count)}


def test_bodies_with_many_fields_are_refused_before_they_are_validated(server: ServerHarness) -> None:
    body = unknown_fields(60_000)
    anonymous = server.client()
    for path in ("session", "session/oidc", "invitations/lookup", "invitations/accept"):
        answer = anonymous.post(f"{API}/{path}", json=body)
        assert (answer.status_code, error_of(answer)) == (413, "too-large"), path
    assert anonymous.post(f"{API}/tokens", content=b"[" * 100_000).status_code in (401, 422)
    owner = server.signed_in(Role.OWNER)
    for path in ("tokens", "jobs", "datasets/harbour/tags", "projects/default/datasets/harbour/items/bulk"):
        answer = owner.post(f"{API}/{path}", json=unknown_fields(60_000))
        assert answer.status_code in (413, 422), path
        assert error_of(answer) in ("too-large", "invalid-value")
        assert answer.json()["error"]["fields"] == {}
        assert len(answer.content) < 1000


def test_only_the_first_errors_are_listed(server: ServerHarness) -> None:
    owner = server.signed_in(Role.OWNER)
    answer = owner.post(f"{API}/tokens", json={"name": "t", **unknown_fields(500)})
    error = answer.json()["error"]
    assert answer.status_code == 422
    assert list(error["fields"]) == [f"unknown-{number}" for number in range(MAX_LISTED_ERRORS)]
    assert "500 errors" in error["message"]
    few = owner.post(f"{API}/tokens", json={"name": "t", **unknown_fields(2)}).json()["error"]
    assert (len(few["fields"]), few["message"]) == (2, "The request is invalid.")
    long_name = owner.post(f"{API}/tokens", json={"name": "t", "x" * 500_000: 1})
    assert len(long_name.content) < 1000


def test_long_lists_of_invalid_values_have_one_error(server: ServerHarness) -> None:
    owner = server.signed_in(Role.OWNER)
    edit = {"action": "tag", "target": "t", "keys": list(range(90_000))}
    answer = owner.post(f"{API}/datasets/harbour/items/bulk", json=edit)
    assert (answer.status_code, list(answer.json()["error"]["fields"])) == (422, ["keys.0"])
    job = {"kind": "edit-items", "parameters": {"dataset": "harbour", **edit}}
    assert owner.post(f"{API}/jobs", json=job).status_code == 422
    files = [{"kind": "image", "digest": number} for number in range(5000)]
    blobs = owner.post(f"{API}/blobs/exists", json={"files": files})
    assert (blobs.status_code, list(blobs.json()["error"]["fields"])) == (422, ["files.0.digest"])


def test_the_largest_valid_bodies_are_accepted(server: ServerHarness) -> None:
    owner = server.signed_in(Role.OWNER)
    files = [{"kind": "image", "digest": f"{number:064x}", "frame": number} for number in range(5000)]
    assert owner.post(f"{API}/blobs/exists", json={"files": files}).json() == {"existing": [False] * 5000}
    keys = [f"folder/image-{number:06}.jpg" for number in range(100_000)]
    edit = {"action": "tag", "target": "t", "keys": keys}
    answer = owner.post(f"{API}/datasets/harbour/items/bulk", json=edit)
    assert (answer.status_code, error_of(answer)) == (404, "not-found"), "there are no such items"


def test_authorization_precedes_validation(server: ServerHarness) -> None:
    invalid = unknown_fields(20)
    assert server.client().post(f"{API}/tokens", json=invalid).status_code == 401
    assert server.signed_in(Role.VIEWER).post(f"{API}/datasets/harbour/tags", json=invalid).status_code == 403


def test_large_bodies_are_parsed_and_validated_off_the_event_loop(
    server: ServerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    routes = [route for router in ROUTERS for route in router.routes if getattr(route, "body_field", None)]
    assert len(routes) > 10
    for route in routes:
        assert isinstance(route, JsonRoute), route
        assert route.body_field is not None
        model = route.body_field.field_info.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel), route.path
    calls: list[bool] = []

    def recording_parse_body(content: bytes, model: type[BaseModel], limits: BodyLimits) -> BaseModel:
        calls.append(is_on_event_loop())
        return parse_body(content, model, limits)

    monkeypatch.setattr(json_body, "parse_body", recording_parse_body)
    owner = server.signed_in(Role.OWNER)
    assert owner.post(f"{API}/tokens", json={"name": "t"}).status_code == 201
    large = owner.post(f"{API}/tokens", json={"name": "t", "x": "y" * json_body.MAX_INLINE_BYTES})
    assert large.status_code == 422
    # The bodies of signing in and of the first token are small: a thread would take longer than parsing them.
    assert calls == [True, True, False]


def test_uploads_are_written_off_the_event_loop(server: ServerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = server.signed_in(Role.MANAGER)
    upload = manager.post(f"{API}/uploads").json()["id"]
    files = {f"{number}.bin": bytes([number]) * size for number, size in enumerate((0, 1, 70_000, 3 << 20, 5))}
    opened: dict[str, set[bool]] = {"open": set(), "replace": set(), "mkdir": set()}

    def record(name: str) -> None:
        original = getattr(Path, name)

        def recording(path: Path, *args: Any, **options: Any) -> Any:
            if server.workspace.location in path.parents:
                opened[name].add(is_on_event_loop())
            return original(path, *args, **options)

        monkeypatch.setattr(Path, name, recording)

    for name in opened:
        record(name)
    assert send(manager, upload, pack(files)).json() == {"files": len(files)}
    assert opened == {"open": {False}, "replace": {False}, "mkdir": {False}}
    folder = server.workspace.jobs_dir / "uploads" / upload / "files"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files


def test_limits_by_path() -> None:
    assert body_limits(f"{API}/session").size < DEFAULT_BODY_LIMITS.size < LARGE_BODY_LIMITS.size
    assert body_limits(f"{API}/jobs") == body_limits(f"{API}/datasets/a@b/merge") == LARGE_BODY_LIMITS
    assert body_limits(f"{API}/jobs/1/cancel") == body_limits(f"{API}/datasets/a/b/merge") == DEFAULT_BODY_LIMITS


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=40,
)


def count_values(value: Any) -> int:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(count_values, children))


def count_levels(value: Any) -> int:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (1 if isinstance(value, dict | list) else 0) + max(map(count_levels, children), default=0)


@given(_values, st.integers(1, 60), st.integers(0, 40))
def test_values_and_levels_are_counted(content: Any, limit: int, wrapping: int) -> None:
    for _ in range(wrapping):
        content = [content]
    body = {"content": content}
    is_allowed = count_values(body) <= limit and count_levels(body) <= MAX_DEPTH
    try:
        parsed = parse_body(json.dumps(body).encode(), AnyBody, BodyLimits(1 << 20, limit))
    except InvalidValueError:
        assert not is_allowed
    else:
        assert is_allowed
        assert parsed == AnyBody(content=content)
