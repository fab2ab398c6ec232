"""Leases: who may take over the work of another process, and when."""

from __future__ import annotations

from datetime import timedelta

import pytest

from saccade.core.errors import ConflictError
from saccade.core.roles import Role
from saccade.runtime.process import host_name, lease_owner_id
from saccade.store.catalog.leases import LEASE_TIMEOUT, is_lease_expired
from saccade.store.catalog.tables import IdempotentRequestRow, now
from saccade.store.workspace import Workspace

DEAD_PROCESS = f"{host_name()}~{2**22 + 1}~1"
OTHER_MACHINE = "another-machine~17~3"
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("owner_id", "age", "max_age", "is_expired"),
    [
        (lease_owner_id(), HOUR, None, False),
        (lease_owner_id(), HOUR, 2 * HOUR, False),
        (lease_owner_id(), HOUR, HOUR / 2, True),
        (DEAD_PROCESS, timedelta(), None, True),
        (OTHER_MACHINE, LEASE_TIMEOUT / 2, None, False),
        (OTHER_MACHINE, LEASE_TIMEOUT * 1.1, None, True),
        (OTHER_MACHINE, LEASE_TIMEOUT / 2, LEASE_TIMEOUT / 4, True),
        ("", timedelta(), None, True),
        (lease_owner_id(), None, None, True),
    ],
    ids=range(9),  # the ids of processes differ between the processes of a parallel run
)
def test_expiry(owner_id: str, age: timedelta | None, max_age: timedelta | None, is_expired: bool) -> None:
    heartbeat = None if age is None else now() - age
    assert is_lease_expired(owner_id, heartbeat, max_age) == is_expired


@pytest.mark.parametrize(
    ("process", "age", "message"),
    [
        (lease_owner_id(), HOUR, "still being processed"),
        (OTHER_MACHINE, timedelta(seconds=1), "still being processed"),
        (OTHER_MACHINE, HOUR, "its outcome is unknown"),
        (DEAD_PROCESS, timedelta(seconds=1), "its outcome is unknown"),
    ],
    ids=["this process", "recent", "old", "dead"],
)
def test_a_request_of_a_server_on_another_machine_is_still_running(
    workspace: Workspace, process: str, age: timedelta, message: str
) -> None:
    user = workspace.users.add("ann@example.org", Role.OWNER, "Ann", "correct horse battery").id
    assert workspace.idempotency.begin(user, "key", "fingerprint") is None
    with workspace.catalog.write_tx() as session:
        row = session.query(IdempotentRequestRow).one()
        row.process = process
        row.created = now() - age
    with pytest.raises(ConflictError, match=message):
        workspace.idempotency.begin(user, "key", "fingerprint")
