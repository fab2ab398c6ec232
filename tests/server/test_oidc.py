"""Single sign-on with a provider that is a process of its own: who comes in, who does not, and providers that lie."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient
from tests.server.conftest import PASSWORD, Site, error_of
from tests.server.door import HERE, Door, Hostile, started, trouble_in
from tests.server.provider import ANN, CLIENT, SECRET

from saccade.app.oidc import asking
from saccade.app.oidc.provider import derived
from saccade.app.oidc.settings import SECRET as VARIABLE
from saccade.app.oidc.settings import settings_of
from saccade.core.errors import InvalidValueError
from saccade.core.roles import Role
from saccade.server.application import create_app
from saccade.server.gate import BEGUN, COOKIE, GUARD
from saccade.server.permissions import API
from saccade.server.routes.oidc import BACK, own_path


@pytest.fixture(scope="session")
def _hostile() -> Iterator[Hostile]:
    made = started()
    yield made
    made.end()


@pytest.fixture
def hostile(_hostile: Hostile) -> Hostile:
    _hostile.behave()
    return _hostile


@pytest.fixture
def door(site: Site, hostile: Hostile) -> Door:
    made = Door(site, hostile)
    made.given()
    return made


# Who comes in


def test_somebody_invited_comes_in_without_a_password(door: Door) -> None:
    door.invite()
    client = door.site.client()
    assert client.get(f"{API}/session/ways").json() == {"provider": "Company", "connecting": None}
    answer = door.enter(client, "/datasets/harbour?query=x")
    assert answer.headers["location"] == "/datasets/harbour?query=x"
    session = client.get(f"{API}/session").json()
    assert (session["person"]["email"], session["person"]["name"]) == ("ann@example.org", "Ann")
    assert (session["role"], session["person"]["has_password"]) == ("annotator", False)
    assert door.site.workspace.people.invitations() == []
    cookies = answer.headers.get_list("set-cookie")
    (cookie,) = (one for one in cookies if one.startswith(COOKIE))
    assert all(part in cookie for part in ("HttpOnly", "SameSite=lax", "Path=/"))
    assert any(one.startswith(f'{BEGUN}=""') for one in cookies), "what began it is forgotten"
    (first,) = door.site.workspace.people.audit(limit=1)
    assert (first.person, first.action) == ("Ann", "signed in")
    again = door.site.client()
    door.enter(again)
    assert again.get(f"{API}/session").json()["person"]["id"] == session["person"]["id"]


def test_what_the_provider_is_asked(door: Door) -> None:
    door.invite()
    client = door.site.client()
    door.enter(client)
    (asked,), (redeemed,) = door.hostile.asked("/authorize"), door.hostile.asked("/token")
    assert asked["tenant"] == "one", "what its address has already stays"
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert "openid" in asked["scope"].split()
    assert asked["redirect_uri"] == redeemed["redirect_uri"] == HERE
    hidden = [asked["state"], asked["nonce"], asked["code_challenge"], redeemed["code_verifier"]]
    assert len(set(hidden)) == 4
    assert all(len(one) >= 43 for one in hidden)
    other = door.site.client()
    door.enter(other)
    assert not set(hidden) & set(door.hostile.asked("/authorize")[1].values())


def test_secrets_are_in_no_log_and_not_in_the_database(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    door.invite()
    one, two = door.site.client(), door.site.client()
    back, begun = door.begin(one), one.cookies[BEGUN]
    door.hostile.behave(claims={"aud": "another"})
    wrong = door.begin(two)
    with caplog.at_level(logging.DEBUG):
        assert trouble_in(two.get(wrong, follow_redirects=False)) == "provider"
        door.hostile.behave()
        one.get(back, follow_redirects=False)
        door.enter(one)
    codes = [parse_qs(urlsplit(one).query)["code"][0] for one in (back, wrong)]
    secrets = [SECRET, quote(SECRET, safe=""), begun, derived(begun, "verifier"), *codes, one.cookies[COOKIE]]
    # What the browser of the test itself says it asks for is none of the server's.
    told = [record.getMessage() for record in caplog.records if record.name != "httpx2"]
    assert any("single sign-on" in one for one in told)
    assert not any(secret in one for secret in secrets for one in told)
    content = b"".join(path.read_bytes() for path in door.site.workspace.location.glob("catalog.db*"))
    assert not any(secret.encode() in content for secret in secrets)
    assert SECRET not in repr(door.site.app.state.provider.settings)


def test_a_session_begins_with_a_secret_of_its_own(door: Door) -> None:
    door.invite()
    client = door.site.signed_in(Role.VIEWER)
    old = client.cookies[COOKIE]
    door.enter(client)
    assert client.cookies[COOKIE] != old
    thief = door.site.client()
    thief.cookies.set(COOKIE, old, domain="127.0.0.1", path="/")
    assert thief.get(f"{API}/session").status_code == 401, "the session before is over"


def test_nobody_comes_in_uninvited(door: Door) -> None:
    assert door.trouble() == "not-invited"
    assert door.site.workspace.people.list() == [door.site.owner.person]
    deed = door.site.workspace.people.audit()[0]
    assert (deed.person, deed.action) == (None, "failed to sign in")
    assert "ann@example.org" in deed.subject
    door.invite(email="other@example.org")
    assert door.trouble() == "not-invited"


def test_a_role_for_everybody_of_a_domain(door: Door) -> None:
    door.given(role=Role.VIEWER, domains=("example.org",))
    for email in ("ann@sub.example.org", "ann@example.org.evil.example", "ann@xexample.org"):
        door.hostile.behave(person={**ANN, "sub": email, "email": email})
        assert door.trouble() == "not-invited", email
    door.hostile.behave(person={**ANN, "email": "Ann@Example.ORG", "name": ""})
    client = door.site.client()
    door.enter(client)
    session = client.get(f"{API}/session").json()
    assert (session["role"], session["person"]["name"]) == ("viewer", "ann@example.org")


def test_a_role_for_everybody_makes_no_first_person(door: Door, tmp_path: Path) -> None:
    from saccade.store.workspace import Workspace

    with Workspace.create(tmp_path / "new") as workspace:
        link = workspace.people.first_link()
        assert link is not None
        door.site.workspace = workspace
        door.given(role=Role.VIEWER)
        assert door.trouble() == "not-invited"
        assert workspace.people.invitation(link).role is Role.OWNER, "the link for the first one still leads in"


def test_an_account_with_a_password_gives_it_once(door: Door) -> None:
    """Its address alone joins nobody: neither takes the provider an account over, nor keeps its holder a way in."""
    address = door.site.person(Role.MANAGER, "ann@example.org")
    door.site.workspace.projects.add("other")
    client = door.site.client()
    answer = door.enter(client, "/jobs")
    assert trouble_in(answer) == ""
    assert parse_qs(urlsplit(answer.headers["location"]).query)["next"] == ["/jobs"]
    assert client.get(f"{API}/session").status_code == 401
    assert client.get(f"{API}/session/ways").json()["connecting"] == address
    assert door.site.client().get(f"{API}/session/ways").json()["connecting"] is None
    wrong = client.post(f"{API}/session", json={"email": address, "password": "guess guess"})
    assert wrong.status_code == 401
    other = door.site.workspace.in_project("other").people
    _, secret = door.site.workspace.in_project("other").people.invite(address, Role.VIEWER, door.site.owner)
    assert secret
    right = client.post(f"{API}/session", json={"email": address, "password": PASSWORD})
    assert (right.status_code, right.json()["role"]) == (200, "manager")
    assert client.get(f"{API}/session/ways").json()["connecting"] is None
    assert [one.email for one in other.list()] == [address], "what the address is invited to is accepted"
    again = door.site.client()
    door.enter(again)
    assert again.get(f"{API}/session").json()["role"] == "manager"
    actions = [deed.action for deed in door.site.workspace.people.audit()]
    assert "connected with single sign-on" in actions


def test_another_account_is_not_joined_by_a_password(door: Door) -> None:
    door.site.person(Role.MANAGER, "ann@example.org")
    other = door.site.person(Role.VIEWER, "eve@example.org")
    client = door.site.client()
    door.enter(client)
    assert client.post(f"{API}/session", json={"email": other, "password": PASSWORD}).status_code == 200
    door.hostile.behave(person={**ANN, "email": "nobody@example.org"})
    assert door.trouble() == "not-invited"


def test_an_address_that_went_to_somebody_else_opens_nothing(door: Door) -> None:
    """Ann left, and the provider gave her address to another Ann."""
    door.invite()
    door.enter(door.site.client())
    door.hostile.behave(person={**ANN, "sub": "ann-2"})
    assert door.trouble() == "taken"
    door.hostile.behave(person={**ANN, "email": "married@example.org"})
    client = door.site.client()
    door.enter(client)
    assert client.get(f"{API}/session").json()["person"]["email"] == "ann@example.org", "a subject stays who it is"


def test_who_was_removed_stays_out(door: Door) -> None:
    people = door.site.workspace.people
    door.given(role=Role.VIEWER)
    client = door.site.client()
    door.enter(client)
    door.invite(email="bob@example.org")
    bob = {**ANN, "sub": "bob", "email": "bob@example.org"}
    with_password = door.site.person(Role.VIEWER, "eve@example.org")
    people.remove("ann@example.org")
    assert client.get(f"{API}/session").status_code == 401
    assert door.trouble() == "removed"
    door.hostile.behave(person={**ANN, "sub": "ann-2"})
    assert door.trouble() == "removed", "not by another identity of the address either"
    door.hostile.behave(person={**ANN, "email": "another@example.org"})
    assert door.trouble() == "removed", "nor by another address of the identity"
    people.remove(with_password)
    door.hostile.behave(person={**ANN, "sub": "eve", "email": with_password})
    assert door.trouble() == "removed", "nor who never came by the provider"
    door.hostile.behave(person=bob)
    door.enter(door.site.client())
    door.hostile.behave()
    door.invite(Role.MANAGER)
    client = door.site.client()
    door.enter(client)
    assert client.get(f"{API}/session").json()["role"] == "manager", "unless they are invited again"


def test_removing_somebody_withdraws_what_else_they_were_invited_to(door: Door) -> None:
    first, second = door.invite(), door.invite(Role.MANAGER)
    people = door.site.workspace.people
    people.accept(first, "Ann", PASSWORD)
    people.remove("ann@example.org")
    assert people.invitations() == []
    answer = door.site.client().post(f"{API}/join", json={"secret": second, "name": "Ann", "password": PASSWORD})
    assert answer.status_code == 404
    assert door.trouble() == "removed"


def test_who_has_no_password_cannot_make_one_of_a_session(door: Door) -> None:
    door.invite()
    client = door.site.client()
    door.enter(client)
    client.headers[GUARD] = client.get(f"{API}/session").json()["guard"]
    answer = client.put(f"{API}/session/password", json={"old": PASSWORD, "new": "another long one"})
    assert (answer.status_code, error_of(answer)) == (409, "conflict")
    assert "no password" in answer.json()["error"]["message"]
    wrong = door.site.client().post(f"{API}/session", json={"email": "ann@example.org", "password": ""})
    assert wrong.status_code == 401


def test_further_invitations_are_accepted_on_the_way_in(door: Door) -> None:
    door.invite()
    door.enter(door.site.client())
    door.site.workspace.projects.add("night-shift")
    other = door.site.workspace.in_project("night-shift").people
    link = other.invite("ann@example.org", Role.MANAGER, door.site.owner)[1]
    looked = door.site.client().post(f"{API}/join/look", json={"secret": link}).json()
    assert (looked["is_known"], looked["has_password"]) == (True, False)
    door.enter(door.site.client())
    assert [(one.email, one.role) for one in other.list()] == [("ann@example.org", Role.MANAGER)]


def test_the_log_is_that_of_the_project_in_which_somebody_began(door: Door) -> None:
    door.site.workspace.projects.add("night-shift")
    other = door.site.workspace.in_project("night-shift").people
    client = door.site.client()
    begun = client.post(f"{API}/projects/night-shift/session/oidc", json={"next": "/p/night-shift/jobs"}).json()
    answer = client.get(httpx.get(begun["address"]).headers["location"], follow_redirects=False)
    place = urlsplit(answer.headers["location"])
    assert (place.path, parse_qs(place.query)["next"]) == ("/p/night-shift/sign-in", ["/jobs"])
    assert [deed.action for deed in other.audit()] == ["failed to sign in"]
    assert door.site.workspace.people.audit() == []


def test_an_address_that_is_in_no_token_is_asked_for(door: Door) -> None:
    door.invite()
    thin = {"email": None, "email_verified": None, "name": None}
    door.hostile.behave(claims=thin, people={**ANN, "sub": "somebody else"})
    assert door.trouble() == "provider"
    door.hostile.behave(claims=thin, people=ANN)
    client = door.site.client()
    door.enter(client)
    assert client.get(f"{API}/session").json()["person"]["name"] == "Ann"


# Addresses that are not theirs


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
def test_an_address_that_is_not_verified_opens_nothing(door: Door, claims: dict[str, Any]) -> None:
    door.given(role=Role.VIEWER)
    door.invite()
    door.invite(email="mike@example.org")
    door.hostile.behave(claims=claims, people={"sub": ANN["sub"]})
    assert door.trouble() == "unverified"
    assert len(door.site.workspace.people.invitations()) == 2


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

    from saccade.store.tables import SignInRow, now

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
        door.site.workspace, hosts=("labels.example.org",), origin="https://labels.example.org",
        provider=door.site.app.state.provider,
    )  # fmt: skip
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
        door.site.workspace, hosts=("labels.example.org",), origin="https://labels.example.org",
        provider=door.site.app.state.provider,
    )  # fmt: skip
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
    "https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example",
    "/\n/evil.example", "javascript:alert(1)", "evil.example", " //evil.example", "", "/x\r\nSet-Cookie: a=b",
]  # fmt: skip


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
    "huge": "answers more than", "slow": "takes longer", "drip": "takes longer", "bomb": "answers compressed",
    "redirect": "answers 307", "nonsense": "no JSON object", "500": "answers 500", "404": "answers 404",
}  # fmt: skip
"""Ways to give a wrong answer, and what the log says of each."""


@pytest.mark.slow
@pytest.mark.parametrize(("how", "why"), FAULTS.items())
@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/keys"])
def test_answers_that_are_none(
    door: Door, path: str, how: str, why: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """They end soon, whatever the provider does; a password is taken all the while."""
    monkeypatch.setattr(asking, "SECONDS", 1.0)
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


# Settings


def test_a_server_without_a_provider(site: Site) -> None:
    client = site.client()
    assert client.get(f"{API}/session/ways").json() == {"provider": None, "connecting": None}
    assert client.post(f"{API}/session/oidc", json={}).status_code == 404
    assert client.get(BACK).status_code == 404


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"issuer": "http://example.org"}, "no address with https"),
        ({"issuer": "example.org"}, "no address with https"),
        ({"issuer": "https://user:word@example.org"}, "no address with https"),
        ({"issuer": "https://example.org/?a=b"}, "no issuer"),
        ({"issuer": "https://example.org/" + "x" * 300}, "no issuer"),
        ({"client": ""}, "no name for this server"),
        ({"role": Role.OWNER}, "would be an owner"),
        ({"domains": ["example.org"]}, "says for whom"),
        ({"domains": ["a@b"], "role": Role.VIEWER}, "a domain is as"),
        ({"secret_file": Path("/nowhere/secret")}, "cannot be read"),
    ],
)
def test_settings_that_cannot_be_right(given: dict[str, Any], match: str) -> None:
    issuer, client = given.pop("issuer", "https://example.org"), given.pop("client", "x")
    with pytest.raises(InvalidValueError, match=match):
        settings_of(issuer, client, **given)


def test_where_the_secret_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv(VARIABLE, "from the environment\n")
    file = tmp_path / "secret"
    file.write_text("from a file\n")
    assert settings_of("https://example.org", "x", secret_file=file).secret == "from a file"
    assert VARIABLE not in os.environ, "jobs, which begin later, cannot read it"
    monkeypatch.setenv(VARIABLE, "from the environment\n")
    found = settings_of("http://[::1]:9000", "x")
    assert (found.secret, found.name) == ("from the environment", "::1")
    file.write_text("\n")
    with pytest.raises(InvalidValueError, match="no secret"):
        settings_of("https://example.org", "x", secret_file=file)


def test_a_server_without_it_does_not_load_it(tmp_path: Path) -> None:
    program = (
        "import sys; from saccade.store.workspace import Workspace; from saccade.server.application import create_app;"
        f"create_app(Workspace.create({str(tmp_path)!r})); print(','.join(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert {"authlib", "joserfc", "httpx"}.isdisjoint(ran.stdout.strip().split(","))
