"""API tokens: the right to manage tokens, and the limits of the tokens that a token creates."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.server.conftest import ServerHarness, error_of

from saccade.core.errors import PermissionDeniedError
from saccade.core.roles import Role
from saccade.server.permissions import API


def create(client: TestClient, **fields: Any) -> dict[str, Any]:
    response = client.post(f"{API}/tokens", json={"name": "t", "role": "owner", **fields})
    assert response.status_code == 201, response.text
    token: dict[str, Any] = response.json()
    return token


def with_token(server: ServerHarness, token: dict[str, Any]) -> TestClient:
    client = server.client()
    client.headers["Authorization"] = f"Bearer {token['token']}"
    return client


def test_a_token_manages_tokens_only_with_the_right_to(server: ServerHarness) -> None:
    owner = server.signed_in(Role.OWNER)
    token = create(owner)
    assert token["can_manage_tokens"] is False
    program = with_token(server, token)
    for method, path in (("GET", "tokens"), ("POST", "tokens"), ("DELETE", f"tokens/{token['id']}")):
        answer = program.request(method, f"{API}/{path}", json={"name": "more"} if method == "POST" else None)
        assert (answer.status_code, error_of(answer)) == (403, "permission-denied"), method
        assert "may not manage API tokens" in answer.json()["error"]["message"]
    assert program.get(f"{API}/members").status_code == 200, "it has its role for everything else"
    assert [entry["id"] for entry in owner.get(f"{API}/tokens").json()] == [token["id"]]
    assert owner.get(f"{API}/audit").json()["entries"][0]["action"].startswith("refused DELETE")
    manager = with_token(server, create(owner, can_manage_tokens=True))
    assert manager.delete(f"{API}/tokens/{token['id']}").status_code == 204
    assert program.get(f"{API}/datasets").status_code == 401


def test_tokens_of_a_token_have_its_limits(server: ServerHarness) -> None:
    owner = server.signed_in(Role.OWNER)
    first = create(owner, role="annotator", days=2, can_manage_tokens=True)
    second = create(with_token(server, first), role="owner", days=300, can_manage_tokens=True)
    assert (second["role"], second["expires"]) == ("annotator", first["expires"])
    third = create(with_token(server, second), role="viewer", days=1)
    assert third["role"] == "viewer"
    assert third["expires"] < first["expires"]
    own = create(owner)
    assert owner.delete(f"{API}/tokens/{first['id']}").status_code == 204
    assert [entry["id"] for entry in owner.get(f"{API}/tokens").json()] == [own["id"]], "revoked with their creator"
    for token in (first, second, third):
        assert with_token(server, token).get(f"{API}/datasets").status_code == 401


def test_a_revoked_token_or_one_without_the_right_creates_none(server: ServerHarness) -> None:
    users = server.workspace.users
    plain, _ = users.create_token(server.owner.user.id, "plain", Role.OWNER)
    low, _ = users.create_token(server.owner.user.id, "low", Role.VIEWER, can_manage_tokens=True)
    gone, _ = users.create_token(server.owner.user.id, "gone", Role.OWNER, can_manage_tokens=True)
    users.revoke_token(server.owner.user.id, gone.id)
    for creator in (plain, low, gone):
        with pytest.raises(PermissionDeniedError, match="may not create a token"):
            users.create_token(server.owner.user.id, "more", Role.MANAGER, creator=creator)
    assert {token.name for token in users.list_tokens(server.owner.user.id)} == {"plain", "low"}
