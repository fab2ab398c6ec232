"""Joining, roles, invitations and tokens."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from tests.server.conftest import PASSWORD, Site, error_of

from saccade.core.errors import ConflictError, InvalidValueError, NotAllowedError, NotFoundError, SaccadeError
from saccade.core.roles import Role
from saccade.server.permissions import API
from saccade.store.catalog.tables import InvitationRow, SessionRow, TokenRow, now
from saccade.store.workspace import Workspace


@pytest.mark.usefixtures("_hashing_is_cheap")
def test_the_first_owner_comes_by_a_link_that_is_used_once(tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "w") as workspace:
        earlier, secret = workspace.people.first_link(), workspace.people.first_link()
        assert earlier is not None
        assert secret is not None
        with pytest.raises(NotFoundError):
            workspace.people.accept(earlier, "A", PASSWORD, "a@example.org")
        with pytest.raises(InvalidValueError, match="no e-mail"):
            workspace.people.accept(secret, "A", PASSWORD)
        owner = workspace.people.accept(secret, "A", PASSWORD, " A@Example.org ")
        assert (owner.email, owner.role) == ("a@example.org", Role.OWNER)
        assert workspace.people.first_link() is None
        with pytest.raises(NotFoundError):
            workspace.people.accept(secret, "B", PASSWORD, "b@example.org")


def test_somebody_is_invited_and_joins(site: Site) -> None:
    manager = site.signed_in(Role.MANAGER)
    made = manager.post(f"{API}/invitations", json={"email": "new@example.org", "role": "annotator"}).json()
    start, _, secret = made["link"].partition("#")
    assert start == "http://127.0.0.1:8080/join"
    guest = site.client()
    assert guest.post(f"{API}/join/look", json={"secret": secret}).json()["email"] == "new@example.org"
    short = guest.post(f"{API}/join", json={"secret": secret, "name": "New", "password": "short"})
    assert short.status_code == 422
    joined = guest.post(f"{API}/join", json={"secret": secret, "name": "New", "password": PASSWORD, "email": "x@y.z"})
    assert joined.status_code == 201
    assert joined.json()["person"]["email"] == "new@example.org", "the link says for whom it is"
    assert guest.get(f"{API}/session").json()["role"] == "annotator"
    again = site.client().post(f"{API}/join", json={"secret": secret, "name": "Two", "password": PASSWORD})
    assert again.status_code == 404
    assert manager.post(f"{API}/invitations", json={"email": "new@example.org"}).status_code == 409


def test_nobody_gives_more_than_they_have(site: Site) -> None:
    manager = site.signed_in(Role.MANAGER)
    answer = manager.post(f"{API}/invitations", json={"email": "n@example.org", "role": "owner"})
    assert (answer.status_code, error_of(answer)) == (403, "not-allowed")
    viewer = site.signed_in(Role.VIEWER)
    token = viewer.post(f"{API}/tokens", json={"name": "t", "role": "owner"}).json()
    assert token["role"] == "viewer"
    with pytest.raises(NotAllowedError):
        site.workspace.people.new_token(viewer.get(f"{API}/session").json()["person"]["id"], "t", Role.OWNER)


def test_an_owner_stays(site: Site) -> None:
    owner = site.signed_in(Role.OWNER)
    me = owner.get(f"{API}/session").json()["person"]["id"]
    assert owner.patch(f"{API}/people/{me}", json={"role": "viewer"}).status_code == 409
    assert owner.delete(f"{API}/people/{me}").status_code == 409
    other = site.workspace.people.get(site.person(Role.OWNER, "second@example.org"))
    assert owner.patch(f"{API}/people/{other.id}", json={"role": "viewer"}).json()["role"] == "viewer"


def test_who_is_removed_is_out_at_once(site: Site) -> None:
    owner, viewer = site.signed_in(Role.OWNER), site.signed_in(Role.VIEWER)
    token = viewer.post(f"{API}/tokens", json={"name": "t"}).json()["token"]
    person = viewer.get(f"{API}/session").json()["person"]["id"]
    assert owner.delete(f"{API}/people/{person}").status_code == 204
    assert viewer.get(f"{API}/session").status_code == 401
    program = site.client()
    assert program.get(f"{API}/datasets", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert site.client().post(
        f"{API}/session", json={"email": "viewer@example.org", "password": PASSWORD}
    ).status_code in (401, 429)
    assert owner.post(f"{API}/invitations", json={"email": "viewer@example.org"}).status_code == 201


def test_tokens_have_a_scope_and_an_end(site: Site) -> None:
    owner = site.signed_in(Role.OWNER)
    made = owner.post(f"{API}/tokens", json={"name": "reader", "role": "viewer", "days": 1}).json()
    assert made["token"] not in owner.get(f"{API}/tokens").text, "it is shown once"
    program = site.client()
    program.headers["Authorization"] = f"Bearer {made['token']}"
    assert program.get(f"{API}/datasets").status_code == 200
    assert program.get(f"{API}/people").status_code == 403, "a token may no more than its role"
    more = program.post(f"{API}/tokens", json={"name": "more", "role": "owner"}).json()
    assert more["role"] == "viewer", "nor make one that may"
    password = program.put(f"{API}/session/password", json={"old": PASSWORD, "new": "another long one"})
    assert password.status_code == 403
    with site.workspace.catalog.writing() as session:
        session.execute(update(TokenRow).values(expires=now() - timedelta(seconds=1)))
    assert program.get(f"{API}/datasets").status_code == 401


def test_nobody_sees_or_revokes_the_tokens_of_others(site: Site) -> None:
    one, two = site.signed_in(Role.OWNER), site.signed_in(Role.MANAGER)
    token = one.post(f"{API}/tokens", json={"name": "mine"}).json()
    assert two.get(f"{API}/tokens").json() == []
    assert two.delete(f"{API}/tokens/{token['id']}").status_code == 404
    assert one.delete(f"{API}/tokens/{token['id']}").status_code == 204


def test_old_links_and_sessions_open_nothing(site: Site) -> None:
    viewer = site.signed_in(Role.VIEWER)
    _, secret = site.workspace.people.invite("late@example.org", Role.VIEWER, site.owner)
    with site.workspace.catalog.writing() as session:
        session.execute(update(InvitationRow).values(expires=now() - timedelta(seconds=1)))
        session.execute(update(SessionRow).values(expires=now() - timedelta(seconds=1)))
    assert viewer.get(f"{API}/session").status_code == 401
    assert site.client().post(f"{API}/join/look", json={"secret": secret}).status_code == 404


def test_an_address_joins_once(site: Site) -> None:
    _, one = site.workspace.people.invite("twice@example.org", Role.VIEWER, site.owner)
    _, two = site.workspace.people.invite("twice@example.org", Role.MANAGER, site.owner)
    site.workspace.people.accept(one, "One", PASSWORD)
    with pytest.raises(ConflictError):
        site.workspace.people.accept(two, "Two", PASSWORD)


@pytest.mark.slow
@pytest.mark.usefixtures("_hashing_is_cheap")
def test_people_in_postgresql(tmp_path: Path, postgresql: str) -> None:
    with Workspace.create(tmp_path / "w", postgresql) as workspace:
        people = workspace.people
        link = people.first_link() or ""

        def join(number: int) -> bool:
            try:
                people.accept(link, "A", PASSWORD, f"p{number}@example.org")
            except NotFoundError:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(join, range(8))) == 1, "a link is used once, also by many at once"
        (person,) = people.list()
        with ThreadPoolExecutor(8) as pool:
            tries = list(pool.map(lambda _: _failure(workspace, person.email), range(12)))
        assert tries.count("not-signed-in") == 5, "many tries at once are counted one by one"
        assert tries.count("too-many") == 7
        token, secret = people.new_token(person.id, "t", Role.VIEWER)
        caller = people.token(secret)
        assert caller is not None
        people.note(person.id, "looked", "at it")
        assert [deed.person for deed in people.audit()] == ["A"]
        people.revoke(person.id, token.id)
        assert people.token(secret) is None


def _failure(workspace: Workspace, email: str) -> str:
    try:
        workspace.people.sign_in(email, "guess guess")
    except SaccadeError as error:
        return error.code
    return ""
