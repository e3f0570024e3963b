"""Whose an admin account is: the operator's, or a partner's. Manual, "Create and Manage Partner Admin Account(s)".

Staff creates admins of a partner from the partner's page; a partner's Owner sees and manages its partner's only.
"""

from __future__ import annotations

from typing import Any

from flask import abort, request
from flask_login import current_user
from markupsafe import Markup
from sqlalchemy import select

from admin_views import formats
from admin_views.widgets import cells
from app.core import principal
from app.core.db import db
from app.core.models import HOUSE_PARTNER_ID, Admin, Role
from app.partners.models import Partner

#: the column, and the argument with which a partner's page asks for the form
PARTNER = "partner"


def of_partner(view: Any, context: Any, admin: Admin, name: str) -> Any:
    """The partner of an account, as the list and the export say it; the operator's own have none."""
    found = getattr(admin, "own_partner", None)
    if found is None and admin.partner_id is not None:
        found = db.session.get(Partner, admin.partner_id)
    if context is None:
        return "" if found is None else str(found)
    return formats.NOTHING if found is None else cells.record(found)


def roles_for(*, for_partner: bool) -> list[Role]:
    """The roles that may be given to the operator's admins, or to those of partners; by a partner its own at most."""
    query = db.session.query(Role).filter(Role.for_partner.is_(for_partner))
    own = current_user.permissions
    found = query.order_by(Role.built_in.desc(), Role.id)
    return [role for role in found if not principal.current().is_partner or role.permissions <= own]


class PartnerAccounts:
    """Joined into the accounts' page: whose they are, and which roles they may have."""

    def scope(self, query: Any) -> Any:
        """A partner's admins see those of their partner; also where the database is asked on their behalf."""
        who = principal.current()
        return query.filter(Admin.partner_id == who.partner_id) if who.is_partner else query

    def partner_of_new(self) -> Partner | None:
        """Whose admin the form is about to make; None for the operator's. 404 for a partner there is not."""
        own = principal.current().partner_id
        if own is None and PARTNER not in request.args:
            return None
        number = own if own is not None else request.args.get(PARTNER, type=int)
        found = db.session.get(Partner, number) if number and 0 < number < 2**63 else None
        if found is None or found.id == HOUSE_PARTNER_ID:
            abort(404)
        return found

    def create_form(self, obj: Any = None) -> Any:
        """With the roles of the kind that fits, and for staff a word about whose admin it will be."""
        form = super().create_form(obj)  # type: ignore[misc]
        partner = self.partner_of_new()
        form.role.query_factory = lambda: roles_for(for_partner=partner is not None)
        if partner is not None:
            form.role.description = self._said(partner)
        return form

    def edit_form(self, obj: Any = None) -> Any:
        """An account stays the operator's or its partner's."""
        form = super().edit_form(obj)  # type: ignore[misc]
        form.role.query_factory = lambda: roles_for(for_partner=obj.partner_id is not None)
        if obj.partner_id is not None:
            form.role.description = self._said(db.session.get(Partner, obj.partner_id))
        return form

    @staticmethod
    def _said(partner: Partner | None) -> Markup | str:
        if principal.current().is_partner or partner is None:
            return "What the admin may see and do. Only an Owner manages admins."
        return f"An admin of {partner.name}: sees what belongs to that partner, and nothing else."

    def prepared(self, rows: list[Any]) -> list[Any]:
        """With the partner of each, by one query."""
        numbers = {row.partner_id for row in rows if row.partner_id is not None}
        if numbers:
            found = {row.id: row for row in db.session.scalars(select(Partner).where(Partner.id.in_(numbers)))}
            for row in rows:
                row.own_partner = found.get(row.partner_id)
        return rows
