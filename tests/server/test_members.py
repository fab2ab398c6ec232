"""Members, roles, invitations and API tokens."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from tests.server.conftest import PASSWORD, ServerHarness, error_of

from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError, PermissionDeniedError, SaccadeError
from saccade.core.roles import Role
from saccade.server.permissions import API
from saccade.store.catalog.tables import InvitationRow, SessionRow, TokenRow, now
from saccade.store.workspace import Workspace


@pytest.mark.usefixtures("_fast_password_hash")
def test_the_bootstrap_link_works_once(tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "w") as workspace:
        earlier, secret = workspace.users.create_bootstrap_invitation(), workspace.users.create_bootstrap_invitation()
        assert earlier is not None
        assert secret is not None
        with pytest.raises(NotFoundError):
            workspace.users.accept_invitation(earlier, "A", PASSWORD, "a@example.org")
        with pytest.raises(InvalidValueError, match="is not an e-mail"):
            workspace.users.accept_invitation(secret, "A", PASSWORD)
        owner = workspace.users.accept_invitation(secret, "A", PASSWORD, " A@Example.org ")
        assert (owner.email, owner.role) == ("a@example.org", Role.OWNER)
        assert workspace.users.create_bootstrap_invitation() is None
        with pytest.raises(NotFoundError):
            workspace.users.accept_invitation(secret, "B", PASSWORD, "b@example.org")


def test_invite_and_join(server: ServerHarness) -> None:
    manager = server.signed_in(Role.MANAGER)
    invitation = manager.post(f"{API}/invitations", json={"email": "new@example.org", "role": "annotator"}).json()
    start, _, secret = invitation["link"].partition("#")
    assert start == "http://127.0.0.1:8080/join"
    guest = server.client()
    assert guest.post(f"{API}/invitations/lookup", json={"secret": secret}).json()["email"] == "new@example.org"
    short = guest.post(f"{API}/invitations/accept", json={"secret": secret, "name": "New", "password": "short"})
    assert short.status_code == 422
    joined = guest.post(
        f"{API}/invitations/accept", json={"secret": secret, "name": "New", "password": PASSWORD, "email": "x@y.z"}
    )
    assert joined.status_code == 201
    assert joined.json()["user"]["email"] == "new@example.org", "the address is that of the invitation"
    assert guest.get(f"{API}/session").json()["role"] == "annotator"
    again = server.client().post(
        f"{API}/invitations/accept", json={"secret": secret, "name": "Two", "password": PASSWORD}
    )
    assert again.status_code == 404
    assert manager.post(f"{API}/invitations", json={"email": "new@example.org"}).status_code == 409


def test_roles_cannot_be_exceeded(server: ServerHarness) -> None:
    manager = server.signed_in(Role.MANAGER)
    answer = manager.post(f"{API}/invitations", json={"email": "n@example.org", "role": "owner"})
    assert (answer.status_code, error_of(answer)) == (403, "permission-denied")
    viewer = server.signed_in(Role.VIEWER)
    token = viewer.post(f"{API}/tokens", json={"name": "t", "role": "owner"}).json()
    assert token["role"] == "viewer"
    with pytest.raises(PermissionDeniedError):
        server.workspace.users.create_token(viewer.get(f"{API}/session").json()["user"]["id"], "t", Role.OWNER)


def test_the_last_owner_cannot_be_removed(server: ServerHarness) -> None:
    owner = server.signed_in(Role.OWNER)
    me = owner.get(f"{API}/session").json()["user"]["id"]
    assert owner.patch(f"{API}/members/{me}", json={"role": "viewer"}).status_code == 409
    assert owner.delete(f"{API}/members/{me}").status_code == 409
    other = server.workspace.users.get(server.create_user(Role.OWNER, "second@example.org"))
    assert owner.patch(f"{API}/members/{other.id}", json={"role": "viewer"}).json()["role"] == "viewer"


def test_removal_ends_sessions_and_tokens(server: ServerHarness) -> None:
    owner, viewer = server.signed_in(Role.OWNER), server.signed_in(Role.VIEWER)
    token = viewer.post(f"{API}/tokens", json={"name": "t"}).json()["token"]
    person = viewer.get(f"{API}/session").json()["user"]["id"]
    assert owner.delete(f"{API}/members/{person}").status_code == 204
    assert viewer.get(f"{API}/session").status_code == 401
    program = server.client()
    assert program.get(f"{API}/datasets", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert server.client().post(
        f"{API}/session", json={"email": "viewer@example.org", "password": PASSWORD}
    ).status_code in (401, 429)
    assert owner.post(f"{API}/invitations", json={"email": "viewer@example.org"}).status_code == 201


def test_tokens_have_a_role_and_expire(server: ServerHarness) -> None:
    owner = server.signed_in(Role.OWNER)
    token = owner.post(f"{API}/tokens", json={"name": "reader", "role": "viewer", "days": 1}).json()
    assert token["token"] not in owner.get(f"{API}/tokens").text, "it is shown only once"
    program = server.client()
    program.headers["Authorization"] = f"Bearer {token['token']}"
    assert program.get(f"{API}/datasets").status_code == 200
    assert program.get(f"{API}/members").status_code == 403, "a token has the permissions of its role"
    more = {"name": "more", "role": "owner"}
    assert program.post(f"{API}/tokens", json=more).status_code == 403, "it has no right to manage tokens"
    manager = {"name": "manager", "role": "viewer", "days": 1, "can_manage_tokens": True}
    program.headers["Authorization"] = f"Bearer {owner.post(f'{API}/tokens', json=manager).json()['token']}"
    assert program.post(f"{API}/tokens", json=more).json()["role"] == "viewer", "its role is not higher"
    password = program.put(
        f"{API}/session/password", json={"current_password": PASSWORD, "new_password": "another long one"}
    )
    assert password.status_code == 403
    with server.workspace.catalog.write_tx() as session:
        session.execute(update(TokenRow).values(expires=now() - timedelta(seconds=1)))
    assert program.get(f"{API}/datasets").status_code == 401


def test_tokens_of_other_users_are_hidden(server: ServerHarness) -> None:
    owner, manager = server.signed_in(Role.OWNER), server.signed_in(Role.MANAGER)
    token = owner.post(f"{API}/tokens", json={"name": "mine"}).json()
    assert manager.get(f"{API}/tokens").json() == []
    assert manager.delete(f"{API}/tokens/{token['id']}").status_code == 404
    assert owner.delete(f"{API}/tokens/{token['id']}").status_code == 204


def test_expired_links_and_sessions_are_refused(server: ServerHarness) -> None:
    viewer = server.signed_in(Role.VIEWER)
    _, secret = server.workspace.users.invite("late@example.org", Role.VIEWER, server.owner)
    with server.workspace.catalog.write_tx() as session:
        session.execute(update(InvitationRow).values(expires=now() - timedelta(seconds=1)))
        session.execute(update(SessionRow).values(expires=now() - timedelta(seconds=1)))
    assert viewer.get(f"{API}/session").status_code == 401
    assert server.client().post(f"{API}/invitations/lookup", json={"secret": secret}).status_code == 404


def test_an_address_can_join_only_once(server: ServerHarness) -> None:
    _, first = server.workspace.users.invite("twice@example.org", Role.VIEWER, server.owner)
    _, second = server.workspace.users.invite("twice@example.org", Role.MANAGER, server.owner)
    server.workspace.users.accept_invitation(first, "One", PASSWORD)
    with pytest.raises(ConflictError):
        server.workspace.users.accept_invitation(second, "Two", PASSWORD)


@pytest.mark.slow
@pytest.mark.usefixtures("_fast_password_hash")
def test_concurrent_sign_ins_in_postgresql(tmp_path: Path, postgresql: str) -> None:
    with Workspace.create(tmp_path / "w", postgresql) as workspace:
        users = workspace.users
        link = users.create_bootstrap_invitation() or ""

        def join(number: int) -> bool:
            try:
                users.accept_invitation(link, "A", PASSWORD, f"p{number}@example.org")
            except NotFoundError:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(join, range(8))) == 1, "the link works once, even for concurrent requests"
        (user,) = users.list()
        with ThreadPoolExecutor(8) as pool:
            failures = list(pool.map(lambda _: _failure(workspace, user.email), range(12)))
        assert failures.count("unauthenticated") == 5, "concurrent attempts are counted one by one"
        assert failures.count("rate-limited") == 7
        token, secret = users.create_token(user.id, "t", Role.VIEWER)
        principal = users.authenticate_token(secret)
        assert principal is not None
        users.record_audit(user.id, "viewed", "it")
        assert [entry.user for entry in users.audit_log()] == ["A"]
        users.revoke_token(user.id, token.id)
        assert users.authenticate_token(secret) is None


def _failure(workspace: Workspace, email: str) -> str:
    try:
        workspace.users.sign_in(email, "guess guess")
    except SaccadeError as error:
        return error.code
    return ""
