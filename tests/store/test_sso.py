"""Federated identities and pending logins in the catalog, in SQLite and PostgreSQL, with concurrent logins."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select

from saccade.core.roles import Role
from saccade.store.auth.service import Principal
from saccade.store.auth.sso import DenialReason, Identity, LinkChallenge, LoginDeniedError, LoginResult, PendingLogin
from saccade.store.catalog.tables import IdentityRow, PendingLoginRow
from saccade.store.maintenance.backup import back_up
from saccade.store.workspace import Workspace

ANN = Identity("https://id.example.org", "1", "ann@example.org", "Ann")
PASSWORD = "correct horse battery"


@pytest.fixture
def owner(workspace: Workspace) -> Principal:
    workspace.users.add("owner@example.org", Role.OWNER, "Owner", PASSWORD)
    return workspace.users.sign_in("owner@example.org", PASSWORD)[1]


def log_in(workspace: Workspace, identity: Identity, role: Role | None = None) -> Principal:
    result = workspace.sso.complete_login(identity, role)
    assert isinstance(result, LoginResult)
    principal = workspace.users.authenticate_session(result.secret)
    assert principal is not None
    return principal


def denial_reason(workspace: Workspace, identity: Identity, role: Role | None = None) -> DenialReason:
    with pytest.raises(LoginDeniedError) as error:
        workspace.sso.complete_login(identity, role)
    return error.value.reason


def test_first_and_later_logins(workspace: Workspace, owner: Principal) -> None:
    workspace.users.invite("ann@example.org", Role.ANNOTATOR, owner)
    first = log_in(workspace, ANN)
    assert (first.user.name, first.role, first.user.has_password) == ("Ann", Role.ANNOTATOR, False)
    assert log_in(workspace, Identity(ANN.issuer, ANN.subject, "", "")).user.id == first.user.id
    assert denial_reason(workspace, Identity(ANN.issuer, "2", ANN.email, "Ann")) is DenialReason.TAKEN
    assert denial_reason(workspace, Identity(ANN.issuer, "2", "", "Ann")) is DenialReason.UNVERIFIED
    moved = log_in(workspace, Identity("https://new.example.org", "7", ANN.email, "Ann"))
    assert moved.user.id == first.user.id, "without a password the account is linked by its address"


def test_subjects_are_case_sensitive_and_per_provider(workspace: Workspace, owner: Principal) -> None:
    assert owner.role is Role.OWNER
    log_in(workspace, Identity(ANN.issuer, "Abc", "a@example.org", "A"), Role.VIEWER)
    others = (
        log_in(workspace, Identity(ANN.issuer, "abc", "b@example.org", "B"), Role.VIEWER),
        log_in(workspace, Identity("https://new.example.org", "Abc", "c@example.org", "C"), Role.VIEWER),
    )
    assert [principal.user.email for principal in others] == ["b@example.org", "c@example.org"]


def test_an_account_with_a_password_is_linked_after_entering_it(workspace: Workspace, owner: Principal) -> None:
    identity = Identity(ANN.issuer, "9", "owner@example.org", "Another name")
    challenge = workspace.sso.complete_login(identity)
    assert isinstance(challenge, LinkChallenge)
    assert workspace.sso.pending_link(challenge.secret) == "owner@example.org"
    assert workspace.sso.pending_link("guess") is None
    assert workspace.sso.pop_pending(challenge.secret) is None, "it is not a login that waits for the provider"
    other = workspace.users.add("eve@example.org", Role.VIEWER, "Eve", PASSWORD)
    assert not workspace.sso.link_account(challenge.secret, other.id)
    assert not workspace.sso.link_account(challenge.secret, owner.user.id), "a challenge can be used once"
    again = workspace.sso.complete_login(identity)
    assert isinstance(again, LinkChallenge)
    assert workspace.sso.link_account(again.secret, owner.user.id)
    assert log_in(workspace, identity).user.name == "Owner"
    login_secret = workspace.sso.start_login("default", "/jobs")
    assert workspace.sso.pending_link(login_secret) is None
    assert not workspace.sso.link_account(login_secret, owner.user.id)
    assert workspace.sso.pop_pending(login_secret) == PendingLogin("default", "/jobs")


def test_concurrent_logins_create_one_account(workspace: Workspace, owner: Principal) -> None:
    workspace.users.invite("ann@example.org", Role.ANNOTATOR, owner)
    login_secret = workspace.sso.start_login("default", "/")
    with ThreadPoolExecutor(8) as pool:
        user_ids = {principal.user.id for principal in pool.map(lambda _: log_in(workspace, ANN), range(8))}
        popped = list(pool.map(lambda _: workspace.sso.pop_pending(login_secret), range(8)))
    assert len(user_ids) == 1
    assert len(workspace.users.list()) == 2
    assert sum(login is not None for login in popped) == 1, "a login can be completed once"


def test_backups_contain_identities_but_no_pending_logins(
    workspace: Workspace, owner: Principal, tmp_path: Path
) -> None:
    assert owner.role is Role.OWNER
    log_in(workspace, ANN, Role.VIEWER)
    workspace.sso.start_login("default", "/")
    back_up(workspace, tmp_path / "copy")
    with Workspace.open(tmp_path / "copy") as copy:
        with copy.catalog.read_tx() as session:
            assert [row.subject for row in session.scalars(select(IdentityRow))] == ["1"]
            assert session.scalars(select(PendingLoginRow)).all() == []
        assert log_in(copy, ANN).user.name == "Ann"
