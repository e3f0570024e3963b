"""CONFIGURATION > SMS: the text messages the system sends, and what became of each. Manual, "SMS Processor"."""

from __future__ import annotations

from typing import Any

from flask import request
from flask_admin import expose
from markupsafe import Markup

from admin_views.base import Facts
from admin_views.configuration.messages import MessageView, next_attempt
from app.core import sms
from app.core.models import SmsMessage

#: who may read the codes in messages: whoever may send them again
CODES_PERMISSION = "configuration.sms.edit"


def shown_text(view: Any, obj: SmsMessage) -> str:
    """A message's text; its codes are dots for who may not send it."""
    return sms.masked(obj.text) if obj.confidential and not view.may(CODES_PERMISSION) else obj.text


def _text(view: Any, context: Any, obj: SmsMessage, name: str) -> Any:
    return shown_text(view, obj)


def _whole_text(view: Any, context: Any, obj: SmsMessage, name: str) -> Any:
    return Markup('<pre class="frame mail-text" tabindex="0">{}</pre>').format(shown_text(view, obj))


def _processor(view: Any, context: Any, obj: SmsMessage, name: str) -> Any:
    return {sms.LOG: "Log", sms.TWILIO: "Twilio"}.get(obj.processor or "", obj.processor)


class SmsView(MessageView):
    """Every SMS that was written: waiting, sent, failed or cancelled."""

    resource, singular, plural, icon = "configuration.sms", "SMS", "SMS", "message"
    description = "The text messages of the system. Each is tried again for about an hour, ever more rarely."
    empty_hint = "Codes for users who confirm their phone number appear here."
    list_template = "configuration/sms.html"
    details_template = "configuration/sms_message.html"
    first_setting = "sms.processor"
    when_away = (
        "While the SMS processor is away, or refuses us, it is asked once a minute and every message waits. One that "
        "it keeps refusing for now is given up after about an hour; what nobody took for a day is not sent any more."
    )

    column_list = ("recipient", "text", "status", "attempts", "created_at", "next_attempt_at", "sent_at", "error")
    column_labels = {**MessageView.column_labels, "text": "Text", "processor": "Processor", "reference": "Reference"}
    column_formatters = {**MessageView.column_formatters, "text": _text}
    column_formatters_detail = {"next_attempt_at": next_attempt, "text": _whole_text, "processor": _processor}
    column_sortable_list = ("recipient", "status", "attempts", "created_at", "next_attempt_at", "sent_at")
    column_searchable_list = ("recipient", "key")
    search_hint = "Search recipient"
    column_filters = ("status", "recipient", "key", "created_at", "sent_at", "attempts", "error", "processor")
    column_export_list = (
        "id",
        "key",
        "recipient",
        "status",
        "attempts",
        "created_at",
        "next_attempt_at",
        "sent_at",
        "error",
        "processor",
        "reference",
    )
    details_tabs = (
        Facts("Text", ("text",)),
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
                "processor",
                "reference",
            ),
        ),
    )

    def not_set_up(self) -> str:
        """What is missing in Settings > SMS."""
        try:
            sms.processor(self.db_session)
        except sms.SmsNotSetUp as error:
            return str(error)
        return ""

    @expose("/state/")
    def state_view(self) -> str:
        """How a message stands: fetched again while it waits."""
        return self.render("configuration/_sms_state.html", model=self.get_one(request.args.get("id")))
