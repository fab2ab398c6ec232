"""Single sign-on: accounts, invitations, roles and account linking."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest
from tests.server.conftest import PASSWORD, error_of
from tests.support.oidc_client import REDIRECT_URI, SsoHarness, failure_reason
from tests.support.oidc_provider import ANN, CLIENT_SECRET

from saccade.app.auth.oidc.provider import derive
from saccade.core.roles import Role
from saccade.server.dependencies.auth import CSRF_HEADER, LOGIN_COOKIE, SESSION_COOKIE
from saccade.server.permissions import API


def test_invited_users_sign_in_without_a_password(sso: SsoHarness) -> None:
    sso.invite()
    client = sso.server.client()
    assert client.get(f"{API}/auth/methods").json() == {"provider": "Company", "link_email": None}
    answer = sso.sign_in(client, "/datasets/harbour?query=x")
    assert answer.headers["location"] == "/datasets/harbour?query=x"
    session = client.get(f"{API}/session").json()
    assert (session["user"]["email"], session["user"]["name"]) == ("ann@example.org", "Ann")
    assert (session["role"], session["user"]["has_password"]) == ("annotator", False)
    assert sso.server.workspace.users.list_invitations() == []
    cookies = answer.headers.get_list("set-cookie")
    (cookie,) = (entry for entry in cookies if entry.startswith(SESSION_COOKIE))
    assert all(part in cookie for part in ("HttpOnly", "SameSite=lax", "Path=/"))
    assert any(entry.startswith(f'{LOGIN_COOKIE}=""') for entry in cookies), "the login cookie is deleted"
    (first,) = sso.server.workspace.users.audit_log(limit=1)
    assert (first.user, first.action) == ("Ann", "signed in")
    again = sso.server.client()
    sso.sign_in(again)
    assert again.get(f"{API}/session").json()["user"]["id"] == session["user"]["id"]


def test_requests_to_the_provider(sso: SsoHarness) -> None:
    sso.invite()
    client = sso.server.client()
    sso.sign_in(client)
    (authorization,), (redeemed,) = sso.provider.requests("/authorize"), sso.provider.requests("/token")
    assert authorization["tenant"] == "one", "existing query parameters are kept"
    assert (authorization["response_type"], authorization["code_challenge_method"]) == ("code", "S256")
    assert "openid" in authorization["scope"].split()
    assert authorization["redirect_uri"] == redeemed["redirect_uri"] == REDIRECT_URI
    values = [
        authorization["state"],
        authorization["nonce"],
        authorization["code_challenge"],
        redeemed["code_verifier"],
    ]
    assert len(set(values)) == 4
    assert all(len(entry) >= 43 for entry in values)
    other = sso.server.client()
    sso.sign_in(other)
    assert not set(values) & set(sso.provider.requests("/authorize")[1].values())


def test_secrets_are_neither_logged_nor_stored(sso: SsoHarness, caplog: pytest.LogCaptureFixture) -> None:
    sso.invite()
    first, second = sso.server.client(), sso.server.client()
    callback, login_secret = sso.authorize(first), first.cookies[LOGIN_COOKIE]
    sso.provider.configure(claims={"aud": "another"})
    rejected = sso.authorize(second)
    with caplog.at_level(logging.DEBUG):
        assert failure_reason(second.get(rejected, follow_redirects=False)) == "provider"
        sso.provider.configure()
        first.get(callback, follow_redirects=False)
        sso.sign_in(first)
    codes = [parse_qs(urlsplit(url).query)["code"][0] for url in (callback, rejected)]
    secrets = [
        CLIENT_SECRET,
        quote(CLIENT_SECRET, safe=""),
        login_secret,
        derive(login_secret, "verifier"),
        *codes,
        first.cookies[SESSION_COOKIE],
    ]
    # Without the log of the HTTP client of this test.
    messages = [record.getMessage() for record in caplog.records if record.name != "httpx2"]
    assert any("single sign-on" in entry for entry in messages)
    assert not any(secret in entry for secret in secrets for entry in messages)
    content = b"".join(path.read_bytes() for path in sso.server.workspace.location.glob("catalog.db*"))
    assert not any(secret.encode() in content for secret in secrets)
    assert CLIENT_SECRET not in repr(sso.server.app.state.provider.settings)


def test_sessions_start_with_a_new_secret(sso: SsoHarness) -> None:
    sso.invite()
    client = sso.server.signed_in(Role.VIEWER)
    old = client.cookies[SESSION_COOKIE]
    sso.sign_in(client)
    assert client.cookies[SESSION_COOKIE] != old
    thief = sso.server.client()
    thief.cookies.set(SESSION_COOKIE, old, domain="127.0.0.1", path="/")
    assert thief.get(f"{API}/session").status_code == 401, "the previous session has ended"


def test_uninvited_users_are_denied(sso: SsoHarness) -> None:
    assert sso.fail_sign_in() == "not-invited"
    assert sso.server.workspace.users.list() == [sso.server.owner.user]
    entry = sso.server.workspace.users.audit_log()[0]
    assert (entry.user, entry.action) == (None, "failed to sign in")
    assert "ann@example.org" in entry.subject
    sso.invite(email="other@example.org")
    assert sso.fail_sign_in() == "not-invited"


def test_default_role_for_a_domain(sso: SsoHarness) -> None:
    sso.configure_server(default_role=Role.VIEWER, allowed_domains=("example.org",))
    for email in ("ann@sub.example.org", "ann@example.org.evil.example", "ann@xexample.org"):
        sso.provider.configure(user={**ANN, "sub": email, "email": email})
        assert sso.fail_sign_in() == "not-invited", email
    sso.provider.configure(user={**ANN, "email": "Ann@Example.ORG", "name": ""})
    client = sso.server.client()
    sso.sign_in(client)
    session = client.get(f"{API}/session").json()
    assert (session["role"], session["user"]["name"]) == ("viewer", "ann@example.org")


def test_default_role_does_not_create_the_first_user(sso: SsoHarness, tmp_path: Path) -> None:
    from saccade.store.workspace import Workspace

    with Workspace.create(tmp_path / "new") as workspace:
        link = workspace.users.create_bootstrap_invitation()
        assert link is not None
        sso.server.workspace = workspace
        sso.configure_server(default_role=Role.VIEWER)
        assert sso.fail_sign_in() == "not-invited"
        assert workspace.users.get_invitation(link).role is Role.OWNER, "the bootstrap link is still valid"


def test_accounts_with_a_password_are_linked_with_it(sso: SsoHarness) -> None:
    """The e-mail address alone does not link an account: the provider could take it over, or its owner keep access."""
    address = sso.server.create_user(Role.MANAGER, "ann@example.org")
    sso.server.workspace.projects.add("other")
    client = sso.server.client()
    answer = sso.sign_in(client, "/jobs")
    assert failure_reason(answer) == ""
    assert parse_qs(urlsplit(answer.headers["location"]).query)["next"] == ["/jobs"]
    assert client.get(f"{API}/session").status_code == 401
    assert client.get(f"{API}/auth/methods").json()["link_email"] == address
    assert sso.server.client().get(f"{API}/auth/methods").json()["link_email"] is None
    wrong = client.post(f"{API}/session", json={"email": address, "password": "guess guess"})
    assert wrong.status_code == 401
    other = sso.server.workspace.scoped_to_project("other").users
    _, secret = sso.server.workspace.scoped_to_project("other").users.invite(address, Role.VIEWER, sso.server.owner)
    assert secret
    right = client.post(f"{API}/session", json={"email": address, "password": PASSWORD})
    assert (right.status_code, right.json()["role"]) == (200, "manager")
    assert client.get(f"{API}/auth/methods").json()["link_email"] is None
    assert [entry.email for entry in other.list()] == [address], "pending invitations of the address are accepted"
    again = sso.server.client()
    sso.sign_in(again)
    assert again.get(f"{API}/session").json()["role"] == "manager"
    actions = [entry.action for entry in sso.server.workspace.users.audit_log()]
    assert "connected with single sign-on" in actions


def test_the_password_of_another_account_links_nothing(sso: SsoHarness) -> None:
    sso.server.create_user(Role.MANAGER, "ann@example.org")
    other = sso.server.create_user(Role.VIEWER, "eve@example.org")
    client = sso.server.client()
    sso.sign_in(client)
    assert client.post(f"{API}/session", json={"email": other, "password": PASSWORD}).status_code == 200
    sso.provider.configure(user={**ANN, "email": "unknown@example.org"})
    assert sso.fail_sign_in() == "not-invited"


def test_a_reassigned_address_is_denied(sso: SsoHarness) -> None:
    """The provider reassigned the address of a former employee to another user."""
    sso.invite()
    sso.sign_in(sso.server.client())
    sso.provider.configure(user={**ANN, "sub": "ann-2"})
    assert sso.fail_sign_in() == "taken"
    sso.provider.configure(user={**ANN, "email": "married@example.org"})
    client = sso.server.client()
    sso.sign_in(client)
    assert client.get(f"{API}/session").json()["user"]["email"] == "ann@example.org", (
        "the subject identifies the account"
    )


def test_removed_users_are_denied(sso: SsoHarness) -> None:
    users = sso.server.workspace.users
    sso.configure_server(default_role=Role.VIEWER)
    client = sso.server.client()
    sso.sign_in(client)
    sso.invite(email="bob@example.org")
    bob = {**ANN, "sub": "bob", "email": "bob@example.org"}
    with_password = sso.server.create_user(Role.VIEWER, "eve@example.org")
    users.remove("ann@example.org")
    assert client.get(f"{API}/session").status_code == 401
    assert sso.fail_sign_in() == "removed"
    sso.provider.configure(user={**ANN, "sub": "ann-2"})
    assert sso.fail_sign_in() == "removed", "also with another identity of the address"
    sso.provider.configure(user={**ANN, "email": "another@example.org"})
    assert sso.fail_sign_in() == "removed", "also with another address of the identity"
    users.remove(with_password)
    sso.provider.configure(user={**ANN, "sub": "eve", "email": with_password})
    assert sso.fail_sign_in() == "removed", "also if they never signed in with the provider"
    sso.provider.configure(user=bob)
    sso.sign_in(sso.server.client())
    sso.provider.configure()
    sso.invite(Role.MANAGER)
    client = sso.server.client()
    sso.sign_in(client)
    assert client.get(f"{API}/session").json()["role"] == "manager", "unless they are invited again"


def test_removal_revokes_other_invitations(sso: SsoHarness) -> None:
    first, second = sso.invite(), sso.invite(Role.MANAGER)
    users = sso.server.workspace.users
    users.accept_invitation(first, "Ann", PASSWORD)
    users.remove("ann@example.org")
    assert users.list_invitations() == []
    answer = sso.server.client().post(
        f"{API}/invitations/accept", json={"secret": second, "name": "Ann", "password": PASSWORD}
    )
    assert answer.status_code == 404
    assert sso.fail_sign_in() == "removed"


def test_users_without_a_password_cannot_set_one(sso: SsoHarness) -> None:
    sso.invite()
    client = sso.server.client()
    sso.sign_in(client)
    client.headers[CSRF_HEADER] = client.get(f"{API}/session").json()["csrf_token"]
    answer = client.put(
        f"{API}/session/password", json={"current_password": PASSWORD, "new_password": "another long one"}
    )
    assert (answer.status_code, error_of(answer)) == (409, "conflict")
    assert "no password" in answer.json()["error"]["message"]
    wrong = sso.server.client().post(f"{API}/session", json={"email": "ann@example.org", "password": ""})
    assert wrong.status_code == 401


def test_signing_in_accepts_further_invitations(sso: SsoHarness) -> None:
    sso.invite()
    sso.sign_in(sso.server.client())
    sso.server.workspace.projects.add("night-shift")
    other = sso.server.workspace.scoped_to_project("night-shift").users
    link = other.invite("ann@example.org", Role.MANAGER, sso.server.owner)[1]
    invitation = sso.server.client().post(f"{API}/invitations/lookup", json={"secret": link}).json()
    assert (invitation["has_account"], invitation["has_password"]) == (True, False)
    sso.sign_in(sso.server.client())
    assert [(entry.email, entry.role) for entry in other.list()] == [("ann@example.org", Role.MANAGER)]


def test_failures_are_logged_in_the_project_of_the_login(sso: SsoHarness) -> None:
    sso.server.workspace.projects.add("night-shift")
    other = sso.server.workspace.scoped_to_project("night-shift").users
    client = sso.server.client()
    started = client.post(f"{API}/projects/night-shift/session/oidc", json={"next": "/p/night-shift/jobs"}).json()
    answer = client.get(httpx.get(started["address"]).headers["location"], follow_redirects=False)
    url = urlsplit(answer.headers["location"])
    assert (url.path, parse_qs(url.query)["next"]) == ("/p/night-shift/sign-in", ["/jobs"])
    assert [entry.action for entry in other.audit_log()] == ["failed to sign in"]
    assert sso.server.workspace.users.audit_log() == []


def test_missing_claims_are_fetched_from_userinfo(sso: SsoHarness) -> None:
    sso.invite()
    no_claims = {"email": None, "email_verified": None, "name": None}
    sso.provider.configure(claims=no_claims, userinfo={**ANN, "sub": "another subject"})
    assert sso.fail_sign_in() == "provider"
    sso.provider.configure(claims=no_claims, userinfo=ANN)
    client = sso.server.client()
    sso.sign_in(client)
    assert client.get(f"{API}/session").json()["user"]["name"] == "Ann"


@pytest.mark.parametrize(
    "claims",
    [
        {"email_verified": False},
        {"email_verified": None},
        {"email_verified": "true"},
        {"email_verified": 1},
        {"email": "owner@example.org", "email_verified": False},
        {"email": ["ann@example.org"]},
        {"email": "ann@example.org\x00"},
        {"email": "ann@example.org, owner@example.org"},
        {"email": "mi\u212ae@example.org"},
    ],
)
def test_unverified_addresses_are_denied(sso: SsoHarness, claims: dict[str, Any]) -> None:
    sso.configure_server(default_role=Role.VIEWER)
    sso.invite()
    sso.invite(email="mike@example.org")
    sso.provider.configure(claims=claims, userinfo={"sub": ANN["sub"]})
    assert sso.fail_sign_in() == "unverified"
    assert len(sso.server.workspace.users.list_invitations()) == 2
