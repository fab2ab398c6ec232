"""Sessions, members, invitations, API tokens and the audit log."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response

from saccade.app.auth import members, sessions
from saccade.app.auth.oidc.login import link_account
from saccade.core.errors import AuthenticationError, PermissionDeniedError
from saccade.server.dependencies.auth import (
    CurrentUser,
    CurrentWorkspace,
    audit,
    clear_login_cookie,
    clear_session_cookie,
    client_address,
    end_previous_session,
    login_cookie,
    public_origin,
    set_session_cookie,
)
from saccade.server.routes.router import ApiRouter
from saccade.server.schemas.members import (
    AcceptInvitation,
    AuditEntryResponse,
    AuditPage,
    InvitationCreate,
    InvitationCreated,
    InvitationLookup,
    InvitationResponse,
    MemberResponse,
    PasswordChange,
    RoleUpdate,
    SessionResponse,
    SignInRequest,
    TokenCreate,
    TokenCreated,
    TokenResponse,
)
from saccade.store.auth.service import Principal

router = ApiRouter(tags=["members"])


def _session_response(principal: Principal) -> SessionResponse:
    user = MemberResponse.model_validate(principal.user)
    return SessionResponse(user=user, role=principal.role, csrf_token=principal.csrf_token)


@router.post("/session")
def sign_in(body: SignInRequest, request: Request, response: Response, workspace: CurrentWorkspace) -> SessionResponse:
    """Sign in with a password. The response sets the session cookie.

    If a single sign-on login is waiting for the password of this account, the account is linked to it.
    """
    limiter = request.app.state.password_limiter
    limiter.record_attempt(client_address(request))
    try:
        secret, principal = sessions.sign_in(workspace, body.email, body.password, client_address(request))
    except AuthenticationError:
        audit(request, "failed to sign in", body.email.strip().lower())
        raise
    limiter.remove_attempt(client_address(request))
    end_previous_session(request)
    request.state.principal = principal
    audit(request, "signed in", principal.user.email)
    login_secret = login_cookie(request)
    if login_secret and link_account(workspace, login_secret, principal.user.id):
        audit(request, "connected with single sign-on", principal.user.email)
        clear_login_cookie(response)
    set_session_cookie(response, request, secret)
    # Authenticate again: linking the account may have accepted an invitation, which changes the role.
    return _session_response(workspace.users.authenticate_session(secret) or principal)


@router.get("/session")
def get_session(principal: CurrentUser) -> SessionResponse:
    """Get the current user, their role and the CSRF token."""
    return _session_response(principal)


@router.delete("/session", status_code=204)
def sign_out(request: Request, response: Response) -> None:
    """Sign out: end the session and delete its cookie."""
    end_previous_session(request)
    clear_session_cookie(response)


@router.put("/session/password")
def change_password(
    body: PasswordChange, request: Request, response: Response, workspace: CurrentWorkspace, principal: CurrentUser
) -> SessionResponse:
    """Change the password. All other sessions of the user end."""
    if principal.csrf_token is None:
        raise PermissionDeniedError("An API token cannot change the password.", hint="Sign in with the password.")
    limiter = request.app.state.password_limiter
    limiter.record_attempt(client_address(request))
    secret, principal = sessions.change_password(workspace, principal.user.id, body.current_password, body.new_password)
    limiter.remove_attempt(client_address(request))
    set_session_cookie(response, request, secret)
    return _session_response(principal)


@router.post("/invitations/lookup")
def get_invitation(body: InvitationLookup, workspace: CurrentWorkspace) -> InvitationResponse:
    """Get the invitation that belongs to the secret of a link."""
    return InvitationResponse.model_validate(workspace.users.get_invitation(body.secret))


@router.post("/invitations/accept", status_code=201)
def accept_invitation(
    body: AcceptInvitation, request: Request, response: Response, workspace: CurrentWorkspace
) -> SessionResponse:
    """Accept an invitation: create the account and sign in."""
    secret, principal = sessions.accept_invitation(
        workspace, body.secret, body.name, body.password, body.email, client_address(request)
    )
    request.state.principal = principal
    audit(request, "joined", principal.user.email)
    set_session_cookie(response, request, secret)
    return _session_response(principal)


@router.get("/members")
def list_members(workspace: CurrentWorkspace) -> list[MemberResponse]:
    """List the members of the project with their roles."""
    return [MemberResponse.model_validate(user) for user in workspace.users.list()]


@router.patch("/members/{user}")
def set_role(user: str, body: RoleUpdate, workspace: CurrentWorkspace) -> MemberResponse:
    """Change a member's role."""
    return MemberResponse.model_validate(members.set_role(workspace, user, body.role))


@router.delete("/members/{user}", status_code=204)
def remove_member(user: str, workspace: CurrentWorkspace) -> None:
    """Remove a member from the project. Their history is kept."""
    members.remove_member(workspace, user)


@router.get("/invitations")
def list_invitations(workspace: CurrentWorkspace) -> list[InvitationResponse]:
    """List the pending invitations."""
    return [InvitationResponse.model_validate(invitation) for invitation in workspace.users.list_invitations()]


@router.post("/invitations", status_code=201)
def create_invitation(
    body: InvitationCreate, request: Request, workspace: CurrentWorkspace, principal: CurrentUser
) -> InvitationCreated:
    """Invite someone to the project. The response contains the invitation link, which is shown only once."""
    invitation, secret = members.create_invitation(workspace, body.email, body.role, principal)
    link = f"{public_origin(request)}/join#{secret}"
    return InvitationCreated(**InvitationResponse.model_validate(invitation).model_dump(), link=link)


@router.delete("/invitations/{invitation}", status_code=204)
def revoke_invitation(invitation: str, workspace: CurrentWorkspace) -> None:
    """Revoke a pending invitation."""
    members.revoke_invitation(workspace, invitation)


@router.get("/tokens")
def list_tokens(workspace: CurrentWorkspace, principal: CurrentUser) -> list[TokenResponse]:
    """List the API tokens of the current user."""
    return [TokenResponse.model_validate(token) for token in workspace.users.list_tokens(principal.user.id)]


@router.post("/tokens", status_code=201)
def create_token(body: TokenCreate, workspace: CurrentWorkspace, principal: CurrentUser) -> TokenCreated:
    """Create an API token for the current user; it is shown only once.

    Its role is at most that of the caller. If the caller is a token, the new one expires and is revoked with it.
    """
    assert principal.role is not None, "the permission of this route requires a role"
    role = body.role if principal.role.covers(body.role) else principal.role
    token, secret = members.create_token(
        workspace,
        principal.user.id,
        body.name,
        role,
        body.days,
        can_manage_tokens=body.can_manage_tokens,
        creator=principal.token,
    )
    return TokenCreated(**TokenResponse.model_validate(token).model_dump(), token=secret)


@router.delete("/tokens/{token}", status_code=204)
def revoke_token(token: str, workspace: CurrentWorkspace, principal: CurrentUser) -> None:
    """Revoke an API token of the current user, and the tokens that were created with it."""
    members.revoke_token(workspace, principal.user.id, token)


@router.get("/audit")
def list_audit_entries(
    workspace: CurrentWorkspace,
    before: Annotated[int | None, Query(ge=0, lt=1 << 62)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> AuditPage:
    """List the audit log, newest first: sign-ins, writes and refused requests."""
    entries = workspace.users.audit_log(before, limit)
    next_cursor = entries[-1].id if len(entries) == limit else None
    return AuditPage(entries=[AuditEntryResponse.model_validate(entry) for entry in entries], next=next_cursor)
