"""Users of a project on a server, and projects."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from saccade.client.api import ApiClient
from saccade.client.decoding import api_path, from_json


@dataclass(frozen=True, slots=True)
class RemoteUser:
    """A user, and their role in the project."""

    id: str
    email: str
    name: str
    role: str | None
    created: datetime


UserList = list[RemoteUser]


class RemoteUsers:
    """Members of the project; requires the role of manager or owner."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    def list(self) -> UserList:
        """List the members by name."""
        return [from_json(RemoteUser, user) for user in self._api.get("/members")]

    def invite(self, email: str, role: str = "annotator") -> str:
        """Invite someone; returns the invitation link, which is shown only once."""
        return str(self._api.post("/invitations", {"email": email, "role": role})["link"])

    def set_role(self, user: str, role: str) -> None:
        """Change a member's role."""
        self._api.send("PATCH", api_path("members", user), json={"role": role})

    def remove(self, user: str) -> None:
        """Remove a member. Their history is kept."""
        self._api.send("DELETE", api_path("members", user))

    def audit_log(self, limit: int = 50) -> tuple[dict[str, Any], ...]:
        """Return the latest entries of the audit log, newest first."""
        return tuple(self._api.get("/audit", limit=limit)["entries"])


class RemoteProjects:
    """The projects that the owner of the token is a member of; only its own project for an API token."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    def list(self) -> tuple[str, ...]:
        """List the names of the projects."""
        return tuple(project["name"] for project in self._api.get("/projects"))

    def add(self, name: str) -> str:
        """Create a project and become its owner; requires the role of owner in the current project."""
        return str(self._api.post("/projects", {"name": name})["name"])
