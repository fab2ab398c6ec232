"""Local and remote workspaces have the same behaviour, on SQLite and on PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import empty_database
from tests.contract import datasets_contract as contract
from tests.contract.datasets_contract import WorkspaceLike
from tests.contract.label_sets_contract import check_label_sets
from tests.server.test_run import start

from saccade.client import RemoteWorkspace, connect
from saccade.core.roles import Role
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["local", "sqlite", "postgresql"])
def workspace(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[WorkspaceLike]:
    """A local workspace, or a remote one with either database."""
    folder = tmp_path_factory.mktemp("workspace")
    catalog = ""
    if request.param == "postgresql":
        catalog = empty_database(request.getfixturevalue("_postgresql_server"))
    with Workspace.create(folder, catalog) as local:
        if request.param == "local":
            yield local
            return
        owner = local.users.add("a@example.org", Role.OWNER, "A", "correct horse battery")
        token = local.users.create_token(owner.id, "test", Role.MANAGER)[1]
        process, info = start(folder)
        try:
            with connect(info["address"], token) as remote:
                yield remote
        finally:
            process.terminate()
            process.communicate(timeout=300)


@pytest.fixture
def name() -> str:
    return f"d{uuid.uuid4().hex[:8]}"


def test_writing(workspace: WorkspaceLike, name: str) -> None:
    contract.check_writing(workspace, name)


def test_values(workspace: WorkspaceLike, name: str) -> None:
    contract.check_values(workspace, name)


def test_sequence(workspace: WorkspaceLike, name: str) -> None:
    contract.check_sequence(workspace, name)


def test_rewriting(workspace: WorkspaceLike, name: str, tmp_path: Path) -> None:
    contract.check_rewriting(workspace, name, tmp_path)


def test_branches(workspace: WorkspaceLike, name: str) -> None:
    contract.check_branches(workspace, name)


def test_writes_to_a_branch(workspace: WorkspaceLike, name: str) -> None:
    contract.check_writes_to_a_branch(workspace, name)


def test_expected_version(workspace: WorkspaceLike, name: str) -> None:
    contract.check_expected_version(workspace, name)


def test_queries(workspace: WorkspaceLike, name: str) -> None:
    contract.check_queries(workspace, name)


def test_label_sets(workspace: Workspace | RemoteWorkspace, name: str) -> None:
    check_label_sets(workspace, name)
