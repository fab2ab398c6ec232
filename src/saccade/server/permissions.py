"""Permissions of the HTTP API: one table for all routes. A route that is not in it is refused."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

from saccade.core.roles import Role

API = "/api/v1"


class BodyLimits(NamedTuple):
    """Limits of a JSON request body: its size in bytes, and the number of its values on all levels."""

    size: int
    values: int


SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""HTTP methods that change nothing."""
UPLOAD_PATHS = re.compile(rf"{API}/uploads/[^/]+/files")
"""Paths that accept bodies of any size. They ignore idempotency keys: sending the same files again is harmless."""


class Permission(StrEnum):
    """What a route needs from its caller.

    ``PUBLIC`` routes need no authentication. ``AUTHENTICATED`` routes need a session or a token, but no membership of
    the project. All others need the role of :data:`REQUIRED_ROLES`. An API token has ``MANAGE_TOKENS`` only if it was
    created with this right.
    """

    PUBLIC = "public"
    AUTHENTICATED = "authenticated"
    MANAGE_TOKENS = "manage tokens"
    READ = "read"
    SAVE_VIEWS = "save views"
    LABEL = "label"
    WRITE = "write"
    READ_MEMBERS = "read members"
    INVITE = "invite"
    MANAGE_WEBHOOKS = "manage webhooks"
    ADMIN = "admin"


REQUIRED_ROLES = {
    Permission.MANAGE_TOKENS: Role.VIEWER,
    Permission.READ: Role.VIEWER,
    Permission.SAVE_VIEWS: Role.ANNOTATOR,
    Permission.LABEL: Role.ANNOTATOR,
    Permission.WRITE: Role.MANAGER,
    Permission.READ_MEMBERS: Role.MANAGER,
    Permission.INVITE: Role.MANAGER,
    Permission.MANAGE_WEBHOOKS: Role.OWNER,
    Permission.ADMIN: Role.OWNER,
}
"""Minimum role for each permission."""

ROUTE_PERMISSIONS = {
    f"GET {API}/health": Permission.PUBLIC,
    f"POST {API}/session": Permission.PUBLIC,
    f"GET {API}/session": Permission.AUTHENTICATED,
    f"DELETE {API}/session": Permission.AUTHENTICATED,
    f"PUT {API}/session/password": Permission.AUTHENTICATED,
    f"GET {API}/auth/methods": Permission.PUBLIC,
    f"POST {API}/session/oidc": Permission.PUBLIC,
    f"GET {API}/session/oidc/callback": Permission.PUBLIC,
    f"GET {API}/projects": Permission.AUTHENTICATED,
    f"POST {API}/projects": Permission.ADMIN,
    f"GET {API}/tokens": Permission.MANAGE_TOKENS,
    f"POST {API}/tokens": Permission.MANAGE_TOKENS,
    f"DELETE {API}/tokens/{{token}}": Permission.MANAGE_TOKENS,
    f"POST {API}/invitations/lookup": Permission.PUBLIC,
    f"POST {API}/invitations/accept": Permission.PUBLIC,
    f"GET {API}/members": Permission.READ_MEMBERS,
    f"PATCH {API}/members/{{user}}": Permission.ADMIN,
    f"DELETE {API}/members/{{user}}": Permission.ADMIN,
    f"GET {API}/invitations": Permission.INVITE,
    f"POST {API}/invitations": Permission.INVITE,
    f"DELETE {API}/invitations/{{invitation}}": Permission.INVITE,
    f"GET {API}/audit": Permission.ADMIN,
    f"GET {API}/datasets": Permission.READ,
    f"GET {API}/datasets/{{ref}}": Permission.READ,
    f"GET {API}/datasets/{{ref}}/versions": Permission.READ,
    f"GET {API}/datasets/{{ref}}/stats": Permission.READ,
    f"GET {API}/datasets/{{ref}}/histogram": Permission.READ,
    f"GET {API}/datasets/{{ref}}/items": Permission.READ,
    f"GET {API}/datasets/{{ref}}/arrow": Permission.READ,
    f"GET {API}/datasets/{{ref}}/keys": Permission.READ,
    f"GET {API}/datasets/{{ref}}/item": Permission.READ,
    f"GET {API}/datasets/{{ref}}/image": Permission.READ,
    f"GET {API}/datasets/{{ref}}/file": Permission.READ,
    f"GET {API}/datasets/{{ref}}/tile": Permission.READ,
    f"GET {API}/datasets/{{ref}}/frame": Permission.READ,
    f"GET {API}/datasets/{{ref}}/frames": Permission.READ,
    f"GET {API}/datasets/{{ref}}/timeline": Permission.READ,
    f"GET {API}/datasets/{{ref}}/refs": Permission.READ,
    f"GET {API}/datasets/{{ref}}/diff": Permission.READ,
    f"POST {API}/datasets/{{ref}}/restore": Permission.WRITE,
    f"POST {API}/datasets/{{ref}}/tags": Permission.WRITE,
    f"DELETE {API}/datasets/{{ref}}/tags/{{tag}}": Permission.WRITE,
    f"POST {API}/datasets/{{ref}}/aliases": Permission.WRITE,
    f"DELETE {API}/datasets/{{ref}}/aliases/{{alias}}": Permission.WRITE,
    f"POST {API}/datasets/{{ref}}/branches": Permission.WRITE,
    f"DELETE {API}/datasets/{{ref}}/branches/{{branch}}": Permission.WRITE,
    f"POST {API}/datasets/{{ref}}/merge": Permission.WRITE,
    f"POST {API}/datasets/{{ref}}/items/bulk": Permission.WRITE,
    f"DELETE {API}/datasets/{{ref}}": Permission.WRITE,
    f"GET {API}/datasets/{{ref}}/classes": Permission.READ,
    f"POST {API}/datasets/{{ref}}/classes": Permission.WRITE,
    f"GET {API}/datasets/{{ref}}/views": Permission.READ,
    f"PUT {API}/datasets/{{ref}}/views/{{name}}": Permission.SAVE_VIEWS,
    f"DELETE {API}/datasets/{{ref}}/views/{{name}}": Permission.SAVE_VIEWS,
    f"GET {API}/label-sets": Permission.READ,
    f"POST {API}/label-sets": Permission.WRITE,
    f"GET {API}/label-sets/{{label_set}}": Permission.READ,
    f"DELETE {API}/label-sets/{{label_set}}": Permission.WRITE,
    f"PUT {API}/label-sets/{{label_set}}/classes/{{class_id}}": Permission.WRITE,
    f"GET {API}/label-sets/{{label_set}}/items": Permission.READ,
    f"GET {API}/label-sets/{{label_set}}/item": Permission.READ,
    f"GET {API}/label-sets/{{label_set}}/history": Permission.READ,
    f"POST {API}/label-sets/{{label_set}}/edits": Permission.LABEL,
    f"POST {API}/label-sets/{{label_set}}/presence": Permission.LABEL,
    f"GET {API}/label-sets/{{label_set}}/events": Permission.READ,
    f"GET {API}/label-sets/{{label_set}}/commit": Permission.READ,
    f"POST {API}/label-sets/{{label_set}}/commit": Permission.WRITE,
    f"POST {API}/blobs/exists": Permission.WRITE,
    f"GET {API}/panels": Permission.READ,
    f"GET {API}/panels/{{panel}}": Permission.READ,
    f"GET {API}/formats": Permission.READ,
    f"GET {API}/operations": Permission.READ,
    f"GET {API}/operations/{{operation}}": Permission.READ,
    f"GET {API}/components": Permission.READ,
    f"GET {API}/folders": Permission.WRITE,
    f"GET {API}/jobs": Permission.READ,
    f"POST {API}/jobs": Permission.WRITE,
    f"GET {API}/jobs/{{job}}": Permission.READ,
    f"GET {API}/jobs/{{job}}/events": Permission.READ,
    f"GET {API}/jobs/{{job}}/log": Permission.WRITE,
    f"GET {API}/jobs/{{job}}/files/{{name}}": Permission.READ,
    f"POST {API}/jobs/{{job}}/cancel": Permission.WRITE,
    f"POST {API}/jobs/{{job}}/retry": Permission.WRITE,
    f"POST {API}/uploads": Permission.WRITE,
    f"GET {API}/uploads/{{upload}}": Permission.WRITE,
    f"POST {API}/uploads/{{upload}}/files": Permission.WRITE,
    f"DELETE {API}/uploads/{{upload}}": Permission.WRITE,
    f"GET {API}/models": Permission.READ,
    f"GET {API}/models/{{ref}}": Permission.READ,
    f"GET {API}/models/{{ref}}/lineage": Permission.READ,
    f"POST {API}/models/{{ref}}/aliases": Permission.WRITE,
    f"GET {API}/models/{{ref}}/compare": Permission.READ,
    f"GET {API}/models/{{ref}}/file": Permission.READ,
    f"GET {API}/models/{{ref}}/export": Permission.READ,
    f"DELETE {API}/models/{{ref}}": Permission.WRITE,
    f"GET {API}/recipes/suggested": Permission.READ,
    f"GET {API}/runs": Permission.READ,
    f"GET {API}/runs/{{run}}": Permission.READ,
    f"GET {API}/runs/{{run}}/metrics": Permission.READ,
    f"GET {API}/runs/{{run}}/progress": Permission.READ,
    f"GET {API}/runs/{{run}}/log": Permission.READ,
    f"GET {API}/runs/{{run}}/events": Permission.READ,
    f"GET {API}/runs/{{run}}/pipeline": Permission.READ,
    f"POST {API}/runs/{{run}}/cancel": Permission.WRITE,
    f"DELETE {API}/runs/{{run}}": Permission.WRITE,
    f"GET {API}/evaluations": Permission.READ,
    f"GET {API}/webhooks": Permission.MANAGE_WEBHOOKS,
    f"POST {API}/webhooks": Permission.MANAGE_WEBHOOKS,
    f"GET {API}/webhooks/{{webhook}}": Permission.MANAGE_WEBHOOKS,
    f"PATCH {API}/webhooks/{{webhook}}": Permission.MANAGE_WEBHOOKS,
    f"DELETE {API}/webhooks/{{webhook}}": Permission.MANAGE_WEBHOOKS,
    f"POST {API}/webhooks/{{webhook}}/secret": Permission.MANAGE_WEBHOOKS,
    f"POST {API}/webhooks/{{webhook}}/test": Permission.MANAGE_WEBHOOKS,
    f"GET {API}/webhooks/{{webhook}}/deliveries": Permission.MANAGE_WEBHOOKS,
    f"POST {API}/webhooks/{{webhook}}/deliveries/retry": Permission.MANAGE_WEBHOOKS,
    f"POST {API}/webhooks/{{webhook}}/deliveries/{{delivery}}/retry": Permission.MANAGE_WEBHOOKS,
    f"GET {API}/evaluations/{{evaluation}}": Permission.READ,
    f"GET {API}/evaluations/{{evaluation}}/report": Permission.READ,
    f"GET {API}/evaluations/{{evaluation}}/compare": Permission.READ,
}

STATELESS_ROUTES = frozenset({f"GET {API}/health"})
"""Public routes that use neither the workspace nor the caller: they are answered without a worker thread, so that a
monitor gets its answer while all threads are busy."""
UNAUDITED_ROUTES = frozenset(
    {f"POST {API}/label-sets/{{label_set}}/edits", f"POST {API}/label-sets/{{label_set}}/presence"}
)
"""Writes that are not in the audit log. Edits have a log of their own, and one more transaction for each of them would
halve their number. Refused ones are audited."""
SECRET_RESPONSES = frozenset(
    {
        f"POST {API}/tokens",
        f"POST {API}/invitations",
        f"POST {API}/webhooks",
        f"POST {API}/webhooks/{{webhook}}/secret",
    }
)
"""Routes whose responses contain a secret. The idempotency store must not keep these responses."""
UNCOMPRESSED_ROUTES = SECRET_RESPONSES | {
    f"POST {API}/session",
    f"GET {API}/session",
    f"PUT {API}/session/password",
    f"POST {API}/session/oidc",
    f"POST {API}/invitations/accept",
}
"""Routes whose responses contain a secret, such as the CSRF token. They must not be compressed."""
IDEMPOTENT_BY_ROUTE = frozenset({f"POST {API}/jobs"})
"""Routes that handle the idempotency key themselves. ``POST /jobs`` remembers it for as long as the job exists."""

PUBLIC_BODY_LIMITS = BodyLimits(16 << 10, 100)
"""Limits of routes that need no authentication: their bodies are a few short texts."""
DEFAULT_BODY_LIMITS = BodyLimits(1 << 20, 25_000)
LARGE_BODY_LIMITS = BodyLimits(4 << 20, 110_000)
"""Limits of routes whose bodies may have up to 100,000 item keys, or 10,000 resolutions of conflicts."""
LABEL_BODY_LIMITS = BodyLimits(16 << 20, 1_000_000)
"""Limits of edits of labels: 256 of them, some with masks or long polygons."""
_LABEL_BODY_PATHS = re.compile(rf"{API}/label-sets/[^/]+/edits")
_LARGE_BODY_PATHS = re.compile(rf"{API}/(jobs|datasets/[^/]+/(items/bulk|merge))")
_PUBLIC_PATHS = frozenset(
    route.partition(" ")[2] for route, permission in ROUTE_PERMISSIONS.items() if permission is Permission.PUBLIC
)


def body_limits(path: str) -> BodyLimits:
    """Return the limits of the JSON bodies of a path, without the prefix of a project."""
    if path in _PUBLIC_PATHS:
        return PUBLIC_BODY_LIMITS
    if _LABEL_BODY_PATHS.fullmatch(path):
        return LABEL_BODY_LIMITS
    return LARGE_BODY_LIMITS if _LARGE_BODY_PATHS.fullmatch(path) else DEFAULT_BODY_LIMITS
