"""Receipts: what is on which, numbers without gaps, VAT to the cent, credit notes, PDFs in three scripts, mails."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageFont
from pypdf import PdfReader
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.billing.models import Receipt, ReceiptCounter, ReceiptKind, TransactionStatus
from app.billing.receipts import credit_notes, files, mails, typesetting
from app.billing.receipts.document import Format, document_of
from app.billing.receipts.issue import issue
from app.billing.receipts.numbers import full_number, take_number
from app.billing.receipts.words import _ORDER, _WORDS, language_of, word
from app.charging.lifecycle import PaymentStatus
from app.charging.models import ChargingSession
from app.charging.receipts import issuing
from app.charging.receipts.differences import receipts_differences
from app.charging.receipts.gather import last_day
from app.core import mail_delivery, settings
from app.core.db import separate_transaction
from app.core.files import StoredFile, file_bytes
from app.core.i18n import LANGUAGES
from app.core.models import Action, CurrencyRow, Mail, VatRate
from app.crm.models import User
from tests.support import factories_crm as make
from tests.support.charging import at_once
from tests.support.factories_receipts import (
    NOVEMBER,
    OCTOBER,
    clock,
    make_evse,
    paid,
    receipts,
    refunded,
    tend,
)
from tests.test_outbox import Inbox, inbox

__all__ = ["inbox"]  # a fixture

DECEMBER = datetime(2026, 12, 1, 6, 0, tzinfo=UTC)


def change(session: Session, **values: Any) -> None:
    """Settings, committed; two underscores stand for the dot."""
    for key, value in values.items():
        settings.change_setting(session, key=key.replace("__", "."), value=value, actor=None)
    session.commit()


def words_of(session: Session, receipt: Receipt) -> str:
    """What stands in its PDF, in one line."""
    assert receipt.file_id is not None
    pages = PdfReader(io.BytesIO(file_bytes(session, file_id=receipt.file_id))).pages
    return " ".join(" ".join(page.extract_text().split()) for page in pages)


def sessions_on(receipt: Receipt) -> list[int]:
    return [line.session_id for line in receipt.lines]


# ---------------------------------------------------------------------- which sessions, on which receipt


def test_a_months_sessions_are_on_one_receipt_with_its_sums(session: Session) -> None:
    evse, alex = make_evse(session), make.user(session)
    first = paid(session, evse, alex, "10.00")
    second = paid(session, evse, alex, "4.99", vat="9", at=OCTOBER + timedelta(days=3))
    [receipt] = tend(session)
    assert sessions_on(receipt) == [first.id, second.id]
    assert (receipt.period_from, receipt.period_to) == (date(2026, 10, 1), date(2026, 10, 31))
    assert receipt.full_number == "R-2026-000001"
    assert (receipt.total_gross, receipt.total_net, receipt.total_vat) == (
        Decimal("14.99"),
        Decimal("8.33") + Decimal("4.58"),
        Decimal("1.67") + Decimal("0.41"),
    )
    assert [line.vat_percent for line in receipt.lines] == [20, 9]
    assert receipt.lines[0].place == "Sofia Ring Mall"
    assert tend(session) == [receipt], "the next tick issues nothing again"
    assert list(receipts_differences(session)) == []


def test_what_is_free_unpaid_corporate_anonymous_or_of_this_month_is_on_none(session: Session) -> None:
    evse, alex = make_evse(session), make.user(session)
    paid(session, evse, alex, payment_status=PaymentStatus.OUTSTANDING)
    paid(session, evse, alex, payment_status=PaymentStatus.PROCESSING)
    paid(session, evse, alex, payment_status=PaymentStatus.NOT_BILLED)
    paid(session, evse, alex, "0.00", payment_status=PaymentStatus.FREE)
    paid(session, evse, alex, paid_from="corporate")
    paid(session, evse, alex, at=NOVEMBER - timedelta(minutes=30))  # ends in November
    nobody = paid(session, evse, alex)
    nobody.user_id = None
    session.commit()
    assert tend(session) == []


def test_who_pays_late_finds_it_on_the_next_receipt(session: Session) -> None:
    evse, alex = make_evse(session), make.user(session)
    paid(session, evse, alex)
    late = paid(session, evse, alex, at=OCTOBER + timedelta(days=2), paid_at=NOVEMBER + timedelta(days=9))
    [october] = tend(session, NOVEMBER + timedelta(days=10))
    assert late.id not in sessions_on(october)
    _, november = tend(session, DECEMBER)
    assert sessions_on(november) == [late.id]
    assert november.period_from == date(2026, 11, 1)


def test_the_month_ends_at_midnight_of_the_systems_time_zone(session: Session) -> None:
    change(session, system__timezone="Europe/Sofia")
    evse, alex = make_evse(session), make.user(session)
    midnight = datetime(2026, 10, 31, 22, 0, tzinfo=UTC)  # in Sofia
    before = paid(session, evse, alex, at=midnight - timedelta(minutes=41))
    after = paid(session, evse, alex, at=midnight - timedelta(minutes=40))
    assert tend(session, midnight - timedelta(seconds=1)) == []
    [receipt] = tend(session, midnight)
    assert sessions_on(receipt) == [before.id]
    assert tend(session, DECEMBER)[1].lines[0].session_id == after.id


def test_missed_months_are_caught_up_each_with_its_own_receipt(session: Session) -> None:
    evse, alex = make_evse(session), make.user(session)
    for months_ago in (0, 31, 62):
        paid(session, evse, alex, at=OCTOBER - timedelta(days=months_ago))
    found = tend(session)
    assert [receipt.period_from.month for receipt in found] == [8, 9, 10]
    assert [receipt.number for receipt in found] == [1, 2, 3]


def test_drivers_and_currencies_have_receipts_of_their_own(session: Session) -> None:
    from app.core.money import Currency

    evse, alex, maria = make_evse(session), make.user(session), make.user(session, "maria@example.com")
    paid(session, evse, alex)
    paid(session, evse, alex, currency=Currency("GBP", 2, "£"))
    paid(session, evse, maria)
    found = tend(session)
    assert {(receipt.user_id, receipt.currency) for receipt in found} == {
        (alex.id, "EUR"),
        (alex.id, "GBP"),
        (maria.id, "EUR"),
    }


def test_per_session_each_payment_is_a_receipt_at_once(session: Session) -> None:
    change(session, receipt__per="session")
    evse, alex = make_evse(session), make.user(session)
    paid(session, evse, alex)
    paid(session, evse, alex, at=OCTOBER + timedelta(hours=2))
    found = tend(session, OCTOBER + timedelta(hours=3))
    assert [(len(each.lines), each.period_from, each.period_to) for each in found] == [
        (1, date(2026, 10, 5), date(2026, 10, 5))
    ] * 2


def test_none_issues_nothing_and_says_so(session: Session) -> None:
    change(session, receipt__processor="none")
    alex, olga = make.user(session), make.admin(session)
    charge = paid(session, make_evse(session), alex)
    assert tend(session) == []
    with pytest.raises(issuing.ReceiptsOff):
        issuing.issue_now(session, user=alex, reason="asked", actor=olga, now=NOVEMBER)
    change(session, receipt__processor="built_in")
    assert len(tend(session)) == 1
    refunded(session, charge, "1.00")
    change(session, receipt__processor="none")
    assert len(tend(session)) == 1, "no credit note either"


def test_one_driver_whose_receipt_cannot_be_made_keeps_nobody_from_theirs(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    evse = make_evse(session)
    drivers = [make.user(session, f"driver{number}@example.com") for number in range(3)]
    for driver in drivers:
        paid(session, evse, driver)
    broken, right = drivers[1].id, issuing.issue

    def fails_for_one(session: Session, **given: Any) -> Receipt:
        receipt = right(session, **given)  # it fails with the number taken
        if given["user"].id == broken:
            raise RuntimeError("the disk is full")
        return receipt

    monkeypatch.setattr(issuing, "issue", fails_for_one)
    assert [(each.user_id, each.number) for each in tend(session)] == [(drivers[0].id, 1), (drivers[2].id, 2)]
    monkeypatch.undo()
    assert tend(session)[2].number == 3
    assert list(receipts_differences(session)) == []


# ---------------------------------------------------------------------- numbers


def test_numbers_have_no_gap_and_no_double_whoever_issues_at_the_same_time(app: Flask, session: Session) -> None:
    evse = make_evse(session)
    drivers = [make.user(session, f"driver{number}@example.com") for number in range(4)]
    for driver in drivers:
        for _ in range(3):
            paid(session, evse, driver)
    change(session, receipt__per="session")

    def issuing_for(driver_id: int, fails: bool) -> Any:
        def work(session: Session) -> int:
            issued = issuing.issue_due(session, user_id=driver_id, now=NOVEMBER)
            if fails:
                raise RuntimeError("rolled back")
            return len(issued)

        return work

    ids = [driver.id for driver in drivers]
    # each driver twice, and once more by somebody who fails after the numbers were taken
    works = [issuing_for(number, fails) for number in ids for fails in (False, True, False)]
    outcomes = at_once(app, *works)
    assert sum(outcome for outcome in outcomes if isinstance(outcome, int)) == 12
    assert [receipt.number for receipt in sorted(receipts(session), key=lambda each: each.number)] == list(range(1, 13))
    assert session.scalars(select(ReceiptCounter.last_number)).one() == 12
    assert list(receipts_differences(session)) == []


def test_a_rollback_gives_the_number_back(session: Session) -> None:
    assert [take_number(session, series="R", year=2026) for _ in range(2)] == [1, 2]
    session.rollback()
    assert take_number(session, series="R", year=2026) == 1
    assert take_number(session, series="R", year=2027) == 1, "each year begins anew"
    assert take_number(session, series="X", year=2026) == 1, "and each prefix"
    session.rollback()


@pytest.mark.parametrize(
    ("series", "written"), [("R", "R-2026-000007"), ("", "2026-000007"), ("BG/1", "BG/1-2026-000007")]
)
def test_numbers_are_written_with_their_prefix(series: str, written: str) -> None:
    assert full_number(series, 2026, 7) == written
    assert "/" not in files.file_stem(written)


# ---------------------------------------------------------------------- credit notes


def test_a_refund_after_the_receipt_makes_a_credit_note_once(session: Session) -> None:
    alex = make.user(session)
    charge = paid(session, make_evse(session), alex, "12.00")
    tend(session)
    pending = refunded(session, charge, "5.00", status=TransactionStatus.PENDING)
    assert len(tend(session)) == 1
    pending.status = TransactionStatus.SUCCEEDED
    session.commit()
    receipt, note = tend(session, NOVEMBER + timedelta(hours=1))
    assert (note.kind, note.corrects_id, note.refund_id) == (ReceiptKind.CREDIT_NOTE, receipt.id, pending.id)
    assert (note.total_gross, note.total_net, note.total_vat) == (Decimal("5.00"), Decimal("4.17"), Decimal("0.83"))
    assert note.full_number == "R-2026-000002", "one series"
    assert note.reason == "The connector was blocked"
    assert len(tend(session, NOVEMBER + timedelta(hours=2))) == 2
    assert list(receipts_differences(session)) == []


def test_a_refund_before_the_receipt_leaves_the_full_price_and_its_note_follows(session: Session) -> None:
    charge = paid(session, make_evse(session), make.user(session), "12.00")
    refunded(session, charge, "12.00", at=OCTOBER + timedelta(days=1))
    charge.payment_status = PaymentStatus.REFUNDED
    session.commit()
    receipt, note = tend(session)
    assert receipt.total_gross == note.total_gross == 12
    assert (note.total_net, note.total_vat) == (receipt.total_net, receipt.total_vat)


@given(cents=st.lists(st.integers(1, 400), min_size=1, max_size=5), vat=st.sampled_from(["0", "5.5", "9", "20", "27"]))
def test_notes_of_parts_add_up_to_the_whole(cents: list[int], vat: str) -> None:
    """However a price is given back, net and VAT of the notes are the receipt's own, and none is negative."""
    from app.core.money import Money, split_vat
    from tests.support.factories_receipts import EUR

    whole = split_vat(Money(Decimal(sum(cents)) / 100, EUR).rounded(), Decimal(vat))
    so_far, net_before, parts = Decimal(0), Decimal(0), []
    for each in cents:
        so_far += Decimal(each) / 100
        net = credit_notes.net_so_far(so_far, EUR, Decimal(vat)) - net_before
        parts.append((net, Decimal(each) / 100 - net))
        net_before += net
    assert sum(net for net, _ in parts) == whole.net.amount
    assert sum(tax for _, tax in parts) == whole.vat.amount
    assert all(net >= 0 and tax >= 0 for net, tax in parts)


def test_parts_given_back_one_by_one_end_at_the_sessions_own_net(session: Session) -> None:
    charge = paid(session, make_evse(session), make.user(session), "10.00")
    for _ in range(3):
        refunded(session, charge, "3.33")
    refunded(session, charge, "0.01")
    receipt, *notes = tend(session)
    assert sum(note.total_net for note in notes) == receipt.total_net == Decimal("8.33")
    assert list(receipts_differences(session)) == []


def test_more_than_was_paid_is_refused(session: Session) -> None:
    charge = paid(session, make_evse(session), make.user(session), "10.00")
    [receipt] = tend(session)
    refund = refunded(session, charge, "10.01")
    with pytest.raises(credit_notes.RefundBeyondReceipt, match=f"10.01 EUR of session {charge.id} .* 10 EUR were paid"):
        credit_notes.issue_credit_note(session, refund_id=refund.id, now=NOVEMBER)
    assert tend(session) == [receipt]


def test_receipt_and_refund_at_the_same_time_end_with_one_of_each(app: Flask, session: Session) -> None:
    alex = make.user(session)
    charge = paid(session, make_evse(session), alex, "12.00")
    alex_id, charge_id = alex.id, charge.id
    together = threading.Barrier(3)

    def issues(session: Session) -> None:
        together.wait()
        issuing.issue_due(session, user_id=alex_id, now=NOVEMBER)

    def refunds(session: Session) -> None:
        row = session.get_one(ChargingSession, charge_id, with_for_update=True)
        together.wait()
        row.payment_status = PaymentStatus.REFUNDED
        refunded(session, row, "12.00")

    assert at_once(app, issues, issues, refunds) == [None] * 3
    receipt, note = tend(session)
    assert (receipt.total_gross, note.corrects_id, note.total_gross) == (12, receipt.id, 12)
    assert list(receipts_differences(session)) == []


def test_two_clockworks_make_one_credit_note_of_a_refund(app: Flask, session: Session) -> None:
    charge = paid(session, make_evse(session), make.user(session))
    tend(session)
    refund_id = refunded(session, charge, "2.00").id

    def notes(session: Session) -> bool:
        return credit_notes.issue_credit_note(session, refund_id=refund_id, now=NOVEMBER) is not None

    assert sorted(map(repr, at_once(app, *[notes] * 4))) == ["False"] * 3 + ["True"]


# ---------------------------------------------------------------------- what was issued stays as it was


@pytest.fixture
def euro(session: Session) -> Iterator[CurrencyRow]:
    """The euro, which is every other test's too: it gets its sign back."""
    row = session.get_one(CurrencyRow, "EUR")
    yield row
    session.rollback()
    row.symbol = "€"
    session.commit()


def test_company_driver_vat_and_currency_stay_as_they_were(session: Session, euro: CurrencyRow) -> None:
    change(session, company__name="Old Ltd.", company__address="1 Old Street\n\nSofia")
    alex = make.user(session, vat_no="BG1", city="Sofia")
    paid(session, make_evse(session), alex, "12.00")
    [receipt] = tend(session)
    before = words_of(session, receipt)
    change(session, company__name="New Ltd.", system__currency="GBP", system__timezone="America/New_York")
    session.add(VatRate(name="Luxury", percent=Decimal(99)))
    session.flush()
    change(session, system__vat="Luxury")
    alex.last_name, alex.city = "Other", "Varna"
    euro.symbol = "EURO"
    session.execute(text("UPDATE receipt SET file_id = NULL"))
    session.commit()
    [again] = tend(session)
    assert again.id == receipt.id
    assert again.file_id is not None, "a missing PDF is made again"
    assert words_of(session, again) == before
    assert "Old Ltd." in before
    assert "Alex Petkov" in before
    assert session.scalars(select(Mail.id)).all() == [session.scalars(select(Mail.id)).one()], "and not mailed again"


def test_the_database_lets_nobody_change_a_receipt(session: Session) -> None:
    paid(session, make_evse(session), make.user(session))
    tend(session)
    for statement in (
        "UPDATE receipt SET total_gross = 0",
        "DELETE FROM receipt_line",
        "UPDATE receipt_line SET gross = 0",
    ):
        with pytest.raises(Exception, match="permission denied"):
            session.execute(text(statement))
        session.rollback()


def test_the_name_falls_back_to_the_systems(session: Session) -> None:
    change(session, system__company_name="Sync Sofia")
    paid(session, make_evse(session), make.user(session))
    [receipt] = tend(session)
    assert receipt.company["name"] == "Sync Sofia"


# ---------------------------------------------------------------------- the PDF


@pytest.mark.parametrize(
    ("language", "name", "expected"),
    [
        ("en", "Alex Petkov", ("Receipt", "Total paid €12.00", "1 Oct 2026 – 31 Oct 2026", "7.40 kWh", "40 min")),
        ("bg", "Александър Петков", ("Разписка", "Общо платено 12,00 €", "7,40 kWh", "Без ДДС")),
        ("mk", "Ѓорѓи Ќосев", ("Потврда", "Вкупно платено", "Со ДДВ")),
        ("el", "Γιώργος Παπαδόπουλος", ("Απόδειξη", "Σύνολο πληρωμής", "Χωρίς ΦΠΑ")),
        ("de", "Jürgen Größe", ("Quittung", "Gesamt bezahlt 12,00 €", "01.10.2026")),
        ("fr", "Éloïse Lœuvre", ("Reçu", "Total payé 12,00 €", "Hors TVA")),
        ("zh-Hant", "Wei Chen", ("Receipt", "Total paid")),
    ],
)
def test_a_receipt_is_in_its_drivers_language(
    session: Session, language: str, name: str, expected: tuple[str, ...]
) -> None:
    first, _, last = name.partition(" ")
    alex = make.user(session, first_name=first, last_name=last, locale=language)
    paid(session, make_evse(session), alex, "12.00")
    [receipt] = tend(session)
    found = words_of(session, receipt).replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", " ")
    for each in (name, receipt.full_number, *expected):
        assert each in found


def test_texts_are_never_commands_of_the_typesetter(session: Session) -> None:
    nasty = '#read("/etc/passwd") $x^2$ *b* @r'
    change(session, company__name='#panic("no")', company__address="= Heading\n- item\n#{1+1}")
    paid(session, make_evse(session), make.user(session, first_name=nasty, last_name="</text>"))
    [receipt] = tend(session)
    found = words_of(session, receipt)
    for each in (nasty, '#panic("no")', "= Heading", "#{1+1}"):
        assert each in found
    assert "root:" not in found


def test_a_hundred_sessions_take_pages_with_heads_and_numbers(session: Session) -> None:
    evse, alex = make_evse(session), make.user(session)
    for number in range(100):
        paid(session, evse, alex, "1.00", at=OCTOBER + timedelta(hours=2 * number))
    [receipt] = tend(session)
    assert receipt.file_id is not None
    pages = PdfReader(io.BytesIO(file_bytes(session, file_id=receipt.file_id))).pages
    assert len(pages) > 2
    for number, page in enumerate(pages, start=1):
        words = " ".join(page.extract_text().split())
        assert f"Page {number} / {len(pages)}" in words
        assert "R-2026-000001" in words
        assert (float(page.mediabox.width), float(page.mediabox.height)) == pytest.approx((595.3, 841.9), abs=0.1)
    assert "Energy Duration Amount" in " ".join(pages[1].extract_text().split()), "the table's head is repeated"


def test_only_our_fonts_are_used_and_they_have_every_letter_of_every_language() -> None:
    assert typesetting.fonts().families() == ["Noto Sans"]
    for file in typesetting.FONTS.glob("*.ttf"):
        font = ImageFont.truetype(file, 20)
        none = bytes(font.getmask("\N{CJK UNIFIED IDEOGRAPH-4E2D}"))  # which it has not: the picture of no letter
        letters = {char for texts in _WORDS.values() for text in texts for char in text if not char.isspace()}
        assert {char for char in letters if bytes(font.getmask(char)) == none} == set()
    assert sum(file.stat().st_size for file in typesetting.FONTS.iterdir()) < 2_000_000


def test_every_language_has_every_text_and_unknown_ones_are_english() -> None:
    for name, texts in _WORDS.items():
        assert len(texts) == len(_ORDER), name
        assert all(texts), name
        assert len({text.count("{") for text in texts}) == 1, name
    assert set(LANGUAGES) - set(_ORDER) == {"zh-Hant"}
    assert [language_of(each) for each in ("de-AT", "pt_BR", "zh-Hant", "xx", "")] == ["de", "pt", "en", "en", "en"]
    assert word("receipt", "de-CH") == "Quittung"


@pytest.mark.parametrize(
    ("language", "currency", "exponent", "amount", "written"),
    [
        ("en", "EUR", 2, "1234.5", "€1,234.50"),
        ("bg", "EUR", 2, "12345.5", "12 345,50 €"),
        ("de", "EUR", 2, "1234.5", "1.234,50 €"),
        ("en", "JPY", 0, "1234", "JP¥1,234"),
        ("en", "BHD", 3, "1.234", "BHD1.234"),
    ],
)
def test_amounts_have_the_currencys_decimals(
    language: str, currency: str, exponent: int, amount: str, written: str
) -> None:
    found = Format(language, "UTC", currency, exponent).money(Decimal(amount))
    assert found.replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", " ") == written


def test_a_pdf_made_by_two_at_once_is_kept_and_mailed_once(app: Flask, session: Session) -> None:
    alex = make.user(session)
    paid(session, make_evse(session), alex)
    issuing.issue_due(session, user_id=alex.id, now=NOVEMBER)
    session.commit()
    [receipt_id] = [receipt.id for receipt in receipts(session)]
    together = threading.Barrier(2)

    def slow(document: dict[str, Any]) -> bytes:
        together.wait(10)
        return typesetting.typeset(document)

    def works(_session: Session) -> int | None:
        return files.make_file(separate_transaction, receipt_id=receipt_id, clock=clock(NOVEMBER), typesetter=slow)

    first, second = at_once(app, works, works)
    assert first == second
    assert len(session.scalars(select(StoredFile)).all()) == 1
    assert len(session.scalars(select(Mail)).all()) == 1


def test_a_crash_before_the_pdf_leaves_a_receipt_that_is_found_again(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid(session, make_evse(session), make.user(session))

    def broken(*_arguments: Any, **_more: Any) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr(files, "make_file", broken)
    [receipt] = tend(session)
    assert receipt.file_id is None
    monkeypatch.undo()
    [receipt] = tend(session)
    assert receipt.file_id is not None
    assert receipt.sent_count == 1


# ---------------------------------------------------------------------- mail


def test_the_pdf_arrives_in_the_drivers_language(session: Session, inbox: Inbox) -> None:
    alex = make.user(session, first_name="Александър", last_name="Петков", locale="bg")
    paid(session, make_evse(session), alex)
    change(session, company__name="Синк ООД", company__email="receipts@operator.example")
    [receipt] = tend(session)
    assert receipt.sent_count == 1
    assert mail_delivery.send_due(separate_transaction, clock=clock(NOVEMBER)) == 1
    [(_, recipients, message)] = inbox.kept
    assert recipients == [alex.email]
    assert message["Subject"] == "Разписка R-2026-000001 – Синк ООД"
    body = message.get_body(("plain",))
    assert body is not None
    content = body.get_content()
    assert "Здравейте, Александър Петков," in content
    assert "receipts@operator.example" in content
    [attached] = list(message.iter_attachments())
    assert attached.get_filename() == "R-2026-000001.pdf"
    assert attached.get_content_type() == "application/pdf"
    assert receipt.file_id is not None
    assert attached.get_content() == file_bytes(session, file_id=receipt.file_id)


def test_nothing_is_mailed_when_settings_say_so_or_the_period_is_long_ago(session: Session) -> None:
    evse = make_evse(session)
    paid(session, evse, make.user(session), at=OCTOBER - timedelta(days=200))
    tend(session)
    change(session, receipt__send_by_email="false")
    paid(session, evse, make.user(session, "maria@example.com"))
    assert [receipt.sent_count for receipt in tend(session)] == [0, 0]
    assert session.scalars(select(Mail)).all() == []


def test_sending_again_is_an_action_and_goes_to_todays_address(session: Session) -> None:
    alex, olga = make.user(session), make.admin(session)
    paid(session, make_evse(session), alex)
    [receipt] = tend(session)
    alex.email = "new@example.com"
    session.commit()
    mails.send_again(session, receipt=receipt, reason="Lost it", actor=olga, now=NOVEMBER)
    session.commit()
    found = session.scalars(select(Mail).order_by(Mail.id)).all()
    assert [mail.recipient for mail in found] == ["alex.petkov@example.com", "new@example.com"]
    assert {mail.attachment_id for mail in found} == {receipt.file_id}
    assert receipts(session)[0].sent_count == 2
    action = session.scalars(select(Action)).one()
    assert (action.name, action.target_label, action.reason) == ("Send receipt", "R-2026-000001", "Lost it")


def test_what_has_no_pdf_yet_is_not_sent(session: Session) -> None:
    alex, olga = make.user(session), make.admin(session)
    paid(session, make_evse(session), alex)
    [receipt] = issuing.issue_due(session, user_id=alex.id, now=NOVEMBER)
    with pytest.raises(mails.NoFileYet):
        mails.send_again(session, receipt=receipt, reason="now", actor=olga, now=NOVEMBER)
    session.rollback()


# ---------------------------------------------------------------------- now, and the audit


def test_issue_now_takes_everything_paid_so_far_once(session: Session) -> None:
    evse, alex, olga = make_evse(session), make.user(session), make.admin(session)
    paid(session, evse, alex, at=OCTOBER - timedelta(days=40))
    paid(session, evse, alex, at=OCTOBER)
    now = OCTOBER + timedelta(hours=1)
    [receipt] = issuing.issue_now(session, user=alex, reason="Leaves the country", actor=olga, now=now)
    session.commit()
    assert len(receipts(session)[0].lines) == 2
    assert (receipt.period_from, receipt.period_to) == (date(2026, 8, 26), date(2026, 10, 5))
    assert session.scalars(select(Action.name)).all() == ["Issue receipt"]
    with pytest.raises(issuing.NothingToIssue, match="Alex Petkov has paid nothing"):
        issuing.issue_now(session, user=alex, reason="again", actor=olga, now=now)
    assert len(tend(session)) == 1


DAMAGES = [
    ("UPDATE receipt SET total_gross = total_gross + 1, total_net = total_net + 1", "its lines add up to 12 = 10 + 2"),
    ("UPDATE charging_session SET total_gross = 13, total_net = 11", "but version 1 of its price is 13 EUR"),
    ("UPDATE receipt SET number = 9", "has no number between 0 and the one after 8"),
    ("UPDATE receipt_counter SET last_number = 5", "counts up to 5, but its last receipt has number 1"),
    ("UPDATE charging_session SET payment_status = 'outstanding'", "which is outstanding"),
    ("DELETE FROM receipt_line", "its lines add up to 0 = 0 + 0"),
]


@pytest.mark.parametrize(("damage", "sentence"), DAMAGES)
def test_differences_are_told(session: Session, cleaner: Any, damage: str, sentence: str) -> None:
    paid(session, make_evse(session), make.user(session))
    tend(session)
    assert list(receipts_differences(session)) == []
    session.rollback()
    cleaner.execute(damage)
    assert any(sentence in each for each in receipts_differences(session)), list(receipts_differences(session))


def test_a_receipt_has_lines(session: Session) -> None:
    alex = make.user(session)
    with pytest.raises(ValueError, match="at least one line"):
        issue(session, user=alex, currency="EUR", period=(date(2026, 1, 1), date(2026, 1, 31)), lines=[], now=NOVEMBER)
    assert last_day(date(2028, 2, 1)) == date(2028, 2, 29)


def test_the_document_says_nothing_that_is_not_on_the_receipt(session: Session) -> None:
    """No raw enum, no None, no e-mail address where there is a name."""
    paid(session, make_evse(session), make.user(session))
    [receipt] = tend(session)
    document = document_of(session, receipt)
    assert document["driver"] == ["Alex Petkov"]
    assert document["corrects"] == ""
    assert "None" not in repr({key: value for key, value in document.items() if key != "words"})
    assert session.get_one(User, receipt.user_id).email == receipt.recipient
