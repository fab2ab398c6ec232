"""Single sign-on: who comes in, and who does not."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest
from tests.server.conftest import PASSWORD, error_of
from tests.server.door import HERE, Door, trouble_in
from tests.server.provider import ANN, SECRET

from saccade.app.auth.oidc.provider import derived
from saccade.core.roles import Role
from saccade.server.dependencies.auth import BEGUN, COOKIE, GUARD
from saccade.server.permissions import API

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
