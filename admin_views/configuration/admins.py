"""CONFIGURATION > Admin Accounts. Manual, "Admin Accounts"."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, request
from flask_admin import expose
from flask_admin.contrib.sqla.fields import QuerySelectField
from flask_admin.form import BaseForm
from flask_login import current_user
from sqlalchemy import select
from sqlalchemy.orm import joinedload
from wtforms import PasswordField, StringField, validators

from admin_views.assets.parts import TextWhere
from admin_views.base import BaseView, EnumField, Facts, Outcome, ReasonForm, RecordAction, Related, TimezoneField
from admin_views.configuration.partner_accounts import PartnerAccounts, of_partner, roles_for
from app.core import admins
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import Action, ActionStatus, Admin, AdminStatus
from app.core.passwords import MINIMUM_LENGTH, WeakPassword
from app.core.sign_in import MAXIMUM_PASSWORD_LENGTH, EmailTaken, InvalidEmail
from app.partners.models import Partner

SECTION = "Configuration"
PASSWORD_HINT = f"At least {MINIMUM_LENGTH} characters. Leave empty to have one made; it is shown once."


def _password_field() -> PasswordField:
    return PasswordField(
        "Password",
        [validators.Optional(), validators.Length(max=MAXIMUM_PASSWORD_LENGTH)],
        description=PASSWORD_HINT,
        render_kw={"autocomplete": "new-password"},
    )


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
    """With the first password."""

    password = _password_field()


class StatusForm(ReasonForm):
    """Active or disabled."""

    status = EnumField(
        "Status",
        enum_class=AdminStatus,
        default=AdminStatus.DISABLED,
        description="A disabled admin cannot sign in, and is signed out at once.",
    )

    def __init__(self, formdata: Any = None, obj: Any = None, **more: Any) -> None:
        super().__init__(formdata, obj=obj, **more)
        if formdata is None and obj is not None:
            self.status.data = next(member for member in AdminStatus if member is not obj.status)


class PasswordForm(ReasonForm):
    """The new password, or none."""

    password = _password_field()


def change_status(obj: Admin, form: StatusForm, *, reason: str, actor: Admin) -> Action:
    """Disable an account, or make it active again."""
    return admins.change_admin_status(
        db.session(), admin=obj, status=form.status.data, reason=reason, actor=actor, now=utcnow()
    )


def reset_password(obj: Admin, form: PasswordForm, *, reason: str, actor: Admin) -> Outcome:
    """Set another password; one that was made is told here and nowhere else."""
    _, made = admins.reset_password(
        db.session(), admin=obj, password=form.password.data or None, reason=reason, actor=actor, now=utcnow()
    )
    detail = f"New password, shown only now: {made}" if made else "The new password holds from now on."
    return Outcome(str(obj), ActionStatus.FINISHED, detail)


def sign_out(obj: Admin, form: Any, *, reason: str, actor: Admin) -> Action:
    """End every session of an admin."""
    return admins.end_sessions(db.session(), admin=obj, reason=reason, actor=actor, now=utcnow())


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
    column_formatters = {"partner": of_partner}
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
    column_pills = ("status",)
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
    audit_ignored = ("version", "preferences", "last_login_at", "password_hash")

    form = AccountForm
    details_tabs = (
        Facts(
            "General", ("id", "name", "email", "role", "partner", "status", "timezone", "created_at", "last_login_at")
        ),
    )
    related = (
        Related("Actions of this admin", "action", _done_by),
        Related("Actions on this account", "action", _actions_on),
    )
    actions = (
        RecordAction(
            "change_status",
            "Change status",
            change_status,
            form=StatusForm,
            icon="status-change",
            refusals=(admins.AdminProtected,),
        ),
        RecordAction(
            "reset_password",
            "Reset password",
            reset_password,
            form=PasswordForm,
            icon="password",
            bulk=False,
            help="Every session of the admin ends.",
            refusals=(admins.AdminProtected, WeakPassword),
        ),
        RecordAction(
            "sign_out",
            "Sign out everywhere",
            sign_out,
            icon="logout",
            help="Ends every session; the admin can sign in again.",
            refusals=(admins.AdminProtected,),
        ),
    )

    def get_create_form(self) -> Any:
        """With the first password."""
        return NewAccountForm

    @expose("/new/", methods=("GET", "POST"))
    def create_view(self) -> Any:
        """The form; then, once, the password that was made."""
        self.require("create")
        form = self.create_form()
        if request.method == "GET" or not form.validate():
            return self.render_form(form, None), 422 if request.method == "POST" else 200
        made = self._create(form)
        if made is None:
            return self.render_form(form, None), 422
        admin, password = made
        if password is not None:
            return self.render("configuration/password.html", admin=admin, password=password)
        flash(f"Admin Account “{admin}” was created.", "success")
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
