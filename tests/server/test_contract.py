"""A workspace on this machine and one on a server keep one contract, on SQLite and on PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import empty_database
from tests.contract import datasets_contract as contract
from tests.contract.datasets_contract import Place
from tests.server.test_serving import start

from saccade.client import connect
from saccade.core.roles import Role
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["here", "sqlite", "postgresql"])
def place(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A workspace, or a server of one with either database."""
    folder = tmp_path_factory.mktemp("place")
    catalog = ""
    if request.param == "postgresql":
        catalog = empty_database(request.getfixturevalue("_postgresql_server"))
    with Workspace.create(folder, catalog) as workspace:
        if request.param == "here":
            yield workspace
            return
        owner = workspace.people.add("a@example.org", Role.OWNER, "A", "correct horse battery")
        token = workspace.people.new_token(owner.id, "test", Role.MANAGER)[1]
        process, said = start(folder)
        try:
            with connect(said["address"], token) as site:
                yield site
        finally:
            process.terminate()
            process.communicate(timeout=300)


@pytest.fixture
def name() -> str:
    return f"d{uuid.uuid4().hex[:8]}"


def test_writing(place: Place, name: str) -> None:
    contract.check_writing(place, name)


def test_values(place: Place, name: str) -> None:
    contract.check_values(place, name)


def test_written_again(place: Place, name: str, tmp_path: Path) -> None:
    contract.check_written_again(place, name, tmp_path)


def test_branches(place: Place, name: str) -> None:
    contract.check_branches(place, name)


def test_following(place: Place, name: str) -> None:
    contract.check_following(place, name)


def test_asking(place: Place, name: str) -> None:
    contract.check_asking(place, name)
