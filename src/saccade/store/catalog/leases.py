"""Leases: a row names the process that works on it, and the time of its last heartbeat."""

from __future__ import annotations

from datetime import datetime, timedelta

from saccade.store.catalog.tables import now
from saccade.runtime.process import is_alive

LEASE_TIMEOUT = timedelta(minutes=5)
"""Without a heartbeat for this long, a process on another machine counts as dead."""


def is_lease_expired(owner_id: str, heartbeat: datetime) -> bool:
    """Return whether the owner of a lease is dead.

    Args:
        owner_id: the lease owner id of the process.
        heartbeat: its last heartbeat. It matters only for processes on other machines, which cannot be looked up.
    """
    alive = is_alive(owner_id)
    return alive is False or (alive is None and now() - heartbeat > LEASE_TIMEOUT)
