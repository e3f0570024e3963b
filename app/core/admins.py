"""Admin accounts: who may work here, and what nobody can do to them. Manual, "Admin Accounts".

The last active Super User stays; nobody disables, demotes or deletes themselves; nobody gives, or takes charge of,
permissions that they do not have themselves. A partner's admins have roles for partners, nobody else has, and they
manage the admins of their own partner only. Roles are in ``roles``, signing in and one's own account in ``sign_in``.
"""

from __future__ import annotations

import secrets
from datetime import datetime

from sqlalchemy.orm import Session

from app.core import admin_links, admin_sessions, second_factor, sign_in
from app.core.account_models import LinkPurpose
from app.core.actions import open_action
from app.core.admin_rules import SUPER_USER as SUPER_USER
from app.core.admin_rules import AcceptedAlready as AcceptedAlready
from app.core.admin_rules import AdminProtected as AdminProtected
from app.core.admin_rules import AdminStatusUnchanged as AdminStatusUnchanged
from app.core.admin_rules import BeyondOwnPermissions as BeyondOwnPermissions
from app.core.admin_rules import LastSuperUser as LastSuperUser
from app.core.admin_rules import NotActive as NotActive
from app.core.admin_rules import NotOfOwnPartner as NotOfOwnPartner
from app.core.admin_rules import NotOneself as NotOneself
from app.core.admin_rules import RoleOfOtherKind as RoleOfOtherKind
from app.core.admin_rules import require_another_super_user as require_another_super_user
from app.core.admin_rules import require_charge_of as require_charge_of
from app.core.admin_rules import require_kind as require_kind
from app.core.admin_rules import require_other as require_other
from app.core.admin_rules import require_reach as require_reach
from app.core.admin_rules import require_within as require_within
from app.core.audit import record_change
from app.core.models import Action, ActionStatus, Admin, AdminStatus, Role
from app.core.passwords import hash_password
from app.core.sign_in import EmailTaken

CHANGE_STATUS = "Change Admin Status"
RESET_PASSWORD = "Reset Password"  # noqa: S105 (the action's name in the log)
END_SESSIONS = "Sign Out Everywhere"
INVITE = "Send Invitation"
WITHDRAW = "Withdraw Invitation"
UNLOCK = "Unlock Admin"
REMOVE_SECOND_STEP = "Remove Two-Step Sign-In"


def create_account(
    session: Session,
    *,
    email: str,
    name: str,
    role: Role,
    password: str | None,
    timezone: str | None,
    actor: Admin | None,
    now: datetime,
    partner_id: int | None = None,
) -> tuple[Admin, str | None]:
    """Make an account; flushes. Without a password it is invited by e-mail.

    Returns the account and, when no mail server is set, the invitation's address: to be shown once.

    ``partner_id``: the partner whose admin it will be, for good. Raises InvalidEmail, EmailTaken, WeakPassword,
    BeyondOwnPermissions, NotOfOwnPartner, RoleOfOtherKind.
    """
    require_reach(actor, partner_id)
    require_kind(role, partner_id)
    require_within(actor, role.permissions)
    admin = sign_in.create_admin(
        session,
        email=email,
        name=name,
        role=role.name,
        password=password or None,
        actor=actor,
        partner_id=partner_id,
    )
    admin.timezone = timezone
    session.flush()
    if password:
        return admin, None
    return admin, admin_links.send_link(
        session, admin=admin, purpose=LinkPurpose.INVITE, asked_by=_name(actor), now=now
    )


def send_invitation(
    session: Session, *, admin: Admin, reason: str, actor: Admin | None, now: datetime
) -> tuple[Action, str | None]:
    """Invite somebody (again) who has no password yet; the links before hold no more. Flushes.

    Returns the log's row and, when no mail server is set, the address. Raises AcceptedAlready, BeyondOwnPermissions,
    ReasonRequired.
    """
    require_charge_of(actor, admin)
    if admin.password_hash is not None:
        raise AcceptedAlready(f"{admin.name} has a password already; reset it instead.")
    if admin.status is not AdminStatus.INVITED:
        _audit(session, actor, "change", admin, {"status": admin.status}, {"status": AdminStatus.INVITED})
        admin.status = AdminStatus.INVITED
        session.flush()
    url = admin_links.send_link(session, admin=admin, purpose=LinkPurpose.INVITE, asked_by=_name(actor), now=now)
    return _log(session, INVITE, admin, _sent_to(admin, url), reason, actor, now), url


def withdraw_invitation(session: Session, *, admin: Admin, reason: str, actor: Admin | None, now: datetime) -> Action:
    """End an invitation that was not accepted; flushes.

    Raises AcceptedAlready, BeyondOwnPermissions, ReasonRequired.
    """
    require_charge_of(actor, admin)
    if admin.status is not AdminStatus.INVITED or not admin_links.withdraw_links(session, admin_id=admin.id, now=now):
        raise AcceptedAlready("There is no invitation that could be withdrawn.")
    return _log(session, WITHDRAW, admin, None, reason, actor, now)


def unlock(session: Session, *, admin: Admin, reason: str, actor: Admin | None, now: datetime) -> Action:
    """Let somebody in again who was locked out by too many failed sign-ins; flushes.

    Raises AdminStatusUnchanged, BeyondOwnPermissions, ReasonRequired.
    """
    require_charge_of(actor, admin)
    if not admin.is_locked(now):
        raise AdminStatusUnchanged(f"{admin.name} is not locked.")
    _audit(session, actor, "change", admin, {"locked_until": admin.locked_until}, {"locked_until": None})
    admin.locked_until, admin.failed_sign_ins, admin.failed_since = None, 0, None
    session.flush()
    return _log(session, UNLOCK, admin, None, reason, actor, now)


def remove_second_step(session: Session, *, admin: Admin, reason: str, actor: Admin | None, now: datetime) -> Action:
    """Take away the second step of somebody who has lost it, which ends their sign-ins; flushes.

    Raises NotSetUp, NotOneself (one's own needs password and code), BeyondOwnPermissions, ReasonRequired.
    """
    require_other(actor, admin, "Switch off your own under My account.")
    require_charge_of(actor, admin)
    second_factor.remove(session, admin=admin, actor=actor)
    admin_sessions.end(session, admin_id=admin.id, why=admin_sessions.SECOND_STEP, now=now)
    return _log(session, REMOVE_SECOND_STEP, admin, None, reason, actor, now)


def send_reset_link(
    session: Session, *, admin: Admin, reason: str, actor: Admin | None, now: datetime
) -> tuple[Action, str | None]:
    """Mail an active admin a link to choose another password; the old one holds until then. Flushes.

    Returns the log's row and, when no mail server is set, the address. Raises NotActive, BeyondOwnPermissions,
    ReasonRequired.
    """
    require_charge_of(actor, admin)
    if admin.status is not AdminStatus.ACTIVE:
        raise NotActive(f"{admin.name} is {admin.status.label.lower()}: a link to reset the password is of no use.")
    url = admin_links.send_link(session, admin=admin, purpose=LinkPurpose.RESET, asked_by=_name(actor), now=now)
    return _log(session, RESET_PASSWORD, admin, _sent_to(admin, url), reason, actor, now), url


def end_one_session(session: Session, *, admin: Admin, number: int, actor: Admin | None, now: datetime) -> bool:
    """End one sign-in of an admin, with an entry in the audit; False when it was over. Flushes.

    Raises BeyondOwnPermissions.
    """
    if actor is None or actor.id != admin.id:
        require_charge_of(actor, admin)
    why = "Ended under My account" if actor is not None and actor.id == admin.id else f"Ended by {_name(actor)}"
    if not admin_sessions.end(session, admin_id=admin.id, only=[number], why=why, now=now):
        return False
    _audit(session, actor, "change", admin, {f"session {number}": "open"}, {f"session {number}": "ended"})
    return True


def change_account(
    session: Session, *, admin: Admin, email: str, name: str, role: Role, timezone: str | None, actor: Admin | None
) -> None:
    """Change an account, audited; flushes. A change of role holds from the admin's next click.

    Raises InvalidEmail, EmailTaken, NotOneself (own role), LastSuperUser, BeyondOwnPermissions, NotOfOwnPartner,
    RoleOfOtherKind.
    """
    email = sign_in.checked_email(email)
    other = sign_in.find_admin(session, email)
    if other is not None and other.id != admin.id:
        raise EmailTaken("Another admin has this e-mail address.")
    require_charge_of(actor, admin)
    require_kind(role, admin.partner_id)
    if role.id != admin.role_id:
        require_other(actor, admin, "You cannot change your own role.")
        require_within(actor, role.permissions)
        if role.name != SUPER_USER:
            require_another_super_user(session, admin)
    before = _facts(admin)
    admin.email, admin.name, admin.role, admin.timezone = email, name.strip() or email, role, timezone
    session.flush()
    _audit(session, actor, "change", admin, before, _facts(admin))


def change_admin_status(
    session: Session, *, admin: Admin, status: AdminStatus, reason: str, actor: Admin | None, now: datetime
) -> Action:
    """Disable an account, which ends its sessions at once, or make it active again; flushes. Returns the log's row.

    Raises AdminStatusUnchanged, NotActive, NotOneself, LastSuperUser, BeyondOwnPermissions, ReasonRequired.
    """
    if admin.status is status:
        raise AdminStatusUnchanged(f"{admin.name} is {status.label.lower()} already.")
    require_other(actor, admin, "You cannot change the status of your own account.")
    require_charge_of(actor, admin)
    if status is AdminStatus.ACTIVE and admin.password_hash is None:
        raise NotActive(f"{admin.name} has chosen no password yet: send the invitation again.")
    if status is not AdminStatus.ACTIVE:
        require_another_super_user(session, admin)
        admin_sessions.end(session, admin_id=admin.id, why=admin_sessions.DISABLED, now=now)
        admin_links.withdraw_links(session, admin_id=admin.id, now=now)
    before = admin.status
    admin.status = status
    session.flush()
    _audit(session, actor, "change", admin, {"status": before}, {"status": status})
    return _log(session, CHANGE_STATUS, admin, f"from {before.label} to {status.label}", reason, actor, now)


def reset_password(
    session: Session, *, admin: Admin, password: str | None, reason: str, actor: Admin | None, now: datetime
) -> tuple[Action, str | None]:
    """Give an account another password and end its sessions; flushes. Without one, one is made and returned.

    Whoever was invited becomes active by it, and a lock is lifted. Raises WeakPassword, BeyondOwnPermissions,
    ReasonRequired.
    """
    require_charge_of(actor, admin)
    made = None if password else generated_password()
    admin.password_hash = hash_password(password or made or "")
    if admin.status is AdminStatus.INVITED:
        _audit(session, actor, "change", admin, {"status": admin.status}, {"status": AdminStatus.ACTIVE})
        admin.status = AdminStatus.ACTIVE
    admin.locked_until, admin.failed_sign_ins, admin.failed_since = None, 0, None
    admin_links.withdraw_links(session, admin_id=admin.id, now=now)
    admin_sessions.end(session, admin_id=admin.id, why=admin_sessions.NEW_PASSWORD, now=now)
    session.flush()
    _audit(session, actor, "change", admin, {"password": "old"}, {"password": "new"})
    return _log(session, RESET_PASSWORD, admin, None, reason, actor, now), made


def end_sessions(session: Session, *, admin: Admin, reason: str, actor: Admin | None, now: datetime) -> Action:
    """Sign an admin out wherever they are signed in; flushes. Raises BeyondOwnPermissions, ReasonRequired."""
    require_charge_of(actor, admin)
    admin_sessions.end(session, admin_id=admin.id, why=f"Ended by {actor.name if actor else 'a command'}", now=now)
    return _log(session, END_SESSIONS, admin, None, reason, actor, now)


def end_other_sessions(session: Session, *, admin: Admin, keep: int, now: datetime) -> int:
    """End an admin's own sign-ins but the one they are in, with an entry in the audit. Returns how many. Flushes."""
    count = admin_sessions.end(session, admin_id=admin.id, why="Ended under My account", now=now, keep=keep)
    if count:
        _audit(session, admin, "change", admin, {"other sessions": count}, {"other sessions": 0})
    return count


def delete_account(session: Session, *, admin: Admin, actor: Admin | None) -> None:
    """Delete an account; what it did stays in the logs under its name. Flushes.

    Raises NotOneself, LastSuperUser, BeyondOwnPermissions.
    """
    require_other(actor, admin, "You cannot delete your own account.")
    require_charge_of(actor, admin)
    require_another_super_user(session, admin)
    _audit(session, actor, "delete", admin, _facts(admin), {})
    session.delete(admin)
    session.flush()


def generated_password() -> str:
    """Twenty characters that are hard to guess and free of look-alikes, in groups of five."""
    alphabet = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789"
    return "-".join("".join(secrets.choice(alphabet) for _ in range(5)) for _ in range(4))


def _name(actor: Admin | None) -> str:
    return actor.name if actor is not None else "System"


def _sent_to(admin: Admin, url: str | None) -> str:
    return f"link sent to {admin.email}" if url is None else "link shown on screen: no mail server is set"


def _facts(admin: Admin) -> dict[str, object]:
    return {
        "name": admin.name,
        "email": admin.email,
        "role": admin.role.name,
        "status": admin.status,
        "timezone": admin.timezone,
        **({"partner_id": admin.partner_id} if admin.partner_id is not None else {}),
    }


def _audit(
    session: Session,
    actor: Admin | None,
    event: str,
    admin: Admin,
    before: dict[str, object],
    after: dict[str, object],
) -> None:
    record_change(
        session,
        actor=actor,
        event=event,
        object_type=Admin.__tablename__,
        object_id=admin.id,
        label=str(admin),
        before=before,
        after=after,
    )


def _log(
    session: Session, name: str, admin: Admin, info: str | None, reason: str, actor: Admin | None, now: datetime
) -> Action:
    return open_action(
        session,
        name=name,
        target_type=Admin.__tablename__,
        target_id=admin.id,
        target_label=f"{admin.name} <{admin.email}>",
        reason=reason,
        actor=actor,
        status=ActionStatus.FINISHED,
        info=info,
        now=now,
    )
