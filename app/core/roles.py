"""Roles: sets of permissions under a name. The built-in ones follow the code. Manual, "Admin Accounts".

A role is for the operator's admins or for admins of partners, from its beginning. Manual, "Partner Roles".
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.core.admins import AdminProtected, NotOneself, require_within
from app.core.audit import record_change
from app.core.models import Admin, Role
from app.core.permissions import PARTNER_GRANTABLE, Permission


class RoleFixed(AdminProtected):
    """Built-in roles follow the product."""


class RoleInUse(AdminProtected):
    """Admins have the role."""


class NotForPartners(AdminProtected):
    """Partners see their own rows on the pages made for that, and nothing else."""


class RoleNameInvalid(ValueError):
    """The name is empty, too long, or another role's."""


def create_role(
    session: Session,
    *,
    name: str,
    permissions: Iterable[Permission],
    actor: Admin | None,
    for_partner: bool = False,
) -> Role:
    """Make a role, for admins of partners or for the operator's; flushes. Whoever may do something may also see it.

    Raises RoleNameInvalid, BeyondOwnPermissions, NotForPartners.
    """
    wanted = with_viewing(permissions)
    require_within(actor, wanted)
    _require_grantable(wanted, for_partner=for_partner)
    role = Role(
        name=_usable_name(session, name, None),
        built_in=False,
        for_partner=for_partner,
        permission_names=_stored(wanted),
    )
    session.add(role)
    session.flush()
    _audit(session, actor, "create", role, {}, {"name": role.name, "permissions": role.permission_names})
    return role


def change_role(
    session: Session, *, role: Role, name: str, permissions: Iterable[Permission], actor: Admin | None
) -> None:
    """Change a role; it holds from each admin's next click. Flushes.

    Raises RoleFixed, RoleNameInvalid, NotOneself (one's own role), BeyondOwnPermissions, NotForPartners.
    """
    _require_free(role)
    if actor is not None and actor.role_id == role.id:
        raise NotOneself("You cannot change the role that you have yourself.")
    wanted = with_viewing(permissions)
    require_within(actor, wanted - role.permissions)
    _require_grantable(wanted, for_partner=role.for_partner)
    before: dict[str, object] = {"name": role.name, "permissions": role.permission_names}
    role.name, role.permission_names = _usable_name(session, name, role), _stored(wanted)
    session.flush()
    _audit(session, actor, "change", role, before, {"name": role.name, "permissions": role.permission_names})


def delete_role(session: Session, *, role: Role, actor: Admin | None) -> None:
    """Delete a role that no admin has; flushes. Raises RoleFixed, RoleInUse."""
    _require_free(role)
    names = session.scalars(select(Admin.name).where(Admin.role_id == role.id).order_by(Admin.name)).all()
    if names:
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        raise RoleInUse(f"The role {role.name} belongs to {', '.join(names[:5])}{more}; give them another role first.")
    _audit(session, actor, "delete", role, {"name": role.name, "permissions": role.permission_names}, {})
    session.delete(role)
    session.flush()


def with_viewing(permissions: Iterable[Permission]) -> frozenset[Permission]:
    """The permissions, and seeing whatever they allow to do something to."""
    wanted = frozenset(permissions)
    existing = {permission.value for permission in Permission}
    views = {permission.value.rsplit(".", 1)[0] + ".view" for permission in wanted}
    return wanted | {Permission(view) for view in views & existing}


def _require_grantable(permissions: frozenset[Permission], *, for_partner: bool) -> None:
    if for_partner and not permissions <= PARTNER_GRANTABLE:
        names = ", ".join(sorted(permission.value for permission in permissions - PARTNER_GRANTABLE))
        raise NotForPartners(f"Admins of partners cannot have these permissions: {names}.")


def _require_free(role: Role) -> None:
    if role.built_in:
        raise RoleFixed(f"{role.name} is a built-in role: it cannot be changed or deleted. Make a role of your own.")


def _stored(permissions: Iterable[Permission]) -> list[str]:
    return sorted(permission.value for permission in permissions)


def _usable_name(session: Session, name: str, role: Role | None) -> str:
    name = name.strip()
    if not name:
        raise RoleNameInvalid("A name is required.")
    if len(name) > 120:
        raise RoleNameInvalid("The name is too long.")
    taken = session.scalar(select(Role.id).where(func.lower(Role.name) == name.lower()))
    if taken is not None and (role is None or taken != role.id):
        raise RoleNameInvalid(f"There is a role “{name}” already.")
    return name


def _audit(
    session: Session,
    actor: Admin | None,
    event: str,
    role: Role,
    before: dict[str, object],
    after: dict[str, object],
) -> None:
    record_change(
        session,
        actor=actor,
        event=event,
        object_type=Role.__tablename__,
        object_id=role.id,
        label=str(role),
        before=before,
        after=after,
    )
