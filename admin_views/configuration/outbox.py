"""CONFIGURATION > Outbox: the mails the system sends, what became of each, and sending one to see whether it works."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from flask import flash, redirect, request, url_for
from flask_admin import expose
from flask_admin.form import BaseForm
from flask_login import current_user
from markupsafe import Markup

from admin_views import formats
from admin_views.base import BaseView, Facts, ReasonForm, RecordAction
from admin_views.configuration.admins import SECTION
from app.core import mail_texts, outbox, smtp
from app.core.clock import utcnow
from app.core.db import db
from app.core.mail import queue_mail
from app.core.models import Action, Admin, Mail, MailStatus

#: who may have a test mail sent: it goes to themselves only
TEST_PERMISSION = "configuration.mail.edit"


def resend(obj: Mail, form: ReasonForm, *, reason: str, actor: Admin) -> Action:
    """Send it (again) at once."""
    return outbox.resend(db.session(), message=obj, reason=reason, actor=actor, now=utcnow())


def cancel(obj: Mail, form: ReasonForm, *, reason: str, actor: Admin) -> Action:
    """Never send it."""
    return outbox.cancel(db.session(), message=obj, reason=reason, actor=actor, now=utcnow())


def _text(view: Any, context: Any, obj: Mail, name: str) -> Any:
    return Markup('<pre class="frame mail-text" tabindex="0">{}</pre>').format(obj.body)


def _next(view: Any, context: Any, obj: Mail, name: str) -> Any:
    return formats.when(obj.next_attempt_at) if obj.status is MailStatus.WAITING else formats.NOTHING


class OutboxView(BaseView):
    """Every mail that was written: waiting, sent, failed or cancelled."""

    resource, singular, plural = "configuration.mail", "E-mail", "Outbox"
    section, icon = SECTION, "mail"
    description = "The e-mails of the system. Each is tried again for about a day, ever more rarely."
    empty_hint = "Mails about faults and lost connections appear here once there are any."
    list_template = "configuration/outbox.html"
    details_template = "configuration/mail.html"
    can_create = can_edit = can_delete = False
    has_history = False
    count_cap = 10_000

    column_list = ("subject", "recipient", "status", "attempts", "created_at", "sent_at", "error")
    column_labels = {
        "id": "ID",
        "subject": "Subject",
        "recipient": "Recipient",
        "status": "Status",
        "attempts": "Attempts",
        "created_at": "Written at",
        "next_attempt_at": "Next attempt",
        "sent_at": "Sent at",
        "error": "Error",
        "key": "About",
        "answers": "Answers",
        "body": "Text",
    }
    column_pills = ("status",)
    column_formatters_detail = {"body": _text, "next_attempt_at": _next}
    column_sortable_list = ("subject", "recipient", "status", "attempts", "created_at", "sent_at")
    column_default_sort = ("created_at", True)
    column_searchable_list = ("subject", "recipient", "key")
    search_hint = "Search subject, recipient"
    column_filters = ("status", "recipient", "subject", "created_at", "sent_at", "attempts", "error")
    column_export_list = (
        "id",
        "key",
        "recipient",
        "subject",
        "status",
        "attempts",
        "created_at",
        "next_attempt_at",
        "sent_at",
        "error",
    )
    form_columns = ()
    details_tabs = (
        Facts("Text", ("body",)),
        Facts(
            "Delivery",
            (
                "status",
                "recipient",
                "attempts",
                "next_attempt_at",
                "sent_at",
                "error",
                "created_at",
                "key",
                "answers",
                "attachment",
            ),
        ),
    )
    actions = (
        RecordAction(
            "resend", "Resend", resend, icon="refresh", help="It is sent at once, and tried again if need be."
        ),
        RecordAction(
            "cancel",
            "Cancel",
            cancel,
            icon="ban",
            button="Cancel the mail",
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
        """Above the list: why nothing is sent, when nothing is."""
        return {**super().list_context(page), **self._server()}

    def details_context(self, obj: Mail) -> dict[str, Any]:
        """The same above a mail that waits."""
        return {**super().details_context(obj), **self._server()}

    def _server(self) -> dict[str, Any]:
        session = self.db_session()
        try:
            smtp.server_from_settings(session)
        except smtp.MailNotSetUp as error:
            return {"not_set_up": str(error), "waiting": outbox.waiting(session)}
        return {"not_set_up": "", "waiting": 0}

    @expose("/test/", methods=("POST",))
    def send_test(self) -> Any:
        """Write a mail to whoever asks for it, and show what becomes of it."""
        self.require(TEST_PERMISSION)
        admin: Admin = current_user._get_current_object()
        mail = write_test_mail(admin, now=utcnow())
        db.session.commit()
        flash(f"A test mail to {admin.email} is on its way. This page shows what becomes of it.", "info")
        return redirect(url_for("mail.details_view", id=mail.id), code=303)

    @expose("/state/")
    def state_view(self) -> str:
        """How a mail stands: fetched again while it waits."""
        return self.render("configuration/_mail_state.html", model=self.get_one(request.args.get("id")))


def write_test_mail(admin: Admin, *, now: datetime) -> Mail:
    """A mail to an admin that says that mail works."""
    session = db.session()
    subject = "Test mail"
    body, html = mail_texts.render(session, "test", subject=subject, name=admin.name, now_at=now)
    mail = queue_mail(
        session,
        key=f"test:{secrets.token_hex(8)}",
        recipient=admin.email,
        subject=subject,
        body=body,
        html=html,
        now=now,
    )
    assert mail is not None, "its key was drawn a moment ago"
    return mail
