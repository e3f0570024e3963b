"""CONFIGURATION > Admin Accounts. Manual, "Admin Accounts"."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, redirect, request
from flask_admin import expose
from flask_admin.contrib.sqla.fields import QuerySelectField
from flask_admin.form import BaseForm
from flask_login import current_user
from sqlalchemy import select
from sqlalchemy.orm import joinedload
from wtforms import StringField, validators

from admin_views.assets.parts import TextWhere
from admin_views.base import BaseView, Facts, Related, TimezoneField, pill
from admin_views.configuration.account_actions import ACTIONS, password_field
from admin_views.configuration.partner_accounts import PartnerAccounts, of_partner, roles_for
from admin_views.login import this_sign_in
from admin_views.protection import facts_of
from app.core import admins
from app.core.clock import utcnow
from app.core.models import Action, Admin, AdminStatus
from app.core.passwords import WeakPassword
from app.core.sign_in import EmailTaken, InvalidEmail
from app.partners.models import Partner

SECTION = "Configuration"
LOCKED = "Locked"


class AccountForm(BaseForm):
    """Who it is, and what they may do."""

    name = StringField("Name", [validators.InputRequired(), validators.Length(max=120)])
    email = StringField(
        "E-mail",
        [validators.InputRequired(), validators.Length(max=255)],
        description="With which the admin signs in.",
        render_kw={"type": "email", "autocomplete": "off"},
    )
    role = QuerySelectField(
        "Role",
        [validators.DataRequired(message="Choose a role.")],
        query_factory=lambda: roles_for(for_partner=False),
        allow_blank=True,
        blank_text="Choose an option",
        description="What the admin may see and do: CONFIGURATION > Roles.",
    )
    timezone = TimezoneField(
        "Time zone",
        allow_blank=True,
        description="In which times are shown to this admin. Without one, the system’s.",
    )


class NewAccountForm(AccountForm):
    """With the first password, for who shall not be invited by e-mail."""

    password = password_field("Left empty, the admin is invited by e-mail and chooses one.")


def status(view: Any, context: Any, admin: Admin, name: str) -> Any:
    """Active, disabled, invited, or active and locked for the moment."""
    locked = admin.status is AdminStatus.ACTIVE and admin.is_locked(utcnow())
    if context is None:
        return LOCKED if locked else admin.status
    if locked:
        return pill(LOCKED, "red")
    return pill(admin.status, "blue" if admin.status is AdminStatus.INVITED else None)


def _of_partners_called(pattern: str) -> Any:
    return Admin.partner_id.in_(select(Partner.id).where(Partner.name.ilike(pattern, escape="\\")))


def _actions_on(query: Any, admin: Admin) -> Any:
    return query.filter(Action.target_type == Admin.__tablename__, Action.target_id == admin.id)


def _done_by(query: Any, admin: Admin) -> Any:
    return query.filter(Action.admin_id == admin.id)


class AdminAccountView(PartnerAccounts, BaseView):
    """Who may sign in to the back office."""

    resource, singular, plural = "configuration.admin", "Admin Account", "Admin Accounts"
    section, icon = SECTION, "user-shield"
    list_template = "tariffs/list.html"
    description = "Who has access to this back office."

    column_list = ("name", "email", "role", "partner", "status", "timezone", "last_login_at", "created_at")
    column_formatters = {"partner": of_partner, "status": status}
    column_labels = {
        "email": "E-mail",
        "role": "Role",
        "role.name": "Role",
        "partner": "Partner",
        "locale": "Locale",
        "timezone": "Time zone",
        "last_login_at": "Last sign-in",
        "created_at": "Created",
        "id": "ID",
    }
    column_searchable_list = ("name", "email")
    column_sortable_list = ("name", "email", ("role", "role.name"), "status", "last_login_at", "created_at")
    column_default_sort = "name"
    column_filters = (
        "status", "role.name", "name", "email", TextWhere(Admin.id, "Partner", _of_partners_called), "last_login_at",
        "created_at",
    )  # fmt: skip
    column_export_list = (
        "id", "name", "email", "role.name", "status", "timezone", "created_at", "last_login_at",
        ("partner", lambda admin: of_partner(None, None, admin, "partner")),
    )  # fmt: skip
    load_options = (joinedload(Admin.role),)
    audit_ignored = (
        "version",
        "preferences",
        "last_login_at",
        "password_hash",
        "failed_sign_ins",
        "failed_since",
        "locked_until",
    )

    form = AccountForm
    details_tabs = (
        Facts(
            "General", ("id", "name", "email", "role", "partner", "status", "timezone", "created_at", "last_login_at")
        ),
        Facts("Sign-in", template="configuration/_sign_in_tab.html"),
    )
    related = (
        Related("Actions of this admin", "action", _done_by),
        Related("Actions on this account", "action", _actions_on),
    )
    actions = ACTIONS

    @expose("/sign-in/")
    def sign_in_view(self) -> Any:
        """How the account is protected and where it is signed in: for who may change admin accounts."""
        self.require("edit")
        admin = self.get_one(request.args.get("id"))
        return self.render("configuration/_sign_in.html", number=admin.id, facts=facts_of(admin))

    @expose("/sign-in/end/", methods=("POST",))
    def end_session_view(self) -> Any:
        """End one of its sessions."""
        self.require("edit")
        admin = self.get_one(request.form.get("id"))
        number = request.form.get("session", type=int)
        here = this_sign_in()
        if number is None or (here is not None and here.id == number):
            abort(400, description="Sign out to end your own session.")
        actor = current_user._get_current_object()
        try:
            done = admins.end_one_session(self.db_session(), admin=admin, number=number, actor=actor, now=utcnow())
        except admins.AdminProtected as refusal:
            self.db_session.rollback()
            abort(403, description=str(refusal))
        self.db_session.commit()
        flash("The session has ended." if done else "The session was over already.", "success")
        return redirect(self.get_url(".details_view", id=admin.id))

    def get_create_form(self) -> Any:
        """With the first password."""
        return NewAccountForm

    @expose("/new/", methods=("GET", "POST"))
    def create_view(self) -> Any:
        """The form; then the invitation is sent or, while no mail server is set, shown once."""
        self.require("create")
        form = self.create_form()
        if request.method == "GET" or not form.validate():
            return self.render_form(form, None), 422 if request.method == "POST" else 200
        made = self._create(form)
        if made is None:
            return self.render_form(form, None), 422
        admin, url = made
        if url is not None:
            return self.render("configuration/invitation.html", admin=admin, url=url)
        invited = "" if form.password.data else f" An invitation is on its way to {admin.email}."
        flash(f"Admin Account “{admin}” was created.{invited}", "success")
        return redirect(self._after_save(admin))

    def _create(self, form: Any) -> tuple[Admin, str | None] | None:
        partner = self.partner_of_new()
        partner_id = partner.id if partner is not None else None
        return self._try(
            form,
            lambda actor: admins.create_account(
                self.db_session,
                email=form.email.data,
                name=form.name.data,
                role=form.role.data,
                password=form.password.data or None,
                timezone=form.timezone.data,
                actor=actor,
                now=utcnow(),
                partner_id=partner_id,
            ),
        )

    def update_model(self, form: Any, model: Any) -> bool:
        """Change who it is and what they may do."""

        def change(actor: Admin) -> bool:
            admins.change_account(
                self.db_session,
                admin=model,
                email=form.email.data,
                name=form.name.data,
                role=form.role.data,
                timezone=form.timezone.data,
                actor=actor,
            )
            return True

        return bool(self._try(form, change))

    def _try(self, form: Any, change: Any) -> Any:
        """Do it and commit; else put what is wrong where it can be mended, and return None."""
        try:
            result = change(current_user._get_current_object())
            self.db_session.commit()
            return result
        except EmailTaken:
            form.email.errors = ["Another admin has this e-mail address."]
        except InvalidEmail:
            form.email.errors = ["This is not an e-mail address."]
        except WeakPassword as error:
            form.password.errors = [f"Choose another one: {error}."]
        except admins.AdminProtected as error:
            form.role.errors = [str(error)]
        self.db_session.rollback()
        return None

    def delete_model(self, model: Any) -> bool:
        """Delete the account, unless a rule forbids it."""
        try:
            admins.delete_account(self.db_session, admin=model, actor=current_user._get_current_object())
            self.db_session.commit()
        except admins.AdminProtected as refusal:
            self.db_session.rollback()
            flash(str(refusal), "danger")
            return False
        return True
