"""Single sign-on against providers that lie and fail, and browsers that are led astray."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient
from tests.server.conftest import PASSWORD, error_of
from tests.server.door import Door, started, trouble_in
from tests.server.provider import CLIENT, SECRET

from saccade.app.auth.oidc import http
from saccade.core.errors import InvalidValueError
from saccade.core.roles import Role
from saccade.server.app import create_app
from saccade.server.dependencies.auth import BEGUN
from saccade.server.permissions import API
from saccade.server.routes.oidc import BACK, own_path

# Providers that lie


@pytest.mark.parametrize("how", ["none", "stripped", "HS256", "wrong key", "own key", "no token"])
def test_a_token_that_the_provider_did_not_sign(door: Door, how: str) -> None:
    door.invite()
    door.hostile.behave(signed=how)
    assert door.trouble() == "provider"


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another"},
        {"aud": []},
        {"aud": None},
        {"aud": {"saccade": 1}},
        {"aud": [CLIENT, "another"]},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"azp": "another"},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"iss": ["x"]},
        {"nonce": "another"},
        {"nonce": None},
        {"exp": 1},
        {"exp": None},
        {"exp": "never"},
        {"exp": True},
        {"iat": 99_999_999_999},
        {"nbf": 99_999_999_999},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 300},
        {"at_hash": "another"},
    ],
)
def test_a_token_that_is_not_for_this_sign_in(door: Door, claims: dict[str, Any]) -> None:
    door.invite()
    door.hostile.behave(claims=claims)
    assert door.trouble() == "provider"
    assert len(door.site.workspace.people.invitations()) == 1


@pytest.mark.parametrize("how", ["ES256", "without kid"])
def test_other_right_signatures_are_taken(door: Door, how: str) -> None:
    door.invite()
    door.hostile.behave(signed=how, claims={"aud": [CLIENT, "another"], "azp": CLIENT})
    client = door.site.client()
    door.enter(client)
    assert client.get(f"{API}/session").status_code == 200


def test_new_keys_are_asked_for_and_old_ones_are_not_taken(door: Door) -> None:
    door.invite()
    door.enter(door.site.client())
    door.enter(door.site.client())
    assert len(door.hostile.asked("/keys")) == 1, "they are kept"
    door.hostile.behave(rotate=True)
    client = door.site.client()
    door.enter(client)
    assert client.get(f"{API}/session").status_code == 200
    assert len(door.hostile.asked("/keys")) == 1
    door.hostile.behave(keys={"keys": []}, rotate=True)
    assert door.trouble() == "provider"


@pytest.mark.parametrize("keys", [{}, {"keys": 3}, {"keys": "x"}, {"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}])
def test_keys_that_are_none(door: Door, keys: dict[str, Any]) -> None:
    door.invite()
    door.hostile.behave(keys=keys)
    assert door.trouble() == "provider"


# Browsers that are led astray


def test_the_state_of_another_browser_opens_nothing(door: Door) -> None:
    """As where somebody sends others a link with their own code, to have them work in their own account."""
    door.invite()
    mallory, victim = door.site.client(), door.site.client()
    back = door.begin(mallory)
    assert trouble_in(victim.get(back, follow_redirects=False)) == "expired"
    door.begin(victim)
    assert trouble_in(victim.get(back, follow_redirects=False)) == "expired"
    assert victim.get(f"{API}/session").status_code == 401
    assert door.site.workspace.people.audit()[0].subject.endswith("expired")


def test_a_code_is_used_once(door: Door) -> None:
    door.invite()
    door.hostile.behave(replays=True)
    client = door.site.client()
    back = door.begin(client)
    begun = client.cookies[BEGUN]
    assert client.get(back, follow_redirects=False).headers["location"] == "/"
    thief = door.site.client()
    thief.cookies.set(BEGUN, begun, domain="127.0.0.1", path=f"{API}/")
    assert trouble_in(thief.get(back, follow_redirects=False)) == "expired", "not even with its cookie"
    assert len(door.hostile.asked("/token")) == 1


def test_a_code_of_another_sign_in_is_of_no_use(door: Door) -> None:
    """A code that was taken on its way is put into another browser's own sign-in: PKCE and the nonce are not its."""
    door.invite()
    stolen = parse_qs(urlsplit(door.begin(door.site.client())).query)["code"][0]
    thief = door.site.client()
    own = parse_qs(urlsplit(door.begin(thief)).query)
    answer = thief.get(BACK, params={"code": stolen, "state": own["state"][0]}, follow_redirects=False)
    assert trouble_in(answer) == "provider"


def test_a_sign_in_ends_after_some_time(door: Door) -> None:
    from datetime import timedelta

    from sqlalchemy import update

    from saccade.store.catalog.tables import SignInRow, now

    door.invite()
    client = door.site.client()
    back = door.begin(client)
    with door.site.workspace.catalog.writing() as session:
        session.execute(update(SignInRow).values(expires=now() - timedelta(seconds=1)))
    assert trouble_in(client.get(back, follow_redirects=False)) == "expired"


def test_the_cookie_of_a_sign_in(door: Door) -> None:
    client = door.site.client()
    cookie = client.post(f"{API}/session/oidc", json={}).headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=lax", f"Path={API}/", "Max-Age=600"):
        assert part in cookie
    assert "Domain" not in cookie
    assert "Secure" not in cookie
    door.site.app = create_app(
        door.site.workspace,
        hosts=("labels.example.org",),
        origin="https://labels.example.org",
        provider=door.site.app.state.provider,
    )
    behind = TestClient(door.site.app, base_url="http://labels.example.org")
    assert "Secure" in behind.post(f"{API}/session/oidc", json={}).headers["set-cookie"], "behind a proxy too"


def test_another_site_begins_nothing(door: Door) -> None:
    client = door.site.client()
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert client.post(f"{API}/session/oidc", json={}, headers=headers).status_code == 403


def test_the_address_to_go_back_to_is_this_servers_own(door: Door) -> None:
    client = door.site.client()
    assert client.post(f"{API}/session/oidc", json={}, headers={"Host": "evil.example"}).status_code == 400
    door.site.app = create_app(
        door.site.workspace,
        hosts=("labels.example.org",),
        origin="https://labels.example.org",
        provider=door.site.app.state.provider,
    )
    answer = door.site.client().post(f"{API}/session/oidc", json={})
    assert (answer.status_code, error_of(answer)) == (409, "conflict")
    assert "https://labels.example.org" in answer.json()["error"]["message"]
    right = TestClient(door.site.app, base_url="https://labels.example.org").post(f"{API}/session/oidc", json={})
    asked = parse_qs(urlsplit(right.json()["address"]).query)
    assert asked["redirect_uri"] == [f"https://labels.example.org{BACK}"]
    assert httpx.get(right.json()["address"]).status_code == 400, "and a provider takes no other than it knows"
    with pytest.raises(InvalidValueError, match="address that browsers find"):
        create_app(door.site.workspace, hosts=("labels.example.org",), provider=door.site.app.state.provider)


ASTRAY = [
    "https://evil.example/",
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "javascript:alert(1)",
    "evil.example",
    " //evil.example",
    "",
    "/x\r\nSet-Cookie: a=b",
]


@pytest.mark.parametrize("path", ASTRAY)
def test_nobody_is_led_to_another_site(door: Door, path: str) -> None:
    assert own_path(path) == "/"
    door.invite()
    client = door.site.client()
    assert door.enter(client, path).headers["location"] == "/"


@pytest.mark.parametrize("path", ["/", "/datasets/a%20b?query=x&at=2#top", "/p/night-shift/jobs", "/@evil.example"])
def test_own_pages_are_led_to(path: str) -> None:
    assert own_path(path) == path


def test_another_provider_that_mixes_in_is_noticed(door: Door) -> None:
    door.invite()
    door.hostile.behave(back_with={"iss": "https://evil.example"})
    assert door.trouble() == "provider"
    door.hostile.behave(discovery={"authorization_response_iss_parameter_supported": True})
    door.given()
    assert door.trouble() == "provider", "it says that it names itself, and does not"
    door.hostile.behave(back_with={"iss": door.hostile.issuer})
    client = door.site.client()
    door.enter(client)
    assert client.get(f"{API}/session").status_code == 200


def test_a_refusal_of_the_provider(door: Door) -> None:
    client = door.site.client()
    state = parse_qs(urlsplit(door.begin(client)).query)["state"][0]
    harm = "<script>alert(1)</script>"
    given = {"error": "access_denied", "error_description": harm, "state": state}
    answer = client.get(BACK, params=given, follow_redirects=False)
    assert trouble_in(answer) == "refused"
    assert "script" not in answer.headers["location"]
    for odd in ({"code": ""}, {"code": "x" * 9000}, {}):
        client = door.site.client()
        state = parse_qs(urlsplit(door.begin(client)).query)["state"][0]
        assert trouble_in(client.get(BACK, params={**odd, "state": state}, follow_redirects=False)) == "refused"


# Providers that fail


FAULTS = {
    "huge": "answers more than",
    "slow": "takes longer",
    "drip": "takes longer",
    "bomb": "answers compressed",
    "redirect": "answers 307",
    "nonsense": "no JSON object",
    "500": "answers 500",
    "404": "answers 404",
}
"""Ways to give a wrong answer, and what the log says of each."""


@pytest.mark.slow
@pytest.mark.parametrize(("how", "why"), FAULTS.items())
@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/keys"])
def test_answers_that_are_none(
    door: Door, path: str, how: str, why: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """They end soon, whatever the provider does; a password is taken all the while."""
    monkeypatch.setattr(http, "SECONDS", 1.0)
    door.invite()
    door.hostile.behave(answers={path: how})
    began = time.monotonic()
    if path.startswith("/."):
        answer = door.site.client().post(f"{API}/session/oidc", json={})
        assert (answer.status_code, error_of(answer)) == (502, "provider")
    else:
        assert door.trouble() == "provider"
    assert time.monotonic() - began < 8
    assert why in caplog.text
    assert door.hostile.asked("/elsewhere") == []
    owner = door.site.client().post(f"{API}/session", json={"email": "owner@example.org", "password": PASSWORD})
    assert owner.status_code == 200


def test_a_provider_that_is_down_comes_back(door: Door) -> None:
    other = started()
    door.hostile, usual = other, door.hostile
    try:
        other.behave()
        door.given()
        door.invite()
        door.enter(door.site.client())
        other.end()
        begun = door.site.client().post(f"{API}/session/oidc", json={})
        assert begun.status_code == 200, "what it said of itself is still known"
        door.given()
        client = door.site.client()
        for _ in range(2):
            answer = client.post(f"{API}/session/oidc", json={})
            assert (answer.status_code, error_of(answer)) == (502, "provider")
        assert door.site.signed_in(Role.VIEWER).get(f"{API}/session").status_code == 200
    finally:
        other.end()
    door.hostile = usual
    door.given()
    door.enter(door.site.client())


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"token_endpoint": "http://example.org/token"},
        {"token_endpoint": "file:///etc/passwd"},
        {"token_endpoint": "https://user:secret@example.org/"},
        {"token_endpoint": None},
        {"jwks_uri": ["https://example.org"]},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "https://example.org/\r\nx"},
        {"code_challenge_methods_supported": ["plain"]},
    ],
)
def test_a_provider_that_says_odd_things_of_itself(door: Door, discovery: dict[str, Any]) -> None:
    door.hostile.behave(discovery=discovery)
    answer = door.site.client().post(f"{API}/session/oidc", json={})
    assert (answer.status_code, error_of(answer)) == (502, "provider")


def test_a_secret_may_go_in_the_form(door: Door) -> None:
    door.invite()
    door.hostile.behave(discovery={"token_endpoint_auth_methods_supported": ["client_secret_post"]})
    client = door.site.client()
    door.enter(client)
    assert client.get(f"{API}/session").status_code == 200
    assert door.hostile.asked("/token")[0]["client_secret"] == SECRET
    door.given(secret="another")
    assert door.trouble() == "provider"


def test_beginning_is_counted_apart_from_passwords(door: Door) -> None:
    client = door.site.client()
    seen = [client.post(f"{API}/session/oidc", json={}).status_code for _ in range(32)]
    assert seen == [200] * 30 + [429] * 2
    owner = client.post(f"{API}/session", json={"email": "owner@example.org", "password": PASSWORD})
    assert owner.status_code == 200


@pytest.mark.slow
def test_finished_sign_ins_do_not_count(door: Door) -> None:
    door.invite()
    client = door.site.client()
    for _ in range(32):
        assert door.enter(client).headers["location"] == "/"
