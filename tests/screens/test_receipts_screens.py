"""CRM > Receipts and CONFIGURATION > Company Details: found, read, downloaded, sent, issued now, exported."""

from __future__ import annotations

import html
import io

import pytest
from flask import Flask
from pypdf import PdfReader
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.billing.models import Receipt
from app.core import settings
from app.core.models import Action, AuditEntry, Mail
from tests.support import factories_crm as make
from tests.support.factories_crm import Visitor
from tests.support.factories_receipts import make_evse, paid, receipts, refunded, tend

LIST = "/crm/receipts/"
COMPANY = "/configuration/company-details/"


@pytest.fixture
def olga(clean: Flask, session: Session) -> Visitor:
    """A Super User, signed in."""
    somebody = make.admin(session)
    session.commit()
    return make.signed_in(clean, somebody)


def words(answer: object) -> str:
    """The text of a page."""
    return html.unescape(answer.get_data(as_text=True))  # type: ignore[attr-defined]


def test_list_page_pdf_and_export(olga: Visitor, session: Session) -> None:
    alex = make.user(session)
    charge = paid(session, make_evse(session), alex, "12.00")
    tend(session)
    refunded(session, charge, "5.00")
    receipt, note = tend(session)
    listed = words(olga.get(f"{LIST}?search=R-2026-000001"))
    for each in ("R-2026-000001", "Receipt", "Alex Petkov", "alex.petkov@example.com", "€12.00", "Once"):
        assert each in listed
    assert "R-2026-000002" not in listed
    assert "R-2026-000002" in words(olga.get(f"{LIST}?flt0_kind_is=credit_note"))
    page = words(olga.get(f"{LIST}details/?id={receipt.id}"))
    for each in ("€10.00", "€2.00", "20%", "Sofia Ring Mall", f'/activity/charging-sessions/details/?id={charge.id}"'):
        assert each in page
    assert "The connector was blocked" in words(olga.get(f"{LIST}details/?id={note.id}"))
    answer = olga.get(f"{LIST}pdf/?id={note.id}")
    assert answer.content_type == "application/pdf"
    assert "R-2026-000002.pdf" in answer.headers["Content-Disposition"]
    assert "Total given back" in PdfReader(io.BytesIO(answer.data)).pages[0].extract_text()
    csv = olga.get(f"{LIST}export/csv/").get_data(as_text=True)
    assert csv.splitlines()[0].startswith(
        "id,number,kind,user_email,period_from,period_to,issued_at,currency,total_gross,total_net,total_vat,corrects,sent_count"
    )
    assert "R-2026-000002,credit_note,alex.petkov@example.com" in csv
    user_page = words(olga.get(f"/crm/users/details/?id={alex.id}"))
    assert ">Receipts</a>" in user_page
    assert olga.get(f"{LIST}pdf/?id=99999").status_code == 404
    assert olga.get(f"{LIST}edit/?id={receipt.id}").status_code == 403


def test_a_missing_pdf_is_made_when_it_is_asked_for(olga: Visitor, session: Session) -> None:
    paid(session, make_evse(session), make.user(session))
    [receipt] = tend(session)
    session.execute(update(Receipt).values(file_id=None))
    session.commit()
    assert olga.get(f"{LIST}pdf/?id={receipt.id}").data.startswith(b"%PDF-")
    assert receipts(session)[0].file_id is not None


def test_issue_now_with_a_reason_and_why_not(olga: Visitor, session: Session) -> None:
    alex = make.user(session)
    paid(session, make_evse(session), alex)
    assert "Issue now" in words(olga.get(LIST))
    given = {"user": str(alex.id), "reason": " "}
    assert "Enter a reason." in words(olga.post(f"{LIST}new/", data=given))
    given["reason"] = "Leaves the country"
    answer = olga.post(f"{LIST}new/", data=given)
    assert answer.status_code == 302
    [receipt] = receipts(session)
    assert receipt.file_id is not None
    assert session.scalars(select(Action.reason)).all() == ["Leaves the country"]
    again = olga.post(f"{LIST}new/", data=given)
    assert again.status_code == 422
    assert "Alex Petkov has paid nothing that is not on a receipt yet." in words(again)


def test_send_again_counts_and_needs_its_permission(clean: Flask, olga: Visitor, session: Session) -> None:
    paid(session, make_evse(session), make.user(session))
    [receipt] = tend(session)
    sending = f"{LIST}run/send/?rowid={receipt.id}"
    olga.get(LIST)
    assert olga.post(sending, data={"reason": ""}).status_code == 422
    assert olga.post(sending, data={"reason": "Lost it"}).status_code == 200
    assert receipts(session)[0].sent_count == 2
    assert len(session.scalars(select(Mail)).all()) == 2
    reader = make.admin(session, "Rita Reader", "Readers", permissions=["crm.receipt.view"])
    session.commit()
    rita = make.signed_in(clean, reader)
    assert "Issue now" not in words(rita.get(LIST))
    assert rita.post(sending, data={"reason": "x"}).status_code == 403
    assert rita.post(f"{LIST}new/", data={"reason": "x"}).status_code == 403


def test_company_details_have_a_page_of_their_own(olga: Visitor, session: Session) -> None:
    page = words(olga.get(COMPANY))
    assert "Company Details" in page
    assert "Registration No." in page
    assert "WebSocket ping interval" not in page
    assert f'href="{COMPANY}"' in words(olga.get("/configuration/vat/"))
    given = {"was:company.name": "", "company.name": "Sync Ltd.", "was:company.address": ""}
    answer = olga.post(COMPANY, data={**given, "company.address": " 12 Vitosha Blvd.\r\n\r\n1000 Sofia "})
    assert (answer.status_code, answer.location) == (303, COMPANY)
    settings.forget()
    assert settings.get_text(session, "company.address") == "12 Vitosha Blvd.\n1000 Sofia"
    changed = session.scalars(select(AuditEntry.object_id).where(AuditEntry.object_type == "setting")).all()
    assert sorted(changed) == ["company.address", "company.name"]
    assert "Sync Ltd." in words(olga.get(f"{COMPANY}history/"))
    settings.change_setting(session, key="system.timezone", value="Europe/Sofia", actor=None)
    session.commit()
    assert "<strong>Timezone</strong>" not in words(olga.get(f"{COMPANY}history/")), "only what the page is about"
    example = PdfReader(io.BytesIO(olga.get(f"{COMPANY}example.pdf").data)).pages[0].extract_text()
    assert "12 Vitosha Blvd." in example
    too_long = olga.post(COMPANY, data={"was:company.vat_no": "", "company.vat_no": "1" * 61})
    assert too_long.status_code == 422
    assert "At most 60 characters are expected." in words(too_long)
