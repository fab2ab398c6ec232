"""Single sign-on: forged tokens, attacks on browsers, and faulty providers."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient
from tests.server.conftest import PASSWORD, error_of
from tests.support.oidc_client import SsoHarness, failure_reason, start_provider
from tests.support.oidc_provider import CLIENT_ID, CLIENT_SECRET

from saccade.app.auth.oidc import http
from saccade.core.errors import InvalidValueError
from saccade.core.roles import Role
from saccade.server.app import create_app
from saccade.server.dependencies.auth import LOGIN_COOKIE
from saccade.server.permissions import API
from saccade.server.routes.oidc import CALLBACK_PATH, safe_redirect_path


@pytest.mark.parametrize("signature", ["none", "stripped", "HS256", "wrong key", "own key", "no token"])
def test_forged_signatures_are_rejected(sso: SsoHarness, signature: str) -> None:
    sso.invite()
    sso.provider.configure(signature=signature)
    assert sso.fail_sign_in() == "provider"


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another"},
        {"aud": []},
        {"aud": None},
        {"aud": {"saccade": 1}},
        {"aud": [CLIENT_ID, "another"]},
        {"aud": [CLIENT_ID, "another"], "azp": "another"},
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
def test_invalid_claims_are_rejected(sso: SsoHarness, claims: dict[str, Any]) -> None:
    sso.invite()
    sso.provider.configure(claims=claims)
    assert sso.fail_sign_in() == "provider"
    assert len(sso.server.workspace.users.list_invitations()) == 1


@pytest.mark.parametrize("signature", ["ES256", "without kid"])
def test_other_valid_signatures_are_accepted(sso: SsoHarness, signature: str) -> None:
    sso.invite()
    sso.provider.configure(signature=signature, claims={"aud": [CLIENT_ID, "another"], "azp": CLIENT_ID})
    client = sso.server.client()
    sso.sign_in(client)
    assert client.get(f"{API}/session").status_code == 200


def test_rotated_keys(sso: SsoHarness) -> None:
    sso.invite()
    sso.sign_in(sso.server.client())
    sso.sign_in(sso.server.client())
    assert len(sso.provider.requests("/keys")) == 1, "they are cached"
    sso.provider.configure(rotate_key=True)
    client = sso.server.client()
    sso.sign_in(client)
    assert client.get(f"{API}/session").status_code == 200
    assert len(sso.provider.requests("/keys")) == 1
    sso.provider.configure(keys={"keys": []}, rotate_key=True)
    assert sso.fail_sign_in() == "provider"


@pytest.mark.parametrize("keys", [{}, {"keys": 3}, {"keys": "x"}, {"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}])
def test_invalid_key_sets_are_rejected(sso: SsoHarness, keys: dict[str, Any]) -> None:
    sso.invite()
    sso.provider.configure(keys=keys)
    assert sso.fail_sign_in() == "provider"


def test_the_state_of_another_browser_is_rejected(sso: SsoHarness) -> None:
    """Login CSRF: an attacker sends a victim a link with a code of the attacker's account."""
    sso.invite()
    mallory, victim = sso.server.client(), sso.server.client()
    callback = sso.authorize(mallory)
    assert failure_reason(victim.get(callback, follow_redirects=False)) == "expired"
    sso.authorize(victim)
    assert failure_reason(victim.get(callback, follow_redirects=False)) == "expired"
    assert victim.get(f"{API}/session").status_code == 401
    assert sso.server.workspace.users.audit_log()[0].subject.endswith("expired")


def test_codes_are_used_once(sso: SsoHarness) -> None:
    sso.invite()
    sso.provider.configure(allow_code_reuse=True)
    client = sso.server.client()
    callback = sso.authorize(client)
    login_secret = client.cookies[LOGIN_COOKIE]
    assert client.get(callback, follow_redirects=False).headers["location"] == "/"
    thief = sso.server.client()
    thief.cookies.set(LOGIN_COOKIE, login_secret, domain="127.0.0.1", path=f"{API}/")
    assert failure_reason(thief.get(callback, follow_redirects=False)) == "expired", "even with the login cookie"
    assert len(sso.provider.requests("/token")) == 1


def test_stolen_codes_are_rejected(sso: SsoHarness) -> None:
    """A stolen code is injected into another login, whose PKCE verifier and nonce do not match."""
    sso.invite()
    stolen = parse_qs(urlsplit(sso.authorize(sso.server.client())).query)["code"][0]
    thief = sso.server.client()
    own = parse_qs(urlsplit(sso.authorize(thief)).query)
    answer = thief.get(CALLBACK_PATH, params={"code": stolen, "state": own["state"][0]}, follow_redirects=False)
    assert failure_reason(answer) == "provider"


def test_pending_logins_expire(sso: SsoHarness) -> None:
    from datetime import timedelta

    from sqlalchemy import update

    from saccade.store.catalog.tables import PendingLoginRow, now

    sso.invite()
    client = sso.server.client()
    callback = sso.authorize(client)
    with sso.server.workspace.catalog.write_tx() as session:
        session.execute(update(PendingLoginRow).values(expires=now() - timedelta(seconds=1)))
    assert failure_reason(client.get(callback, follow_redirects=False)) == "expired"


def test_login_cookie(sso: SsoHarness) -> None:
    client = sso.server.client()
    cookie = client.post(f"{API}/session/oidc", json={}).headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=lax", f"Path={API}/", "Max-Age=600"):
        assert part in cookie
    assert "Domain" not in cookie
    assert "Secure" not in cookie
    sso.server.app = create_app(
        sso.server.workspace,
        hosts=("labels.example.org",),
        origin="https://labels.example.org",
        provider=sso.server.app.state.provider,
    )
    proxied = TestClient(sso.server.app, base_url="http://labels.example.org")
    assert "Secure" in proxied.post(f"{API}/session/oidc", json={}).headers["set-cookie"], "also behind a proxy"


def test_cross_site_logins_are_refused(sso: SsoHarness) -> None:
    client = sso.server.client()
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert client.post(f"{API}/session/oidc", json={}, headers=headers).status_code == 403


def test_the_redirect_uri_is_that_of_this_server(sso: SsoHarness) -> None:
    client = sso.server.client()
    assert client.post(f"{API}/session/oidc", json={}, headers={"Host": "evil.example"}).status_code == 400
    sso.server.app = create_app(
        sso.server.workspace,
        hosts=("labels.example.org",),
        origin="https://labels.example.org",
        provider=sso.server.app.state.provider,
    )
    answer = sso.server.client().post(f"{API}/session/oidc", json={})
    assert (answer.status_code, error_of(answer)) == (409, "conflict")
    assert "https://labels.example.org" in answer.json()["error"]["message"]
    started = TestClient(sso.server.app, base_url="https://labels.example.org").post(f"{API}/session/oidc", json={})
    parameters = parse_qs(urlsplit(started.json()["address"]).query)
    assert parameters["redirect_uri"] == [f"https://labels.example.org{CALLBACK_PATH}"]
    assert httpx.get(started.json()["address"]).status_code == 400, "the provider accepts registered redirect URIs only"
    with pytest.raises(InvalidValueError, match="public origin"):
        create_app(sso.server.workspace, hosts=("labels.example.org",), provider=sso.server.app.state.provider)


EXTERNAL_PATHS = [
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


@pytest.mark.parametrize("path", EXTERNAL_PATHS)
def test_redirects_stay_on_this_server(sso: SsoHarness, path: str) -> None:
    assert safe_redirect_path(path) == "/"
    sso.invite()
    client = sso.server.client()
    assert sso.sign_in(client, path).headers["location"] == "/"


@pytest.mark.parametrize("path", ["/", "/datasets/a%20b?query=x&at=2#top", "/p/night-shift/jobs", "/@evil.example"])
def test_paths_of_this_server_are_kept(path: str) -> None:
    assert safe_redirect_path(path) == path


def test_mix_up_attacks_are_detected(sso: SsoHarness) -> None:
    sso.invite()
    sso.provider.configure(response_parameters={"iss": "https://evil.example"})
    assert sso.fail_sign_in() == "provider"
    sso.provider.configure(discovery={"authorization_response_iss_parameter_supported": True})
    sso.configure_server()
    assert sso.fail_sign_in() == "provider", "the provider declares the parameter but does not send it"
    sso.provider.configure(response_parameters={"iss": sso.provider.issuer})
    client = sso.server.client()
    sso.sign_in(client)
    assert client.get(f"{API}/session").status_code == 200


def test_error_responses_of_the_provider(sso: SsoHarness) -> None:
    client = sso.server.client()
    state = parse_qs(urlsplit(sso.authorize(client)).query)["state"][0]
    script = "<script>alert(1)</script>"
    parameters = {"error": "access_denied", "error_description": script, "state": state}
    answer = client.get(CALLBACK_PATH, params=parameters, follow_redirects=False)
    assert failure_reason(answer) == "refused"
    assert "script" not in answer.headers["location"]
    for odd in ({"code": ""}, {"code": "x" * 9000}, {}):
        client = sso.server.client()
        state = parse_qs(urlsplit(sso.authorize(client)).query)["state"][0]
        assert (
            failure_reason(client.get(CALLBACK_PATH, params={**odd, "state": state}, follow_redirects=False))
            == "refused"
        )


FAULTS = {
    "huge": "exceeds 262,144 bytes",
    "slow": "No complete response",
    "drip": "No complete response",
    "bomb": "is compressed",
    "redirect": "status 307",
    "nonsense": "not a JSON object",
    "500": "status 500",
    "404": "status 404",
}
"""Faulty responses of the provider, and the log message of each."""


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "message"), FAULTS.items())
@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/keys"])
def test_faulty_responses(
    sso: SsoHarness,
    path: str,
    fault: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Faulty responses time out soon, and signing in with a password works meanwhile."""
    monkeypatch.setattr(http, "TIMEOUT_S", 1.0)
    sso.invite()
    sso.provider.configure(faults={path: fault})
    start = time.monotonic()
    if path.startswith("/."):
        answer = sso.server.client().post(f"{API}/session/oidc", json={})
        assert (answer.status_code, error_of(answer)) == (502, "provider")
    else:
        assert sso.fail_sign_in() == "provider"
    assert time.monotonic() - start < 8
    assert message in caplog.text
    assert sso.provider.requests("/elsewhere") == []
    owner = sso.server.client().post(f"{API}/session", json={"email": "owner@example.org", "password": PASSWORD})
    assert owner.status_code == 200


def test_a_provider_that_is_down_recovers(sso: SsoHarness) -> None:
    other = start_provider()
    sso.provider, original = other, sso.provider
    try:
        other.configure()
        sso.configure_server()
        sso.invite()
        sso.sign_in(sso.server.client())
        other.stop()
        started = sso.server.client().post(f"{API}/session/oidc", json={})
        assert started.status_code == 200, "the metadata is cached"
        sso.configure_server()
        client = sso.server.client()
        for _ in range(2):
            answer = client.post(f"{API}/session/oidc", json={})
            assert (answer.status_code, error_of(answer)) == (502, "provider")
        assert sso.server.signed_in(Role.VIEWER).get(f"{API}/session").status_code == 200
    finally:
        other.stop()
    sso.provider = original
    sso.configure_server()
    sso.sign_in(sso.server.client())


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
def test_invalid_metadata(sso: SsoHarness, discovery: dict[str, Any]) -> None:
    sso.provider.configure(discovery=discovery)
    answer = sso.server.client().post(f"{API}/session/oidc", json={})
    assert (answer.status_code, error_of(answer)) == (502, "provider")


def test_client_secret_post(sso: SsoHarness) -> None:
    sso.invite()
    sso.provider.configure(discovery={"token_endpoint_auth_methods_supported": ["client_secret_post"]})
    client = sso.server.client()
    sso.sign_in(client)
    assert client.get(f"{API}/session").status_code == 200
    assert sso.provider.requests("/token")[0]["client_secret"] == CLIENT_SECRET
    sso.configure_server(client_secret="another")
    assert sso.fail_sign_in() == "provider"


def test_logins_are_limited_separately_from_passwords(sso: SsoHarness) -> None:
    client = sso.server.client()
    statuses = [client.post(f"{API}/session/oidc", json={}).status_code for _ in range(32)]
    assert statuses == [200] * 30 + [429] * 2
    owner = client.post(f"{API}/session", json={"email": "owner@example.org", "password": PASSWORD})
    assert owner.status_code == 200


@pytest.mark.slow
def test_completed_logins_do_not_count(sso: SsoHarness) -> None:
    sso.invite()
    client = sso.server.client()
    for _ in range(32):
        assert sso.sign_in(client).headers["location"] == "/"
