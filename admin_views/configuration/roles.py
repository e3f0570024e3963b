"""CONFIGURATION > Roles: which role may do what. Manual, "Admin Accounts"."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from flask import flash, redirect, render_template, request
from flask_admin import expose
from flask_admin.form import BaseForm
from flask_login import current_user
from markupsafe import Markup
from sqlalchemy import func, select
from wtforms import SelectMultipleField, StringField, validators

from admin_views.base import BaseView, Facts, Related
from admin_views.configuration.admins import SECTION
from admin_views.configuration.permission_words import permission_table, words_of
from admin_views.widgets.access import VERBS
from app.core import roles
from app.core.admins import AdminProtected
from app.core.models import Admin, Role
from app.core.permissions import PARTNER_GRANTABLE, Permission, known


def draw_table(
    chosen: Iterable[Permission],
    *,
    field: Any = None,
    allowed: Iterable[Permission] = (),
    offered: Collection[Permission] | None = None,
    other: Role | None = None,
) -> Markup:
    """The table, with boxes to tick when a field is given; one may only tick what one has oneself.

    ``other``: a role that this one is compared with.
    """
    html = render_template(
        "configuration/_permissions.html",
        sections=permission_table(offered),
        verbs=VERBS,
        chosen=frozenset(chosen),
        field=field,
        allowed=frozenset(allowed),
        other=other,
        words_of=words_of,
    )
    return Markup(html)  # noqa: S704 (Jinja has escaped it)


class PermissionsField(SelectMultipleField):
    """A set of permissions, ticked in a table."""

    for_partner = False

    def __init__(self, label: str | None = None, validators: Any = None, **options: Any) -> None:
        options.setdefault("choices", [(permission.value, permission.value) for permission in Permission])
        super().__init__(label, validators, **options)

    @property
    def permissions(self) -> frozenset[Permission]:
        """What is ticked, as far as it exists."""
        return known(self.data or ())

    @staticmethod
    def widget(field: PermissionsField, **attributes: Any) -> Markup:
        """The table; what partners cannot have is left out of a role for them."""
        own = current_user.permissions
        offered = PARTNER_GRANTABLE if field.for_partner else None
        return draw_table(field.permissions, field=field, allowed=own | field.permissions, offered=offered)


def _for_partners() -> bool:
    """Whether the page was asked for a role for admins of partners."""
    return request.args.get("for") == "partners"


class RoleForm(BaseForm):
    """A name and what it stands for."""

    name = StringField("Name", [validators.InputRequired(), validators.Length(max=120)])
    permission_names = PermissionsField("Permissions")

    def validate_permission_names(self, field: Any) -> None:
        """A role without permissions lets nobody do anything."""
        if not field.data:
            raise validators.ValidationError("Tick at least one permission.")


class RoleView(BaseView):
    """Sets of permissions under a name."""

    resource, singular, plural = "configuration.role", "Role", "Roles"
    section, icon = SECTION, "shield-lock"
    description = "Built-in roles come with the product and cannot be changed; make further ones of your own."

    column_list = ("name", "for_partner", "built_in", "permission_count", "admin_count")
    column_labels = {
        "for_partner": "For admins of",
        "built_in": "Built-in",
        "permission_count": "Permissions",
        "admin_count": "Admin Accounts",
    }
    column_formatters = {
        "for_partner": lambda view, context, role, name: "Partners" if role.for_partner else "The operator",
        "permission_count": lambda view, context, role, name: f"{len(role.permissions)} of {len(Permission)}",
        "admin_count": lambda view, context, role, name: f"{role.admin_count:,}",
    }
    column_searchable_list = ("name",)
    column_sortable_list = ("name", "for_partner", "built_in")
    column_default_sort = ("built_in", True)
    column_filters = ("name", "built_in", "for_partner")
    column_export_list = (
        "id", "name", "built_in", ("permissions", lambda role: ", ".join(role.permission_names)), "for_partner"
    )  # fmt: skip
    list_template = "configuration/roles.html"

    form = RoleForm
    create_template = edit_template = "configuration/role_form.html"
    details_template = "configuration/role.html"
    details_tabs = (Facts("Permissions", template="configuration/_role_permissions.html"),)
    related = (Related("Admin Accounts", "admin_account", "role_id"),)

    def prepared(self, rows: list[Any]) -> list[Any]:
        """With the number of admins of each role."""
        column = Admin.role_id
        query = select(column, func.count()).where(column.in_([role.id for role in rows])).group_by(column)
        counts = {row[0]: row[1] for row in self.db_session.execute(query)}
        for role in rows:
            role.admin_count = counts.get(role.id, 0)
        return rows

    def details_context(self, obj: Any) -> dict[str, Any]:
        """With the table."""
        offered = PARTNER_GRANTABLE if obj.for_partner else None
        others = self.get_query().filter(Role.id != obj.id, Role.for_partner.is_(obj.for_partner))
        roles_there = others.order_by(Role.built_in.desc(), Role.name).all()
        other = next((role for role in roles_there if str(role.id) == request.args.get("compare")), None)
        return {
            **super().details_context(obj),
            "table": draw_table(obj.permissions, offered=offered, other=other),
            "others": roles_there,
            "other": other,
            "only_here": len(obj.permissions - other.permissions) if other else 0,
            "only_there": len(other.permissions - obj.permissions) if other else 0,
        }

    def can_edit_row(self, obj: Any) -> bool:
        """Built-in roles stay as they are."""
        return self.can_edit and not obj.built_in

    @expose("/edit/", methods=("GET", "POST"))
    def edit_view(self) -> Any:
        """The form; for a built-in role, the reason why there is none."""
        self.require("edit")
        role = self.get_one(request.args.get("id"))
        if role.built_in:
            flash(f"{role.name} is a built-in role and cannot be changed. Make a role of your own.", "warning")
            return redirect(self.get_url(f"{self.endpoint}.details_view", id=role.id))
        return super().edit_view()

    def create_form(self, obj: Any = None) -> Any:
        """For partners with ``?for=partners``: of what partners may have at all."""
        form = super().create_form(obj)
        form.permission_names.for_partner = _for_partners()
        if request.method == "GET" and "copy" in request.args:
            self._copy(form, self.get_one(request.args["copy"]))
        return form

    @staticmethod
    def _copy(form: Any, role: Role) -> None:
        """Begin with what another role may do, as far as one may do it oneself."""
        given = role.permissions & current_user.permissions
        form.name.data = f"{role.name} (copy)"
        form.permission_names.data = [permission.value for permission in given]
        left = len(role.permissions - given)
        if left:
            flash(f"{left} permissions of {role.name} are left out: you do not have them yourself.", "warning")

    def edit_form(self, obj: Any = None) -> Any:
        """A role for partners stays one."""
        form = super().edit_form(obj)
        form.permission_names.for_partner = obj.for_partner
        return form

    def create_model(self, form: Any) -> Any:
        """Make the role."""
        return self._try(
            form,
            lambda actor: roles.create_role(
                self.db_session,
                name=form.name.data,
                permissions=form.permission_names.permissions,
                actor=actor,
                for_partner=_for_partners(),
            ),
        )

    def update_model(self, form: Any, model: Any) -> bool:
        """Change the role."""

        def change(actor: Admin) -> bool:
            roles.change_role(
                self.db_session,
                role=model,
                name=form.name.data,
                permissions=form.permission_names.permissions,
                actor=actor,
            )
            return True

        return bool(self._try(form, change))

    def _try(self, form: Any, change: Any) -> Any:
        try:
            result = change(current_user._get_current_object())
            self.db_session.commit()
            return result
        except roles.RoleNameInvalid as error:
            form.name.errors = [str(error)]
        except AdminProtected as error:
            form.permission_names.errors = [str(error)]
        self.db_session.rollback()
        return None

    def delete_model(self, model: Any) -> bool:
        """Delete the role, unless admins have it."""
        try:
            roles.delete_role(self.db_session, role=model, actor=current_user._get_current_object())
            self.db_session.commit()
        except AdminProtected as refusal:
            self.db_session.rollback()
            flash(str(refusal), "danger")
            return False
        return True
