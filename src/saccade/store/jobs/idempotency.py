"""Requests to which whoever makes them gives a name: made again under the same name, they are not done again.

What was answered is kept for a day, for whoever did not hear it; not where it holds a secret, which is told once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Select, delete, select

from saccade.core.digest import digest_bytes
from saccade.core.errors import ConflictError
from saccade.store.catalog.queries import project_id
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import RequestRow, now
from saccade.store.io.process import is_alive, process_identity

KEPT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Answered:
    """What was answered to a request: the status of HTTP, the body, and the tag of what was made, "" for none."""

    status: int
    body: str
    etag: str


class Requests:
    """The named requests of a project."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def begin(self, person: str, name: str, asked: str) -> Answered | None:
        """Note that a request is about to be done; what was answered to it, where it was done before.

        Args:
            name: what whoever makes it calls it.
            asked: a digest of all that is asked for.

        Raises:
            ConflictError: it was something else under that name; or it is not known how it went, or not told again.
        """
        with self._catalog.writing() as session:
            session.execute(delete(RequestRow).where(RequestRow.created < now() - KEPT))
            row = session.scalar(_of(person, name))
            if row is None:
                made = {"name": _name(name), "asked": asked, "process": process_identity()}
                session.add(RequestRow(project_id=project_id(session), person_id=person, **made))
                return None
        if row.asked != asked:
            raise ConflictError(
                "Something else was asked for with this Idempotency-Key.", hint="Use a new one for a new request."
            )
        if row.status is None:
            if row.process and is_alive(row.process):
                raise ConflictError("This is being done already.", hint="Ask again in a moment.")
            raise ConflictError(
                "This was begun, and nobody knows whether it was done: the server was interrupted.",
                hint="Look at what is there; to do it then, use a new Idempotency-Key.",
            )
        if row.body is None:
            raise ConflictError("This was done, and its answer held a secret, which is told once.")
        return Answered(row.status, row.body, row.etag)

    def end(self, person: str, name: str, answered: Answered, *, is_secret: bool = False) -> None:
        """Note what was answered, to be told again; only that it was, where it is a secret."""
        with self._catalog.writing() as session:
            if (row := session.scalar(_of(person, name))) is not None:
                row.status, row.etag = answered.status, answered.etag
                row.body = None if is_secret else answered.body

    def lose(self, person: str, name: str) -> None:
        """Note that it is not known how it went."""
        with self._catalog.writing() as session:
            if (row := session.scalar(_of(person, name))) is not None:
                row.process = ""

    def forget(self, person: str, name: str) -> None:
        """Let a request that was refused be made again under its name."""
        with self._catalog.writing() as session:
            if (row := session.scalar(_of(person, name))) is not None:
                session.delete(row)


def _of(person: str, name: str) -> Select[RequestRow]:
    return select(RequestRow).where(RequestRow.person_id == person, RequestRow.name == _name(name))


def _name(name: str) -> str:
    """Names are as long as they like, and are nobody else's business."""
    return digest_bytes(name.encode("utf-8", "surrogatepass"))
