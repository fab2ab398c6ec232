"""Cache of authenticated callers: a client that sends many requests is not looked up in the database for each."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from cachetools import LRUCache

from saccade.app.auth.sessions import authenticate_token
from saccade.store.auth.service import Principal, hash_secret
from saccade.store.catalog.tables import now
from saccade.store.workspace import Workspace

MAX_AGE_S = 1.0
"""What another process changed, such as ``saccade users rm``, takes effect within this time."""
_MAX_PRINCIPALS = 10_000


@dataclass(frozen=True, slots=True)
class _Entry:
    principal: Principal
    access_state: object
    ends: float


class PrincipalCache:
    """The principals that were authenticated in the last second. Thread-safe.

    Whatever this process writes to the catalog, except edits of labels, ends all entries at once: a removed member, a
    lower role, a revoked token or a session that was signed out has no access from then on. Failures are not cached.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: LRUCache[tuple[int | None, bool, str], _Entry] = LRUCache(_MAX_PRINCIPALS)

    def get(self, workspace: Workspace, is_token: bool, secret: str) -> Principal | None:
        """Return a cached principal without reading the database; None if there is none.

        Args:
            workspace: The workspace, scoped to the requested project.
            is_token: Whether it is an API token, not a session.
            secret: The secret of the token or of the session cookie.
        """
        with self._lock:
            entry = self._entries.get(_key(workspace, is_token, secret))
        if entry is None or entry.access_state is not workspace.catalog.unscoped.access_state:
            return None
        return entry.principal if time.monotonic() < entry.ends else None

    def authenticate(self, workspace: Workspace, is_token: bool, secret: str) -> Principal | None:
        """Return the principal of a token or session; None if it expired or was ended. Arguments as for :meth:`get`."""
        principal = self.get(workspace, is_token, secret)
        if principal is not None:
            return principal
        # Both are read before the database: an entry must not outlive a change that it does not include.
        access_state = workspace.catalog.unscoped.access_state
        ends = time.monotonic() + MAX_AGE_S
        principal = authenticate_token(workspace, secret) if is_token else workspace.users.authenticate_session(secret)
        if principal is not None:
            if principal.expires is not None:
                ends = min(ends, time.monotonic() + (principal.expires - now()).total_seconds())
            with self._lock:
                self._entries[_key(workspace, is_token, secret)] = _Entry(principal, access_state, ends)
        return principal


def _key(workspace: Workspace, is_token: bool, secret: str) -> tuple[int | None, bool, str]:
    return workspace.catalog.project, is_token, hash_secret(secret)
