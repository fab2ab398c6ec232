"""Roles of project members."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """Roles from most to least privileged; each includes the permissions of those after it.

    owner: everything, including members and their roles. manager: imports, jobs, models, invitations. reviewer:
    reviews labels. annotator: creates labels. viewer: reads.
    """

    OWNER = "owner"
    MANAGER = "manager"
    REVIEWER = "reviewer"
    ANNOTATOR = "annotator"
    VIEWER = "viewer"

    def covers(self, other: Role) -> bool:
        """Return whether this role includes all permissions of ``other``."""
        order = list(Role)
        return order.index(self) <= order.index(other)
