"""CRM > Receipts: the list, a receipt's page with its lines, its PDF, sending and issuing. Manual, "Receipts"."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import Response, abort, flash, request
from flask_admin import expose
from flask_login import current_user
from sqlalchemy.orm import joinedload, selectinload
from wtforms import validators

from admin_views import formats
from admin_views.base import BaseView, Facts, Lookup, RecordAction, Related, pill
from admin_views.widgets.actions import NotBlank
from admin_views.widgets.threads import beside
from app.billing.models import Receipt, ReceiptKind
from app.billing.receipts import files, mails
from app.billing.receipts.document import by_rate
from app.billing.receipts.parties import driver_lines
from app.billing.receipts.typesetting import typeset
from app.charging.receipts import issuing
from app.core import actions
from app.core.clock import utcnow
from app.core.db import db, separate_transaction
from app.core.files import StoredFile, file_bytes
from app.core.i18n import LANGUAGES
from app.core.models import Action, Admin, Mail
from app.crm.models import User
from app.search.kinds import Kind


def _money(name: str) -> Any:
    return lambda view, context, receipt, _name: formats.money(getattr(receipt, name), receipt.currency)


def _kind(view: Any, context: Any, receipt: Receipt, name: str) -> Any:
    return pill(receipt.kind, "blue" if receipt.kind is ReceiptKind.RECEIPT else "orange")


def _period(view: Any, context: Any, receipt: Receipt, name: str) -> Any:
    first, last = formats.day(receipt.period_from), formats.day(receipt.period_to)
    return first if first == last else f"{first} – {last}"


def _sent(view: Any, context: Any, receipt: Receipt, name: str) -> str:
    return {0: "Not sent", 1: "Once"}.get(receipt.sent_count, f"{receipt.sent_count} times")


def _user_label(user: User) -> str:
    return f"{user.full_name} ({user.email})" if user.full_name != user.email else user.email


def send(obj: Receipt, form: Any, *, reason: str, actor: Admin) -> Action:
    """Mail a receipt to its driver."""
    return mails.send_again(db.session(), receipt=obj, reason=reason, actor=actor, now=utcnow())


def make_pdf(receipt_id: int) -> int | None:
    """Make a receipt's PDF if it is missing, while other requests go on; its id, None for no such receipt."""
    return files.make_file(
        separate_transaction, receipt_id=receipt_id, clock=utcnow, typesetter=partial(beside, typeset)
    )


class ReceiptView(BaseView):
    """What drivers were sent: as it was issued, for ever."""

    resource, singular, plural = "crm.receipt", "Receipt", "Receipts"
    section, icon = "CRM", "receipt"
    list_template = "crm/receipts.html"
    description = "Made automatically, as CONFIGURATION > Settings > Receipts says, and sent to the driver."
    empty_hint = "Monthly receipts are made on the first of the next month; “Issue now” makes one at once."
    can_edit = False
    can_delete = False
    has_history = False

    column_list = ("full_number", "kind", "user", "user.email", "period", "issued_at", "total_gross", "sent_count")
    column_labels = {
        "id": "ID",
        "full_number": "Number",
        "user": "Driver",
        "user.email": "E-mail",
        "issued_at": "Issued",
        "total_gross": "Total",
        "total_net": "Total without VAT",
        "total_vat": "VAT",
        "sent_count": "Sent",
        "period_from": "Period from",
        "period_to": "Period to",
        "corrects": "For receipt",
        "recipient": "E-mail at issue",
        "timezone": "Times",
        "lines.session_id": "Charging session",
        "lines.place": "Place",
    }
    column_formatters = {
        "kind": _kind,
        "period": _period,
        "total_gross": _money("total_gross"),
        "total_net": _money("total_net"),
        "total_vat": _money("total_vat"),
        "sent_count": _sent,
        "language": lambda view, context, receipt, name: LANGUAGES.get(receipt.language, receipt.language),
    }
    column_searchable_list = ("full_number", "recipient", "user.email", "user.first_name", "user.last_name")
    search_hint = "Search number, driver, e-mail"
    search_kind = Kind.RECEIPT
    column_sortable_list = (
        "full_number", "kind", ("user.email", "user.email"), ("period", "period_from"), "issued_at", "total_gross",
        "sent_count",
    )  # fmt: skip
    column_default_sort = ("issued_at", True)
    column_filters = (
        "full_number", "kind", "user.email", "period_from", "period_to", "issued_at", "currency", "total_gross",
        "sent_count", "lines.session_id", "lines.place",
    )  # fmt: skip
    column_export_list = (
        "id", ("number", "full_number"), "kind", ("user_email", "user.email"), "period_from", "period_to", "issued_at",
        "currency", "total_gross", "total_net", "total_vat",
        ("corrects", lambda receipt: receipt.corrects.full_number if receipt.corrects else ""), "sent_count",
    )  # fmt: skip
    load_options = (joinedload(Receipt.user), joinedload(Receipt.corrects))

    form_columns = ("user", "reason")
    form_ajax_refs = {
        "user": Lookup("user", User, session=db, fields=["email", "first_name", "last_name"], text=_user_label)
    }
    form_args = {
        "user": {
            "label": "Driver",
            "validators": [validators.InputRequired()],
            "description": "Everything the driver has paid so far, and has no receipt for, goes on one at once.",
        },
        "reason": {
            "validators": [NotBlank("Enter a reason."), validators.Length(max=400)],
            "description": "Kept in the Actions log for further reference.",
            "render_kw": {"rows": 3, "maxlength": 400},
        },
    }
    refusals = (issuing.NothingToIssue, issuing.ReceiptsOff)

    details_template = "crm/receipt.html"
    details_tabs = (
        Facts(
            "General",
            (
                "full_number", "kind", "user", "recipient", "period", "issued_at", "total_net", "total_vat",
                "total_gross", "corrects", "sent_count", "language", "timezone", "reason",
            ),
        ),
        Facts("Issued by and to", template="crm/_receipt_parties.html"),
    )  # fmt: skip
    details_load_options = (selectinload(Receipt.lines),)
    related = (
        Related("Credit notes", "receipt", "corrects_id"),
        Related("Mails", "mail", lambda query, receipt: query.filter(Mail.attachment_id == receipt.file_id)),
        Related(
            "Actions",
            "action",
            lambda query, receipt: query.filter(
                Action.target_type == Receipt.__tablename__, Action.target_id == receipt.id
            ),
            columns=("id", "name", "info", "reason", "status", "initiated_by", "created_at"),
        ),
    )
    actions = (
        RecordAction(
            "send",
            "Send by e-mail",
            send,
            permission="send",
            icon="send",
            button="Send",
            help="Its PDF goes to the address the driver has now.",
            refusals=(mails.NoFileYet,),
        ),
    )

    def create_model(self, form: Any) -> Any:
        """Issue now: everything the driver has paid; the first receipt, where there are several."""
        session = self.db_session
        try:
            issued = issuing.issue_now(
                session,
                user=form.user.data,
                reason=form.reason.data,
                actor=current_user._get_current_object(),
                now=utcnow(),
            )
            numbers = {receipt.id: receipt.full_number for receipt in issued}
            session.commit()
        except (*self.refusals, actions.ReasonRequired) as error:
            session.rollback()
            self.explain(error, form)
            return None
        for number in list(numbers.values())[1:]:
            flash(f"Receipt “{number}” was created, too.", "success")
        for receipt_id in numbers:
            make_pdf(receipt_id)
        return self.get_one(next(iter(numbers)))

    def details_context(self, obj: Receipt) -> dict[str, Any]:
        """With VAT per rate, and driver and company as they were."""
        return {
            **super().details_context(obj),
            "rates": by_rate(obj.lines),
            "driver": driver_lines(obj.driver, "en"),
        }

    @expose("/pdf/")
    def pdf_view(self) -> Any:
        """The PDF; it is made if it is missing."""
        self.require("view")
        receipt_id = self.get_one(request.args.get("id")).id
        self.db_session.rollback()  # no transaction is open while it is typeset
        file_id = make_pdf(receipt_id) or abort(404)
        file = db.session.get_one(StoredFile, file_id)
        answer = Response(file_bytes(db.session(), file_id=file_id), content_type=file.content_type)
        answer.headers.set("Content-Disposition", "inline", filename=file.name)
        answer.headers["Cache-Control"] = "no-store"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer
