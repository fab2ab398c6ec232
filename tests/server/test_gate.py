"""The gate: every route with every role, other sites, guessed and stolen secrets, and what the log holds."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.server.conftest import PASSWORD, Site, error_of

from saccade.core.roles import Role
from saccade.server.dependencies.auth import COOKIE, GUARD
from saccade.server.permissions import API, NEEDED, ROUTES, Action

SAFE = ("GET",)


def routes_of(site: Site) -> set[str]:
    paths = site.app.openapi()["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


def ask(client: TestClient, route: str, **more: Any) -> Any:
    """Call a route with made-up names and nothing that it needs: it answers anything but that one may not."""
    method, _, path = route.partition(" ")
    return client.request(method, re.sub(r"{\w+}", "nobody", path), **more)


def test_the_table_has_every_route(site: Site) -> None:
    assert routes_of(site) == set(ROUTES)
    assert set(NEEDED) | {Action.PUBLIC, Action.ONESELF} == set(Action)


@pytest.mark.slow
@pytest.mark.parametrize("role", [None, *Role])
def test_every_route_with_every_role(site: Site, role: Role | None) -> None:
    client = site.client() if role is None else site.signed_in(role)
    for route, action in sorted(ROUTES.items()):
        if route in (f"DELETE {API}/session", f"POST {API}/session"):
            continue  # they change who asks
        answer = ask(client, route)
        assert answer.status_code < 500, (route, answer.text)
        if action is Action.PUBLIC:  # 404: this server has no single sign-on
            assert answer.status_code in (200, 404 if "/oidc" in route else 200, 422), route
        elif role is None:
            assert answer.status_code == 401, route
            assert error_of(answer) == "not-signed-in"
        elif action is Action.ONESELF or role.covers(NEEDED[action]):
            assert answer.status_code in (200, 201, 204, 404, 422), (route, answer.text)
        else:
            assert answer.status_code == 403, route
            assert error_of(answer) == "not-allowed"


def test_a_route_that_is_not_in_the_table_answers_nobody(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = site.signed_in(Role.OWNER)
    monkeypatch.delitem(ROUTES, f"GET {API}/health")
    assert ask(owner, f"GET {API}/health").status_code == 403


def test_a_page_of_another_site_changes_nothing(site: Site) -> None:
    """The browser sends the cookie along; the page cannot know the guard, nor hide where it comes from."""
    client = site.signed_in(Role.OWNER)
    body = {"email": "mole@example.org", "role": "owner"}
    for headers in (
        {GUARD: ""},
        {GUARD: "guess"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        answer = client.post(f"{API}/invitations", json=body, headers=headers)
        assert answer.status_code == 403, headers
    assert client.get(f"{API}/invitations").json() == []
    assert client.post(f"{API}/session", json=body, headers={"Origin": "https://evil.example"}).status_code == 403
    same = client.post(f"{API}/invitations", json=body, headers={"Origin": "http://127.0.0.1:8080"})
    assert same.status_code == 201
    assert "access-control-allow-origin" not in same.headers


def test_a_name_of_another_site_for_this_machine_is_refused(site: Site) -> None:
    """As after a DNS rebinding."""
    client = site.signed_in(Role.OWNER)
    assert client.get(f"{API}/session", headers={"Host": "evil.example"}).status_code == 400


def test_cookies_and_headers(site: Site) -> None:
    client = site.client()
    address = site.person(Role.VIEWER)
    client.cookies.set(COOKIE, "what an attacker chose", domain="127.0.0.1", path="/")
    answer = client.post(f"{API}/session", json={"email": address, "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert "what an attacker chose" not in cookie, "a session begins with a secret of its own"
    for part in ("HttpOnly", "SameSite=lax", "Path=/"):
        assert part in cookie
    assert "Domain" not in cookie
    for name in ("Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy"):
        assert answer.headers[name]
    assert answer.headers["Cache-Control"] == "no-store"
    other = TestClient(site.app, base_url="https://127.0.0.1:8080")
    secure = other.post(f"{API}/session", json={"email": address, "password": PASSWORD}).headers["set-cookie"]
    assert "Secure" in secure


def test_signing_out_and_another_password_end_sessions(site: Site) -> None:
    one, two = site.signed_in(Role.VIEWER), site.signed_in(Role.VIEWER)
    secret = one.cookies[COOKIE]
    assert one.delete(f"{API}/session").status_code == 204
    thief = site.client()
    thief.cookies.set(COOKIE, secret, domain="127.0.0.1", path="/")
    assert thief.get(f"{API}/session").status_code == 401
    wrong = two.put(f"{API}/session/password", json={"old": "guess guess", "new": "another long one"})
    assert wrong.status_code == 401
    third = site.signed_in(Role.VIEWER)
    changed = two.put(f"{API}/session/password", json={"old": PASSWORD, "new": "another long one"})
    assert changed.status_code == 200
    assert third.get(f"{API}/session").status_code == 401
    assert two.get(f"{API}/session").status_code == 200


def test_guessing_passwords_is_slow(site: Site) -> None:
    address = site.person(Role.OWNER, "boss@example.org")
    for email in (address, "nobody@example.org"):
        client = site.client()
        answers = [client.post(f"{API}/session", json={"email": email, "password": f"guess {n}"}) for n in range(6)]
        assert [answer.status_code for answer in answers] == [401] * 5 + [429], "known or not, the answers are the same"
        assert int(answers[-1].headers["Retry-After"]) > 0
        texts = {re.sub(r"\d+", "", answer.text) for answer in answers[:5]}
        assert len(texts) == 1
    right = site.client().post(f"{API}/session", json={"email": address, "password": PASSWORD})
    assert right.status_code == 429, "not even with the right one"


@pytest.mark.slow
def test_one_address_may_not_try_many_people(site: Site) -> None:
    client = site.client()
    seen = [
        client.post(f"{API}/session", json={"email": f"p{n}@example.org", "password": "x" * 12}).status_code
        for n in range(40)
    ]
    assert seen[:30] == [401] * 30
    assert set(seen[30:]) == {429}


def test_secrets_are_in_no_log_and_not_in_the_database(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        client = site.signed_in(Role.OWNER)
        token = client.post(f"{API}/tokens", json={"name": "t", "role": "viewer"}).json()["token"]
        link = client.post(f"{API}/invitations", json={"email": "a@example.org"}).json()["link"]
        client.post(f"{API}/session", json={"email": "x@example.org", "password": [PASSWORD]})
    secrets = [PASSWORD, client.cookies[COOKIE], token, link.partition("#")[2]]
    assert all(len(secret) > 10 for secret in secrets)
    assert not any(secret in caplog.text for secret in secrets)
    content = b"".join(path.read_bytes() for path in site.workspace.location.glob("catalog.db*"))
    assert not any(secret.encode() in content for secret in secrets)
    invalid = client.post(f"{API}/session", json={"email": "x@example.org", "password": [PASSWORD]})
    assert PASSWORD not in invalid.text


def test_large_and_endless_requests_are_refused(site: Site) -> None:
    client = site.signed_in(Role.OWNER)
    assert client.post(f"{API}/tokens", content=b"x" * (2 << 20)).status_code == 413

    def endless() -> Any:
        yield b"{"

    assert client.post(f"{API}/tokens", content=endless()).status_code == 413


def test_the_audit_log_says_who_did_and_tried_what(site: Site) -> None:
    owner, viewer = site.signed_in(Role.OWNER), site.signed_in(Role.VIEWER)
    viewer.get(f"{API}/people")
    owner.post(f"{API}/invitations", json={"email": "new@example.org", "role": "annotator"})
    deeds = owner.get(f"{API}/audit").json()["deeds"]
    said = [(deed["person"], deed["action"]) for deed in deeds]
    assert said[0] == ("Owner", f"POST {API}/invitations")
    assert said[1] == ("Viewer", f"refused GET {API}/people")
    first = owner.get(f"{API}/audit", params={"limit": 2}).json()
    rest = owner.get(f"{API}/audit", params={"before": first["next"]}).json()
    assert first["deeds"] + rest["deeds"] == deeds


@pytest.mark.slow
def test_no_answer_is_an_error_of_the_server(site: Site) -> None:
    """Odd values in every place of every route."""
    owner = site.signed_in(Role.OWNER)
    odd = ["\x00", "..%2f..", "harbour@-1", "harbour@99999999999999999999", "é" * 300, "%ff", "'", "harbour@latest@1"]
    for route in sorted(ROUTES):
        method, _, path = route.partition(" ")
        if route == f"DELETE {API}/session":
            continue
        for value in odd:
            url = "/".join(value.replace("\x00", "%00") if part[:1] == "{" else part for part in path.split("/"))
            params = {"key": value, "where": value, "cursor": value, "value": value, "column": value, "size": value}
            for given in ({}, params):
                answer = owner.request(method, url, params=given, json=None if method == "GET" else {"name": value})
                assert answer.status_code < 500, (route, value, answer.text)
