"""CONFIGURATION > Outbox: the mails the system sends, what became of each, and sending one to see whether it works."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from flask import Response, abort, flash, make_response, redirect, request, url_for
from flask_admin import expose
from flask_login import current_user
from markupsafe import Markup

from admin_views import formats
from admin_views.base import Facts
from admin_views.configuration.messages import MessageView, next_attempt
from app.core import mail_texts, mail_words, smtp
from app.core.clock import utcnow
from app.core.db import db
from app.core.files import file_bytes
from app.core.mail import queue_mail
from app.core.models import Admin, Mail

#: who may have a test mail sent: it goes to themselves only
TEST_PERMISSION = "configuration.mail.edit"
#: a mail's HTML may style itself and nothing else: no script, no request, no form, no link out of its frame
PREVIEW_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'self'"


def _attachment(view: Any, context: Any, obj: Mail, name: str) -> Any:
    if obj.attachment is None:
        return formats.NOTHING
    if obj.confidential:
        return obj.attachment.name
    return Markup('<a href="{}">{}</a>').format(url_for("mail.attachment_view", id=obj.id), obj.attachment.name)


class OutboxView(MessageView):
    """Every mail that was written: waiting, sent, failed or cancelled."""

    resource, singular, plural, icon = "configuration.mail", "E-mail", "Outbox", "mail"
    description = "The e-mails of the system. Each is tried again for about a day, ever more rarely."
    empty_hint = "Mails about faults and lost connections appear here once there are any."
    list_template = "configuration/outbox.html"
    details_template = "configuration/mail.html"
    first_setting = "mail.host"
    when_away = (
        "While the mail server is away, or refuses us, it is asked once a minute and every mail waits. A mail that it "
        "keeps refusing for now is given up after about a day; Resend begins anew."
    )

    column_list = ("subject", "recipient", "status", "attempts", "created_at", "next_attempt_at", "sent_at", "error")
    column_labels = {**MessageView.column_labels, "subject": "Subject", "answers": "Answers", "attachment": "Attached"}
    column_formatters_detail = {"next_attempt_at": next_attempt, "attachment": _attachment}
    column_sortable_list = ("subject", "recipient", "status", "attempts", "created_at", "next_attempt_at", "sent_at")
    column_searchable_list = ("subject", "recipient", "key")
    search_hint = "Search subject, recipient"
    column_filters = ("status", "recipient", "subject", "key", "created_at", "sent_at", "attempts", "error")
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
    details_tabs = (
        Facts("Text", template="configuration/_mail_text.html"),
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

    def not_set_up(self) -> str:
        """What is missing in Settings > E-mail (SMTP)."""
        try:
            smtp.server_from_settings(self.db_session)
        except smtp.MailNotSetUp as error:
            return str(error)
        return ""

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

    @expose("/preview/")
    def preview_view(self) -> Response:
        """A mail's HTML, for a frame in which it can do nothing."""
        mail = self.get_one(request.args.get("id"))
        if mail.confidential or not mail.html:
            abort(404)
        return preview(mail.html)

    @expose("/attachment/")
    def attachment_view(self) -> Response:
        """What is attached to a mail, as a download."""
        mail = self.get_one(request.args.get("id"))
        if mail.confidential or mail.attachment is None:
            abort(404)
        response = make_response(file_bytes(self.db_session, file_id=mail.attachment.id))
        response.headers.set("Content-Disposition", "attachment", filename=mail.attachment.name)
        response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
        response.content_type = mail.attachment.content_type
        return response


def preview(html: str) -> Response:
    """A mail's HTML under a policy that lets it look like itself and do nothing."""
    response = make_response(html)
    response.headers["Content-Security-Policy"] = PREVIEW_POLICY
    response.headers["Cache-Control"] = "no-store"
    return response


def write_test_mail(admin: Admin, *, now: datetime) -> Mail:
    """A mail to an admin that says that mail works."""
    session = db.session()
    words = mail_words.compose(
        session,
        "test",
        language=admin.locale,
        values={"name": admin.name, "asked_at": mail_texts.moment(session, now)},
    )
    mail = queue_mail(
        session,
        key=f"test:{secrets.token_hex(8)}",
        recipient=admin.email,
        subject=words.subject,
        body=words.body,
        html=words.html,
        now=now,
    )
    assert mail is not None, "its key was drawn a moment ago"
    return mail
