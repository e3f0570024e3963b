"""CONFIGURATION > API Tokens: keys by which programs use the API in an admin's name. docs/api.md."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import request
from flask_admin import expose
from flask_admin.form import BaseForm
from flask_login import current_user
from sqlalchemy.orm import joinedload
from wtforms import StringField, validators

from admin_views.base import BaseView, Facts, RecordAction, pill
from admin_views.widgets.fields import IntegerField
from app.core import api_tokens
from app.core.actions import open_action
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import Action, ActionStatus, Admin, ApiToken

REVOKE = "Revoke API Token"


class TokenForm(BaseForm):
    """What uses it, and for how long."""

    name = StringField(
        "Name",
        [validators.InputRequired(), validators.Length(max=api_tokens.MAX_NAME_LENGTH)],
        description="What uses the token; it stands in the Actions log.",
        render_kw={"autocomplete": "off"},
    )
    days = IntegerField(
        "Valid for (days)",
        [validators.Optional(), validators.NumberRange(1, 3650)],
        description="Left empty, the token holds until it is revoked.",
    )


def revoke(obj: ApiToken, form: Any, *, reason: str, actor: Admin) -> Action:
    """End a token at once."""
    session, now = db.session(), utcnow()
    api_tokens.revoke_token(session, token=obj, actor=actor, now=now)
    return open_action(
        session,
        name=REVOKE,
        target_type=ApiToken.__tablename__,
        target_id=obj.id,
        target_label=str(obj),
        reason=reason,
        actor=actor,
        status=ActionStatus.FINISHED,
        info=f"of {obj.admin}",
        now=now,
    )


def _status(view: Any, context: Any, obj: ApiToken, name: str) -> Any:
    found = api_tokens.status_of(obj, now=utcnow())
    return found if context is None else pill(found, {"Active": "green", "Disabled": "orange"}.get(found))


def _prefix(view: Any, context: Any, obj: ApiToken, name: str) -> Any:
    return f"{obj.prefix}…"


class ApiTokenView(BaseView):
    """One's own tokens; everybody's for whoever may change admin accounts."""

    resource, singular, plural = "configuration.api_token", "API Token", "API Tokens"
    section, icon = "Configuration", "key"
    list_template = "tariffs/list.html"
    description = "Keys by which scripts and other systems use the API. A token can do what its admin's role includes."
    empty_hint = "A token is shown once, when it is made."
    can_edit = can_delete = can_export = False

    column_list = ("name", "prefix", "admin", "status", "created_at", "last_used_at", "expires_at")
    column_labels = {
        "prefix": "Begins with",
        "admin": "Admin",
        "admin.name": "Admin",
        "created_at": "Created",
        "last_used_at": "Last used",
        "expires_at": "Valid until",
        "revoked_at": "Revoked",
    }
    column_formatters = {"status": _status, "prefix": _prefix}
    column_sortable_list = ("name", ("admin", "admin.name"), "created_at", "last_used_at", "expires_at")
    column_default_sort = ("created_at", True)
    column_searchable_list = ("name", "prefix", "admin.name", "admin.email")
    search_hint = "Search name, beginning, admin"
    column_filters = ("admin.name", "created_at", "last_used_at")
    load_options = (joinedload(ApiToken.admin),)

    form = TokenForm
    details_tabs = (
        Facts(
            "General",
            ("name", "prefix", "admin", "status", "created_at", "last_used_at", "expires_at", "revoked_at"),
        ),
    )
    actions = (
        RecordAction(
            "revoke",
            "Revoke",
            revoke,
            permission="delete",
            icon="ban",
            danger=True,
            help="What uses the token is refused from now on. This cannot be undone.",
            refusals=(api_tokens.TokenRevokedAlready, api_tokens.NotOwnToken),
            available=lambda token: token.revoked_at is None,
        ),
    )

    def scope(self, query: Any) -> Any:
        """One's own, unless one may change admin accounts."""
        me = current_user._get_current_object()
        return query if api_tokens.sees_all(me) else query.filter(ApiToken.admin_id == me.id)

    @expose("/new/", methods=("GET", "POST"))
    def create_view(self) -> Any:
        """The form; then, once, the token."""
        self.require("create")
        form = self.create_form()
        if request.method == "GET" or not form.validate():
            return self.render_form(form, None), 422 if request.method == "POST" else 200
        me, now = current_user._get_current_object(), utcnow()
        try:
            token, key = api_tokens.create_token(
                self.db_session(),
                admin=me,
                name=form.name.data,
                actor=me,
                now=now,
                expires_at=now + timedelta(days=form.days.data) if form.days.data else None,
            )
        except api_tokens.InvalidTokenName as fault:
            self.db_session.rollback()
            form.name.errors = [str(fault)]
            return self.render_form(form, None), 422
        self.db_session.commit()
        return self.render("configuration/token.html", token=token, key=key)
