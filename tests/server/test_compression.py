"""JSON responses are compressed; images, streams and responses with secrets are not."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from tests.server.conftest import ServerHarness

from saccade.core.roles import Role
from saccade.server.middleware.compression import MIN_COMPRESSED_BYTES, accepts_gzip
from saccade.server.permissions import API, UNCOMPRESSED_ROUTES


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("gzip", True),
        ("br;q=1.0, GZIP;q=0.5", True),
        ("*", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("*;q=0", False),
        ("gzip;q=abc", False),
        ("gzipped", False),
    ],
)
def test_accepted_encodings(header: str, expected: bool) -> None:
    assert accepts_gzip(header) is expected


def test_json_is_compressed_if_the_client_accepts_it(server: ServerHarness) -> None:
    viewer = server.signed_in(Role.VIEWER)
    path = f"{API}/datasets/harbour/items"
    plain = viewer.get(path, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert len(plain.content) > MIN_COMPRESSED_BYTES
    with viewer.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(raw) == plain.content
    assert int(answer.headers["content-length"]) == len(raw) < len(plain.content) / 2
    for response in (plain, answer):
        assert "accept-encoding" in response.headers["vary"].lower()
        assert response.headers["etag"] == plain.headers["etag"]
    not_modified = viewer.get(path, headers={"If-None-Match": plain.headers["etag"], "Accept-Encoding": "gzip"})
    assert (not_modified.status_code, not_modified.content) == (304, b"")


def test_stored_responses_and_files_are_compressed(server: ServerHarness) -> None:
    manager = server.signed_in(Role.MANAGER)
    headers = {"Idempotency-Key": "one", "Accept-Encoding": "gzip"}
    body = {"name": "n" * 90, "number": 1}
    tag = f"{API}/datasets/harbour/tags"
    first = manager.post(tag, json=body, headers=headers)
    again = manager.post(tag, json=body, headers=headers)
    assert (first.status_code, again.json()) == (201, first.json())
    job = manager.post(f"{API}/jobs", json={"kind": "list-backbones", "parameters": {}}).json()["id"]
    listed = manager.get(f"{API}/jobs", headers={"Accept-Encoding": "gzip"}).json()["jobs"]
    assert [entry["id"] for entry in listed] == [job]
    files = server.workspace.jobs_dir / job / "files"
    files.mkdir(parents=True)
    content = {"values": list(range(60_000))}
    (files / "large.json").write_text(json.dumps(content), "utf-8")
    answer = manager.get(f"{API}/jobs/{job}/files/large.json", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.json() == content


def test_other_responses_are_not_compressed(server: ServerHarness) -> None:
    owner = server.signed_in(Role.OWNER)
    owner.headers["Accept-Encoding"] = "gzip"
    job = owner.post(f"{API}/jobs", json={"kind": "list-backbones", "parameters": {"containing": "x" * 200}}).json()
    owner.post(f"{API}/jobs/{job['id']}/cancel")
    key = owner.get(f"{API}/datasets/harbour/keys").json()["keys"][0]
    for path, params in (
        ("datasets/harbour/image", {"key": key}),
        ("datasets/harbour/arrow", {}),
        ("datasets/harbour/file", {"key": key, "column": "image"}),
        (f"jobs/{job['id']}/events", {}),
        ("health", {}),
        ("session", {}),
    ):
        answer = owner.get(f"{API}/{path}", params=params)
        assert answer.status_code == 200, path
        assert "content-encoding" not in answer.headers, path
    token = owner.post(f"{API}/tokens", json={"name": "n" * 200})
    assert "content-encoding" not in token.headers


def test_responses_with_secrets_are_never_compressed(server: ServerHarness) -> None:
    """Every route whose response has a field with a secret is listed."""
    openapi = server.app.openapi()
    schemas = openapi["components"]["schemas"]

    def has_secret(schema: Any) -> bool:
        name = schema.get("$ref", "").rpartition("/")[2]
        return bool(
            {"csrf_token", "secret", "token", "link", "address"} & set(schemas.get(name, {}).get("properties", {}))
        )

    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            for status in ("200", "201"):
                content = operation["responses"].get(status, {}).get("content", {}).get("application/json", {})
                if has_secret(content.get("schema", {})):
                    assert f"{method.upper()} {path}" in UNCOMPRESSED_ROUTES
