"""Authentication and authorization: routes and roles, CSRF, rate limits, secrets and the audit log."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.server.conftest import PASSWORD, ServerHarness, error_of

from saccade.core.roles import Role
from saccade.server.dependencies.auth import CSRF_HEADER, SESSION_COOKIE
from saccade.server.permissions import API, REQUIRED_ROLES, ROUTE_PERMISSIONS, Permission


def routes_of(server: ServerHarness) -> set[str]:
    paths = server.app.openapi()["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


def call(client: TestClient, route: str, **options: Any) -> Any:
    """Call a route with invalid names and no body: if it is permitted, the status is anything but 401 and 403."""
    method, _, path = route.partition(" ")
    return client.request(method, re.sub(r"{\w+}", "missing", path), **options)


def test_every_route_has_a_permission(server: ServerHarness) -> None:
    assert routes_of(server) == set(ROUTE_PERMISSIONS)
    assert set(REQUIRED_ROLES) | {Permission.PUBLIC, Permission.AUTHENTICATED} == set(Permission)


@pytest.mark.slow
@pytest.mark.parametrize("role", [None, *Role])
def test_every_route_with_every_role(server: ServerHarness, role: Role | None) -> None:
    client = server.client() if role is None else server.signed_in(role)
    for route, permission in sorted(ROUTE_PERMISSIONS.items()):
        if route in (f"DELETE {API}/session", f"POST {API}/session"):
            continue  # they change the session
        answer = call(client, route)
        assert answer.status_code < 500, (route, answer.text)
        if permission is Permission.PUBLIC:  # 404: single sign-on is not configured
            assert answer.status_code in (200, 404 if "/oidc" in route else 200, 422), route
        elif role is None:
            assert answer.status_code == 401, route
            assert error_of(answer) == "unauthenticated"
        elif permission is Permission.AUTHENTICATED or role.covers(REQUIRED_ROLES[permission]):
            assert answer.status_code in (200, 201, 204, 404, 422), (route, answer.text)
        else:
            assert answer.status_code == 403, route
            assert error_of(answer) == "permission-denied"


def test_a_route_without_a_permission_is_refused(server: ServerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = server.signed_in(Role.OWNER)
    monkeypatch.delitem(ROUTE_PERMISSIONS, f"GET {API}/health")
    assert call(owner, f"GET {API}/health").status_code == 403


def test_cross_site_requests_are_refused(server: ServerHarness) -> None:
    """The browser sends the cookie, but the other site does not know the CSRF token and cannot hide its origin."""
    client = server.signed_in(Role.OWNER)
    body = {"email": "mole@example.org", "role": "owner"}
    for headers in (
        {CSRF_HEADER: ""},
        {CSRF_HEADER: "guess"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        answer = client.post(f"{API}/invitations", json=body, headers=headers)
        assert answer.status_code == 403, headers
    assert client.get(f"{API}/invitations").json() == []
    assert client.post(f"{API}/session", json=body, headers={"Origin": "https://evil.example"}).status_code == 403
    same_site = client.post(f"{API}/invitations", json=body, headers={"Origin": "http://127.0.0.1:8080"})
    assert same_site.status_code == 201
    assert "access-control-allow-origin" not in same_site.headers


def test_unknown_hosts_are_refused(server: ServerHarness) -> None:
    """Prevents DNS rebinding."""
    client = server.signed_in(Role.OWNER)
    assert client.get(f"{API}/session", headers={"Host": "evil.example"}).status_code == 400


def test_cookies_and_headers(server: ServerHarness) -> None:
    client = server.client()
    address = server.create_user(Role.VIEWER)
    client.cookies.set(SESSION_COOKIE, "chosen by an attacker", domain="127.0.0.1", path="/")
    answer = client.post(f"{API}/session", json={"email": address, "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert "chosen by an attacker" not in cookie, "a session starts with a new secret"
    for part in ("HttpOnly", "SameSite=lax", "Path=/"):
        assert part in cookie
    assert "Domain" not in cookie
    for name in ("Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy"):
        assert answer.headers[name]
    assert answer.headers["Cache-Control"] == "no-store"
    other = TestClient(server.app, base_url="https://127.0.0.1:8080")
    secure = other.post(f"{API}/session", json={"email": address, "password": PASSWORD}).headers["set-cookie"]
    assert "Secure" in secure


def test_signing_out_and_a_new_password_end_sessions(server: ServerHarness) -> None:
    first, second = server.signed_in(Role.VIEWER), server.signed_in(Role.VIEWER)
    secret = first.cookies[SESSION_COOKIE]
    assert first.delete(f"{API}/session").status_code == 204
    thief = server.client()
    thief.cookies.set(SESSION_COOKIE, secret, domain="127.0.0.1", path="/")
    assert thief.get(f"{API}/session").status_code == 401
    wrong = second.put(
        f"{API}/session/password", json={"current_password": "guess guess", "new_password": "another long one"}
    )
    assert wrong.status_code == 401
    third = server.signed_in(Role.VIEWER)
    changed = second.put(
        f"{API}/session/password", json={"current_password": PASSWORD, "new_password": "another long one"}
    )
    assert changed.status_code == 200
    assert third.get(f"{API}/session").status_code == 401
    assert second.get(f"{API}/session").status_code == 200


def test_password_guesses_are_limited(server: ServerHarness) -> None:
    address = server.create_user(Role.OWNER, "boss@example.org")
    for email in (address, "missing@example.org"):
        client = server.client()
        answers = [client.post(f"{API}/session", json={"email": email, "password": f"guess {n}"}) for n in range(6)]
        assert [answer.status_code for answer in answers] == [401] * 5 + [429], "the same for unknown addresses"
        assert int(answers[-1].headers["Retry-After"]) > 0
        texts = {re.sub(r"\d+", "", answer.text) for answer in answers[:5]}
        assert len(texts) == 1
    right = server.client().post(f"{API}/session", json={"email": address, "password": PASSWORD})
    assert right.status_code == 429, "even with the correct password"


def sign_in_from(server: ServerHarness, address: str, email: str, password: str) -> int:
    client = TestClient(server.app, base_url="http://127.0.0.1:8080", client=(address, 50_000))
    return client.post(f"{API}/session", json={"email": email, "password": password}).status_code


def test_wrong_passwords_do_not_lock_out_the_owner_of_the_account(server: ServerHarness) -> None:
    email = server.create_user(Role.OWNER, "boss@example.org")
    guesses = [sign_in_from(server, "203.0.113.5", email, f"guess {n}") for n in range(7)]
    assert guesses == [401] * 5 + [429] * 2
    assert sign_in_from(server, "203.0.113.5", email, PASSWORD) == 429, "even with the correct password"
    assert sign_in_from(server, "198.51.100.7", email, PASSWORD) == 200
    assert sign_in_from(server, "203.0.113.5", email, PASSWORD) == 429, "the success of another address does not count"
    own = [sign_in_from(server, f"2001:db8::{n}", email, "guess guess") for n in range(6)]
    assert own == [401] * 5 + [429], "a network of IPv6 is one client"
    assert sign_in_from(server, "2001:db8:0:1::1", email, PASSWORD) == 200


@pytest.mark.slow
def test_guesses_from_many_addresses_are_limited(server: ServerHarness) -> None:
    email = server.create_user(Role.OWNER, "boss@example.org")
    assert sign_in_from(server, "198.51.100.7", email, PASSWORD) == 200
    guesses = [sign_in_from(server, f"10.0.{n}.1", email, "guess guess") for n in range(103)]
    assert guesses == [401] * 100 + [429] * 3
    assert sign_in_from(server, "10.1.0.1", email, PASSWORD) == 429
    assert sign_in_from(server, "198.51.100.7", email, PASSWORD) == 200, "an address of the owner"


@pytest.mark.slow
def test_attempts_are_limited_by_client_address(server: ServerHarness) -> None:
    client = server.client()
    statuses = [
        client.post(f"{API}/session", json={"email": f"p{n}@example.org", "password": "x" * 12}).status_code
        for n in range(40)
    ]
    assert statuses[:30] == [401] * 30
    assert set(statuses[30:]) == {429}


def test_secrets_are_neither_logged_nor_stored(server: ServerHarness, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        client = server.signed_in(Role.OWNER)
        token = client.post(f"{API}/tokens", json={"name": "t", "role": "viewer"}).json()["token"]
        link = client.post(f"{API}/invitations", json={"email": "a@example.org"}).json()["link"]
        client.post(f"{API}/session", json={"email": "x@example.org", "password": [PASSWORD]})
    secrets = [PASSWORD, client.cookies[SESSION_COOKIE], token, link.partition("#")[2]]
    assert all(len(secret) > 10 for secret in secrets)
    assert not any(secret in caplog.text for secret in secrets)
    content = b"".join(path.read_bytes() for path in server.workspace.location.glob("catalog.db*"))
    assert not any(secret.encode() in content for secret in secrets)
    invalid = client.post(f"{API}/session", json={"email": "x@example.org", "password": [PASSWORD]})
    assert PASSWORD not in invalid.text


def test_large_and_endless_requests_are_refused(server: ServerHarness) -> None:
    client = server.signed_in(Role.OWNER)
    assert client.post(f"{API}/tokens", content=b"x" * (2 << 20)).status_code == 413

    def endless() -> Any:
        yield b"{"

    assert client.post(f"{API}/tokens", content=endless()).status_code == 413


def test_audit_log(server: ServerHarness) -> None:
    owner, viewer = server.signed_in(Role.OWNER), server.signed_in(Role.VIEWER)
    viewer.get(f"{API}/members")
    owner.post(f"{API}/invitations", json={"email": "new@example.org", "role": "annotator"})
    entries = owner.get(f"{API}/audit").json()["entries"]
    actions = [(entry["user"], entry["action"]) for entry in entries]
    assert actions[0] == ("Owner", f"POST {API}/invitations")
    assert actions[1] == ("Viewer", f"refused GET {API}/members")
    first = owner.get(f"{API}/audit", params={"limit": 2}).json()
    rest = owner.get(f"{API}/audit", params={"before": first["next"]}).json()
    assert first["entries"] + rest["entries"] == entries


@pytest.mark.slow
def test_invalid_values_cause_no_server_error(server: ServerHarness) -> None:
    """Invalid values in every path and query parameter of every route."""
    owner = server.signed_in(Role.OWNER)
    odd = ["\x00", "..%2f..", "harbour@-1", "harbour@99999999999999999999", "é" * 300, "%ff", "'", "harbour@latest@1"]
    for route in sorted(ROUTE_PERMISSIONS):
        method, _, path = route.partition(" ")
        if route == f"DELETE {API}/session":
            continue
        for value in odd:
            url = "/".join(value.replace("\x00", "%00") if part[:1] == "{" else part for part in path.split("/"))
            params = {
                "key": value,
                "where": value,
                "cursor": value,
                "expression": value,
                "column": value,
                "size": value,
            }
            for query in ({}, params):
                answer = owner.request(method, url, params=query, json=None if method == "GET" else {"name": value})
                assert answer.status_code < 500, (route, value, answer.text)
