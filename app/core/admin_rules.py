"""What nobody may do to admin accounts, and what nobody may give. Each rule has its error; docs in ``admins``."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.core.models import Admin, AdminStatus, Role
from app.core.permissions import Permission

SUPER_USER = "Super User"
#: one decision about who remains a Super User at a time
_SUPER_USER_LOCK = 0x5359_5355


class AdminProtected(ValueError):
    """The rule of this page that forbids it; the message is for the admin."""


class LastSuperUser(AdminProtected):
    """There must always be an active Super User."""


class NotOneself(AdminProtected):
    """Nobody disables, demotes or deletes their own account."""


class BeyondOwnPermissions(AdminProtected):
    """Nobody gives, or takes charge of, permissions they do not have."""


class NotOfOwnPartner(AdminProtected):
    """A partner's admins make and manage the admins of their partner, and nobody else's."""


class RoleOfOtherKind(AdminProtected):
    """Roles for partners are for admins of partners, and the others for the operator's."""


class AdminStatusUnchanged(AdminProtected):
    """The account has this status already."""


class NotActive(AdminProtected):
    """The account is not active, or cannot be made so."""


class AcceptedAlready(AdminProtected):
    """There is no invitation to be sent or withdrawn."""


def require_other(actor: Admin | None, admin: Admin, message: str) -> None:
    """Refuse with NotOneself, and the message, what nobody does to their own account."""
    if actor is not None and actor.id == admin.id:
        raise NotOneself(message)


def require_charge_of(actor: Admin | None, admin: Admin) -> None:
    """Refuse unless the actor may take charge of this account. Raises NotOfOwnPartner, BeyondOwnPermissions."""
    require_reach(actor, admin.partner_id)
    require_within(actor, admin.permissions)


def require_reach(actor: Admin | None, partner_id: int | None) -> None:
    """Refuse with NotOfOwnPartner if the actor belongs to another partner; the operator's admins reach everybody."""
    if actor is not None and actor.partner_id is not None and actor.partner_id != partner_id:
        raise NotOfOwnPartner("You manage the admins of your own company only.")


def require_kind(role: Role, partner_id: int | None) -> None:
    """Refuse a role for partners to the operator's own admins, and the other way round, with RoleOfOtherKind."""
    if role.for_partner and partner_id is None:
        raise RoleOfOtherKind(f"{role.name} is a role for admins of partners: create them on the partner’s page.")
    if not role.for_partner and partner_id is not None:
        raise RoleOfOtherKind(f"{role.name} is a role of the operator: choose one for partners.")


def require_within(actor: Admin | None, permissions: Iterable[Permission]) -> None:
    """Refuse with BeyondOwnPermissions unless the actor has all of these; None, a command, has all."""
    if actor is not None and not frozenset(permissions) <= actor.permissions:
        raise BeyondOwnPermissions("This includes permissions that you do not have yourself.")


def require_another_super_user(session: Session, admin: Admin) -> None:
    """Refuse with LastSuperUser if this is the last one.

    Two admins cannot take each other out at once: the second waits and looks.
    """
    if admin.role.name != SUPER_USER or admin.status is not AdminStatus.ACTIVE:
        return
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SUPER_USER_LOCK})
    others = session.scalar(
        select(func.count())
        .select_from(Admin)
        .join(Role, Role.id == Admin.role_id)
        .where(
            Role.built_in,
            Role.name == SUPER_USER,
            Admin.status == AdminStatus.ACTIVE,
            Admin.partner_id.is_(None),
            Admin.id != admin.id,
        )
    )
    if not others:
        raise LastSuperUser(f"{admin.name} is the last active Super User; make another one first.")
