"""What the lists of outgoing messages have in common: CONFIGURATION > Outbox (mails) and > SMS."""

from __future__ import annotations

from typing import Any

from flask_admin.form import BaseForm

from admin_views import formats
from admin_views.base import BaseView, ReasonForm, RecordAction
from admin_views.configuration.admins import SECTION
from admin_views.configuration.anchors import group_anchor
from app.core import outbox, settings
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import Action, Admin, Mail, MailStatus, SmsMessage


def resend(obj: Mail | SmsMessage, form: ReasonForm, *, reason: str, actor: Admin) -> Action:
    """Send it (again) at once."""
    return outbox.resend(db.session(), message=obj, reason=reason, actor=actor, now=utcnow())


def cancel(obj: Mail | SmsMessage, form: ReasonForm, *, reason: str, actor: Admin) -> Action:
    """Never send it."""
    return outbox.cancel(db.session(), message=obj, reason=reason, actor=actor, now=utcnow())


def next_attempt(view: Any, context: Any, obj: Mail | SmsMessage, name: str) -> Any:
    """When it is tried (again); nothing for what does not wait."""
    return formats.when(obj.next_attempt_at) if obj.status is MailStatus.WAITING else formats.NOTHING


class MessageView(BaseView):
    """A list of messages that can be sent anew or cancelled, with a reason, one by one or many at once."""

    section = SECTION
    can_create = can_edit = can_delete = False
    has_history = False
    count_cap = 10_000
    form_columns = ()
    column_pills = ("status",)
    column_default_sort = ("created_at", True)
    column_labels = {
        "id": "ID",
        "status": "Status",
        "recipient": "Recipient",
        "attempts": "Attempts",
        "created_at": "Written at",
        "next_attempt_at": "Next attempt",
        "sent_at": "Sent at",
        "error": "Error",
        "key": "About",
    }
    column_formatters = {"next_attempt_at": next_attempt}
    actions = (
        RecordAction(
            "resend", "Resend", resend, icon="refresh", help="It is sent at once, and tried again if need be."
        ),
        RecordAction(
            "cancel",
            "Cancel",
            cancel,
            icon="ban",
            button="Do not send",
            danger=True,
            help="It is never sent.",
            available=lambda obj: obj.status is MailStatus.WAITING,
            refusals=(outbox.NotWaiting,),
        ),
    )

    def scaffold_form(self) -> Any:
        """None is needed."""
        return BaseForm

    def list_context(self, page: Any) -> dict[str, Any]:
        """Above the list: how many wait and why."""
        return {**super().list_context(page), **self.server_context()}

    def details_context(self, obj: Mail | SmsMessage) -> dict[str, Any]:
        """The same above a message that waits."""
        return {**super().details_context(obj), **self.server_context()}

    def server_context(self) -> dict[str, Any]:
        """What ``configuration/_message_notice.html`` says."""
        return {
            "not_set_up": self.not_set_up(),
            "standing": outbox.standing(self.db_session, self.model, now=utcnow()),
            "away": self.when_away,
            "settings_group": group_anchor(settings.BY_KEY[self.first_setting].group),
        }

    #: of the settings that say how they are sent
    first_setting = ""
    #: what becomes of messages while the server is away
    when_away = ""

    def not_set_up(self) -> str:
        """Why nothing is sent as Settings stand; empty when messages are sent."""
        raise NotImplementedError
