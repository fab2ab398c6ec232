"""Whom a provider knows, in the catalog: in SQLite and PostgreSQL, and by many at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select

from saccade.core.roles import Role
from saccade.store.auth.service import Caller
from saccade.store.auth.sso import Begun, Entered, Identity, NotLetInError, Refusal, Waiting
from saccade.store.catalog.tables import IdentityRow, SignInRow
from saccade.store.maintenance.backup import back_up
from saccade.store.workspace import Workspace

ANN = Identity("https://id.example.org", "1", "ann@example.org", "Ann")
PASSWORD = "correct horse battery"


@pytest.fixture
def owner(workspace: Workspace) -> Caller:
    workspace.people.add("owner@example.org", Role.OWNER, "Owner", PASSWORD)
    return workspace.people.sign_in("owner@example.org", PASSWORD)[1]


def entered(workspace: Workspace, identity: Identity, role: Role | None = None) -> Caller:
    found = workspace.identities.enter(identity, role)
    assert isinstance(found, Entered)
    caller = workspace.people.session(found.secret)
    assert caller is not None
    return caller


def refused(workspace: Workspace, identity: Identity, role: Role | None = None) -> Refusal:
    with pytest.raises(NotLetInError) as error:
        workspace.identities.enter(identity, role)
    return error.value.reason


def test_the_first_time_and_every_other(workspace: Workspace, owner: Caller) -> None:
    workspace.people.invite("ann@example.org", Role.ANNOTATOR, owner)
    first = entered(workspace, ANN)
    assert (first.person.name, first.role, first.person.has_password) == ("Ann", Role.ANNOTATOR, False)
    assert entered(workspace, Identity(ANN.issuer, ANN.subject, "", "")).person.id == first.person.id
    assert refused(workspace, Identity(ANN.issuer, "2", ANN.email, "Ann")) is Refusal.TAKEN
    assert refused(workspace, Identity(ANN.issuer, "2", "", "Ann")) is Refusal.UNVERIFIED
    moved = entered(workspace, Identity("https://new.example.org", "7", ANN.email, "Ann"))
    assert moved.person.id == first.person.id, "an account without a password follows its address to a new provider"


def test_subjects_of_another_provider_or_case_are_others(workspace: Workspace, owner: Caller) -> None:
    assert owner.role is Role.OWNER
    entered(workspace, Identity(ANN.issuer, "Abc", "a@example.org", "A"), Role.VIEWER)
    others = (
        entered(workspace, Identity(ANN.issuer, "abc", "b@example.org", "B"), Role.VIEWER),
        entered(workspace, Identity("https://new.example.org", "Abc", "c@example.org", "C"), Role.VIEWER),
    )
    assert [one.person.email for one in others] == ["b@example.org", "c@example.org"]


def test_a_password_is_waited_for(workspace: Workspace, owner: Caller) -> None:
    mine = Identity(ANN.issuer, "9", "owner@example.org", "Somebody")
    found = workspace.identities.enter(mine)
    assert isinstance(found, Waiting)
    assert workspace.identities.waiting(found.secret) == "owner@example.org"
    assert workspace.identities.waiting("guess") is None
    assert workspace.identities.take(found.secret) is None, "it is nothing that the provider is to answer"
    other = workspace.people.add("eve@example.org", Role.VIEWER, "Eve", PASSWORD)
    assert not workspace.identities.connect(found.secret, other.id)
    assert not workspace.identities.connect(found.secret, owner.person.id), "it was used"
    again = workspace.identities.enter(mine)
    assert isinstance(again, Waiting)
    assert workspace.identities.connect(again.secret, owner.person.id)
    assert entered(workspace, mine).person.name == "Owner"
    begun = workspace.identities.begin("default", "/jobs")
    assert workspace.identities.waiting(begun) is None
    assert not workspace.identities.connect(begun, owner.person.id)
    assert workspace.identities.take(begun) == Begun("default", "/jobs")


def test_by_many_at_once(workspace: Workspace, owner: Caller) -> None:
    workspace.people.invite("ann@example.org", Role.ANNOTATOR, owner)
    begun = workspace.identities.begin("default", "/")
    with ThreadPoolExecutor(8) as pool:
        people = {one.person.id for one in pool.map(lambda _: entered(workspace, ANN), range(8))}
        taken = list(pool.map(lambda _: workspace.identities.take(begun), range(8)))
    assert len(people) == 1
    assert len(workspace.people.list()) == 2
    assert sum(one is not None for one in taken) == 1, "a sign-in is finished once"


def test_copies_know_whom_providers_know_and_hold_nothing_unfinished(
    workspace: Workspace, owner: Caller, tmp_path: Path
) -> None:
    assert owner.role is Role.OWNER
    entered(workspace, ANN, Role.VIEWER)
    workspace.identities.begin("default", "/")
    back_up(workspace, tmp_path / "copy")
    with Workspace.open(tmp_path / "copy") as copy:
        with copy.catalog.reading() as session:
            assert [row.subject for row in session.scalars(select(IdentityRow))] == ["1"]
            assert session.scalars(select(SignInRow)).all() == []
        assert entered(copy, ANN).person.name == "Ann"
