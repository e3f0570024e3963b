"""The tab “Local Auth List” of a charge point: who may charge while it is offline, and whether the station knows.

Manual, "Enable Local Auth List".
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import request
from flask_admin import expose
from flask_admin.model.fields import AjaxSelectMultipleField

from admin_views.base import ChoiceField, Lookup, ReasonForm, RecordAction, RemoteAction
from app.assets.models import ChargePoint
from app.charging.commands import NotManaged
from app.charging.plans import local_list_sync, local_lists
from app.charging.plans.local_lists import ListUnchanged
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import Action, Admin
from app.crm.models import User

GROUP = "Local Auth List"
USERS = Lookup(
    "list_users",
    User,
    session=db,
    fields=["email", "first_name", "last_name"],
    text=lambda user: f"{user.full_name} ({user.email})",
)


class AddForm(ReasonForm):
    """Whom."""

    users = AjaxSelectMultipleField(USERS, "Users", description="Start typing a name or an e-mail.")

    def __init__(self, formdata: Any = None, obj: Any = None, **options: Any) -> None:
        super().__init__(formdata, obj=None, **options)

    def validate(self, extra_validators: Any = None) -> bool:
        """Somebody is needed."""
        valid: bool = super().validate(extra_validators)
        if not self.users.data:
            self.users.errors = ["Choose at least one user."]
            return False
        return valid


class RemoveForm(ReasonForm):
    """Whom, of those who are on it."""

    user = ChoiceField("User", choices=[])

    def __init__(self, formdata: Any = None, obj: ChargePoint | None = None, **options: Any) -> None:
        super().__init__(formdata, obj=None, **options)
        users = local_lists.users_of(db.session(), charge_point_id=obj.id) if obj is not None else []
        self.user.choices = [(str(user.id), f"{user.full_name} ({user.email})") for user in users]
        asked = request.args.get("user", "")
        if formdata is None and asked in {str(user.id) for user in users}:
            self.user.data = asked


def add_users(obj: ChargePoint, form: AddForm, *, reason: str, actor: Admin) -> Action:
    """Put users on the list."""
    return local_lists.add_users(
        db.session(), charge_point=obj, users=form.users.data, reason=reason, actor=actor, now=utcnow()
    )


def remove_user(obj: ChargePoint, form: RemoveForm, *, reason: str, actor: Admin) -> Action:
    """Take a user off the list."""
    user = db.session.get_one(User, int(form.user.data))
    return local_lists.remove_users(
        db.session(), charge_point=obj, users=[user], reason=reason, actor=actor, now=utcnow()
    )


def sync_now(obj: ChargePoint, form: Any, *, reason: str, actor: Admin) -> Action:
    """Send the whole list."""
    return local_list_sync.sync_now(db.session(), charge_point=obj, reason=reason, actor=actor, now=utcnow())


def _enabled(obj: ChargePoint) -> bool:
    return obj.local_auth_list


def _enabled_and_managed(obj: ChargePoint) -> bool:
    return obj.local_auth_list and obj.managed_by_operator


ACTIONS = (
    RecordAction(
        "local_list_add",
        "Add Users",
        add_users,
        form=AddForm,
        icon="user-plus",
        group=GROUP,
        bulk=False,
        available=_enabled,
        refusals=(ListUnchanged,),
        help="Users who can charge here even while the charge point is offline. Their RFID tags are sent to it.",
    ),
    RecordAction(
        "local_list_remove",
        "Remove User",
        remove_user,
        form=RemoveForm,
        icon="user-minus",
        group=GROUP,
        bulk=False,
        available=_enabled,
        refusals=(ListUnchanged,),
    ),
    RemoteAction(
        "local_list_sync",
        "Sync Now",
        sync_now,
        icon="refresh",
        group=GROUP,
        available=_enabled_and_managed,
        refusals=(NotManaged,),
        help="Sends the whole list to the charge point, also when it is thought to be in step.",
    ),
)


def _until(entry: dict[str, Any]) -> datetime | None:
    text = entry.get("expires_at")
    return datetime.fromisoformat(text) if text else None


class LocalListMixin:
    """Joined before BaseView."""

    @expose("/local-list/")
    def local_list_view(self) -> str:
        """The tab's content."""
        obj = self.get_one(request.args.get("id"))
        session = self.db_session
        wanted = local_lists.wanted_entries(session, [obj], now=utcnow())[obj.id]
        row = local_lists.list_of(session, charge_point_id=obj.id)
        confirmed = row.entries if row is not None else {}
        users = self.sibling("user")
        return self.render(
            "assets/_local_list.html",
            model=obj,
            row=row,
            wanted=wanted,
            entries=[
                (tag, wanted.entries.get(tag), confirmed.get(tag), _until(wanted.entries.get(tag) or confirmed[tag]))
                for tag in dict.fromkeys((*wanted.entries, *confirmed))
            ],
            users=local_lists.users_of(session, charge_point_id=obj.id) if obj.local_auth_list else [],
            links_users=users is not None and users.is_accessible(),
            waiting=obj.local_auth_list and (row is None or row.entries != wanted.entries),
        )
