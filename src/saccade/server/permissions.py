"""Who may do what: one table for all routes. A route that is not in it answers nobody."""

from __future__ import annotations

import re
from enum import StrEnum

from saccade.core.roles import Role

API = "/api/v1"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""The methods that change nothing."""
FILES = re.compile(rf"{API}/uploads/[^/]+/files")
"""Where files are sent to, of any length; sent again, they are there already."""


class Action(StrEnum):
    """What a route is for.

    ``PUBLIC`` ones also answer people who have not signed in, ``ONESELF`` ones whoever has, in the project or not.
    """

    PUBLIC = "public"
    ONESELF = "oneself"
    OWN_ACCOUNT = "own account"
    LOOK = "look"
    KEEP_VIEWS = "keep views"
    LEAVE_WORK = "leave work"
    SEE_PEOPLE = "see people"
    INVITE = "invite"
    TELL_OTHERS = "tell others"
    RULE = "rule"


NEEDED = {
    Action.OWN_ACCOUNT: Role.VIEWER,
    Action.LOOK: Role.VIEWER,
    Action.KEEP_VIEWS: Role.ANNOTATOR,
    Action.LEAVE_WORK: Role.MANAGER,
    Action.SEE_PEOPLE: Role.MANAGER,
    Action.INVITE: Role.MANAGER,
    Action.TELL_OTHERS: Role.OWNER,
    Action.RULE: Role.OWNER,
}
"""The least role for each action."""

ROUTES = {
    f"GET {API}/health": Action.PUBLIC,
    f"POST {API}/session": Action.PUBLIC,
    f"GET {API}/session": Action.ONESELF,
    f"DELETE {API}/session": Action.ONESELF,
    f"PUT {API}/session/password": Action.ONESELF,
    f"GET {API}/session/ways": Action.PUBLIC,
    f"POST {API}/session/oidc": Action.PUBLIC,
    f"GET {API}/session/oidc/callback": Action.PUBLIC,
    f"GET {API}/projects": Action.ONESELF,
    f"POST {API}/projects": Action.RULE,
    f"GET {API}/tokens": Action.OWN_ACCOUNT,
    f"POST {API}/tokens": Action.OWN_ACCOUNT,
    f"DELETE {API}/tokens/{{token}}": Action.OWN_ACCOUNT,
    f"POST {API}/join/look": Action.PUBLIC,
    f"POST {API}/join": Action.PUBLIC,
    f"GET {API}/people": Action.SEE_PEOPLE,
    f"PATCH {API}/people/{{person}}": Action.RULE,
    f"DELETE {API}/people/{{person}}": Action.RULE,
    f"GET {API}/invitations": Action.INVITE,
    f"POST {API}/invitations": Action.INVITE,
    f"DELETE {API}/invitations/{{invitation}}": Action.INVITE,
    f"GET {API}/audit": Action.RULE,
    f"GET {API}/datasets": Action.LOOK,
    f"GET {API}/datasets/{{ref}}": Action.LOOK,
    f"GET {API}/datasets/{{ref}}/log": Action.LOOK,
    f"GET {API}/datasets/{{ref}}/stats": Action.LOOK,
    f"GET {API}/datasets/{{ref}}/histogram": Action.LOOK,
    f"GET {API}/datasets/{{ref}}/items": Action.LOOK,
    f"GET {API}/datasets/{{ref}}/arrow": Action.LOOK,
    f"GET {API}/datasets/{{ref}}/keys": Action.LOOK,
    f"GET {API}/datasets/{{ref}}/item": Action.LOOK,
    f"GET {API}/datasets/{{ref}}/picture": Action.LOOK,
    f"GET {API}/datasets/{{ref}}/file": Action.LOOK,
    f"GET {API}/datasets/{{ref}}/tile": Action.LOOK,
    f"GET {API}/datasets/{{ref}}/frame": Action.LOOK,
    f"GET {API}/datasets/{{ref}}/names": Action.LOOK,
    f"GET {API}/datasets/{{ref}}/diff": Action.LOOK,
    f"POST {API}/datasets/{{ref}}/restore": Action.LEAVE_WORK,
    f"POST {API}/datasets/{{ref}}/tags": Action.LEAVE_WORK,
    f"DELETE {API}/datasets/{{ref}}/tags/{{tag}}": Action.LEAVE_WORK,
    f"POST {API}/datasets/{{ref}}/aliases": Action.LEAVE_WORK,
    f"DELETE {API}/datasets/{{ref}}/aliases/{{alias}}": Action.LEAVE_WORK,
    f"POST {API}/datasets/{{ref}}/branches": Action.LEAVE_WORK,
    f"DELETE {API}/datasets/{{ref}}/branches/{{branch}}": Action.LEAVE_WORK,
    f"POST {API}/datasets/{{ref}}/merge": Action.LEAVE_WORK,
    f"POST {API}/datasets/{{ref}}/change": Action.LEAVE_WORK,
    f"DELETE {API}/datasets/{{ref}}": Action.LEAVE_WORK,
    f"GET {API}/datasets/{{ref}}/classes": Action.LOOK,
    f"POST {API}/datasets/{{ref}}/classes": Action.LEAVE_WORK,
    f"GET {API}/datasets/{{ref}}/views": Action.LOOK,
    f"PUT {API}/datasets/{{ref}}/views/{{name}}": Action.KEEP_VIEWS,
    f"DELETE {API}/datasets/{{ref}}/views/{{name}}": Action.KEEP_VIEWS,
    f"POST {API}/files/held": Action.LEAVE_WORK,
    f"GET {API}/panels": Action.LOOK,
    f"GET {API}/panels/{{panel}}": Action.LOOK,
    f"GET {API}/formats": Action.LOOK,
    f"GET {API}/operations": Action.LOOK,
    f"GET {API}/operations/{{operation}}": Action.LOOK,
    f"GET {API}/components": Action.LOOK,
    f"GET {API}/folders": Action.LEAVE_WORK,
    f"GET {API}/jobs": Action.LOOK,
    f"POST {API}/jobs": Action.LEAVE_WORK,
    f"GET {API}/jobs/{{job}}": Action.LOOK,
    f"GET {API}/jobs/{{job}}/events": Action.LOOK,
    f"GET {API}/jobs/{{job}}/log": Action.LEAVE_WORK,
    f"GET {API}/jobs/{{job}}/files/{{name}}": Action.LOOK,
    f"POST {API}/jobs/{{job}}/cancel": Action.LEAVE_WORK,
    f"POST {API}/jobs/{{job}}/retry": Action.LEAVE_WORK,
    f"POST {API}/uploads": Action.LEAVE_WORK,
    f"GET {API}/uploads/{{upload}}": Action.LEAVE_WORK,
    f"POST {API}/uploads/{{upload}}/files": Action.LEAVE_WORK,
    f"DELETE {API}/uploads/{{upload}}": Action.LEAVE_WORK,
    f"GET {API}/models": Action.LOOK,
    f"GET {API}/models/{{ref}}": Action.LOOK,
    f"GET {API}/models/{{ref}}/lineage": Action.LOOK,
    f"POST {API}/models/{{ref}}/aliases": Action.LEAVE_WORK,
    f"GET {API}/models/{{ref}}/compare": Action.LOOK,
    f"GET {API}/models/{{ref}}/file": Action.LOOK,
    f"GET {API}/models/{{ref}}/export": Action.LOOK,
    f"DELETE {API}/models/{{ref}}": Action.LEAVE_WORK,
    f"GET {API}/recipe": Action.LOOK,
    f"GET {API}/runs": Action.LOOK,
    f"GET {API}/runs/{{run}}": Action.LOOK,
    f"GET {API}/runs/{{run}}/metrics": Action.LOOK,
    f"GET {API}/runs/{{run}}/events": Action.LOOK,
    f"GET {API}/runs/{{run}}/pipeline": Action.LOOK,
    f"POST {API}/runs/{{run}}/cancel": Action.LEAVE_WORK,
    f"DELETE {API}/runs/{{run}}": Action.LEAVE_WORK,
    f"GET {API}/evaluations": Action.LOOK,
    f"GET {API}/webhooks": Action.TELL_OTHERS,
    f"POST {API}/webhooks": Action.TELL_OTHERS,
    f"GET {API}/webhooks/{{webhook}}": Action.TELL_OTHERS,
    f"PATCH {API}/webhooks/{{webhook}}": Action.TELL_OTHERS,
    f"DELETE {API}/webhooks/{{webhook}}": Action.TELL_OTHERS,
    f"POST {API}/webhooks/{{webhook}}/secret": Action.TELL_OTHERS,
    f"POST {API}/webhooks/{{webhook}}/test": Action.TELL_OTHERS,
    f"GET {API}/webhooks/{{webhook}}/deliveries": Action.TELL_OTHERS,
    f"POST {API}/webhooks/{{webhook}}/deliveries/again": Action.TELL_OTHERS,
    f"POST {API}/webhooks/{{webhook}}/deliveries/{{delivery}}/again": Action.TELL_OTHERS,
    f"GET {API}/evaluations/{{evaluation}}": Action.LOOK,
    f"GET {API}/evaluations/{{evaluation}}/report": Action.LOOK,
    f"GET {API}/evaluations/{{evaluation}}/compare": Action.LOOK,
}

TELLS_SECRET = frozenset(
    {
        f"POST {API}/tokens",
        f"POST {API}/invitations",
        f"POST {API}/webhooks",
        f"POST {API}/webhooks/{{webhook}}/secret",
    }
)
"""The routes whose answers hold what is told once and kept nowhere."""
OWN_WAY_OF_ONCE = frozenset({f"POST {API}/jobs"})
"""Those that themselves see to it that what has an Idempotency-Key is done once, for good."""
