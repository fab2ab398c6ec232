"""The people of a project on a server, and the projects that one is in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from saccade.client.api import Http
from saccade.client.decoding import made, path_of


@dataclass(frozen=True, slots=True)
class RemotePerson:
    """Somebody, and what they are in the project."""

    id: str
    email: str
    name: str
    role: str | None
    created: datetime


PersonList = list[RemotePerson]


class RemotePeople:
    """The people of a project; owners and managers see them."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self) -> PersonList:
        """Everybody, by name."""
        return [made(RemotePerson, one) for one in self._http.get("/people")]

    def invite(self, email: str, role: str = "annotator") -> str:
        """Invite somebody; the link that leads in, once."""
        return str(self._http.post("/invitations", {"email": email, "role": role})["link"])

    def set_role(self, person: str, role: str) -> None:
        """Make somebody something else."""
        self._http.send("PATCH", path_of("people", person), json={"role": role})

    def remove(self, person: str) -> None:
        """Let somebody in no more."""
        self._http.send("DELETE", path_of("people", person))

    def audit(self, limit: int = 50) -> tuple[dict[str, Any], ...]:
        """What everybody did, and tried to, the newest first."""
        return tuple(self._http.get("/audit", limit=limit)["deeds"])


class RemoteProjects:
    """The projects of a server that one is in; with a token the one that it is for."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(one["name"] for one in self._http.get("/projects"))

    def add(self, name: str) -> str:
        """Begin a project, and be its owner; owners of a project may."""
        return str(self._http.post("/projects", {"name": name})["name"])
