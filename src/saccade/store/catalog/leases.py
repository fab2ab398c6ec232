"""Leases: a row names the process that works on it, and the time of its last heartbeat.

Jobs and runs renew their leases; webhook deliveries and requests with an idempotency key are claimed once.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from saccade.runtime.process import is_alive
from saccade.store.catalog.tables import now
from saccade.store.catalog.tables.base import Leased

LEASE_TIMEOUT = timedelta(minutes=5)
"""Without a heartbeat for this long, a process on another machine counts as dead."""


def claim_lease(row: Leased, owner_id: str) -> None:
    """Give the lease of a row to a process."""
    row.process = owner_id
    row.heartbeat = now()


def is_lease_expired(owner_id: str, heartbeat: datetime | None, max_age: timedelta | None = None) -> bool:
    """Return whether a lease may be taken over.

    Args:
        owner_id: the lease owner id of the process; "" if it has released the lease.
        heartbeat: its last heartbeat, or when it claimed the lease. It matters for processes on other machines, which
            cannot be looked up.
        max_age: also expire the lease of a live process whose last heartbeat is older; None: a live process keeps it.
    """
    if not owner_id or heartbeat is None:
        return True
    age = now() - heartbeat
    alive = is_alive(owner_id)
    return alive is False or (alive is None and age > LEASE_TIMEOUT) or (max_age is not None and age > max_age)
