"""Who may do what: one table for all routes. A route that is not in it answers nobody."""

from __future__ import annotations

from enum import StrEnum

from saccade.core.roles import Role

API = "/api/v1"


class Action(StrEnum):
    """What a route is for; ``PUBLIC`` ones also answer people who have not signed in."""

    PUBLIC = "public"
    OWN_ACCOUNT = "own account"
    LOOK = "look"
    SEE_PEOPLE = "see people"
    INVITE = "invite"
    RULE = "rule"


NEEDED = {
    Action.OWN_ACCOUNT: Role.VIEWER,
    Action.LOOK: Role.VIEWER,
    Action.SEE_PEOPLE: Role.MANAGER,
    Action.INVITE: Role.MANAGER,
    Action.RULE: Role.OWNER,
}
"""The least role for each action."""

ROUTES = {
    f"GET {API}/health": Action.PUBLIC,
    f"POST {API}/session": Action.PUBLIC,
    f"GET {API}/session": Action.OWN_ACCOUNT,
    f"DELETE {API}/session": Action.OWN_ACCOUNT,
    f"PUT {API}/session/password": Action.OWN_ACCOUNT,
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
    f"GET {API}/datasets/{{ref}}/item": Action.LOOK,
    f"GET {API}/datasets/{{ref}}/picture": Action.LOOK,
    f"GET {API}/datasets/{{ref}}/file": Action.LOOK,
}
