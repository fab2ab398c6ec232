"""What people may be in a project."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """From the one who may everything to the one who may look; each may what those after it may.

    owner: everything, people and their roles too. manager: imports, jobs, models, invitations. reviewer: judges labels.
    annotator: labels. viewer: looks.
    """

    OWNER = "owner"
    MANAGER = "manager"
    REVIEWER = "reviewer"
    ANNOTATOR = "annotator"
    VIEWER = "viewer"

    def covers(self, other: Role) -> bool:
        """Whether who is this may all that ``other`` may."""
        order = list(Role)
        return order.index(self) <= order.index(other)
