"""Vouchers: codes, bulk, redeemed once, expired, cancelled; what operators add to a balance. Manual, "Vouchers"."""

from __future__ import annotations

import re
import threading
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.billing import codes, ledger, vouchers
from app.billing.models import LedgerEntry, LedgerEntryType, Voucher, VoucherStatus, VoucherType
from app.core import settings
from app.core.actions import ReasonRequired
from app.core.db import db
from app.core.models import Action, Admin
from app.crm.models import User
from tests.support import factories_crm as make

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


@pytest.fixture
def driver(session: Session) -> User:
    user = make.user(session)
    session.commit()
    return user


@pytest.fixture
def olga(session: Session) -> Admin:
    return make.admin(session)


def made(session: Session, quantity: int = 1, amount: str = "12", **more: object) -> list[Voucher]:
    values = {"redeem_before": None, "description": None, "actor": None, "now": NOW, **more}
    ids = vouchers.create_vouchers(session, quantity=quantity, amount=Decimal(amount), **values)
    session.commit()
    return list(session.scalars(select(Voucher).where(Voucher.id.in_(ids)).order_by(Voucher.id)))


def test_codes_are_six_unambiguous_characters() -> None:
    drawn = {codes.draw_code() for _ in range(2_000)}
    assert len(drawn) > 1_990
    assert all(re.fullmatch(r"[2-9A-HJ-NP-Z]{6}", code) for code in drawn)


def test_ten_thousand_at_once_in_a_second_or_two(session: Session, olga: Admin) -> None:
    started = time.monotonic()
    ids = vouchers.create_vouchers(
        session,
        quantity=10_000,
        amount=Decimal("12.5"),
        redeem_before=date(2027, 2, 19),
        description=" Fair ",
        actor=olga,
        now=NOW,
    )
    session.commit()
    assert time.monotonic() - started < 5
    assert len(set(ids)) == 10_000
    assert session.scalar(select(func.count(Voucher.code.distinct()))) == 10_000
    one = session.get_one(Voucher, ids[-1])
    assert (one.type, one.status, one.amount, one.currency) == (
        VoucherType.VOUCHER, VoucherStatus.ACTIVE, Decimal("12.5"), "EUR",
    )  # fmt: skip
    assert (one.description, one.created_by, one.created_by_id) == ("Fair", "Olga Operator", olga.id)
    assert (one.redeem_before, one.redeemed_at, one.user_id) == (date(2027, 2, 19), None, None)


def test_a_code_that_is_taken_is_drawn_again(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter(["AAAAAA", "AAAAAA", "BBBBBB", "AAAAAA", "BBBBBB", "CCCCCC", "DDDDDD"])
    monkeypatch.setattr(codes, "draw_code", lambda: next(drawn))
    assert made(session)[0].code == "AAAAAA"
    assert made(session)[0].code == "BBBBBB"
    assert [voucher.code for voucher in made(session, 2)] == ["CCCCCC", "DDDDDD"]


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"quantity": 0}, vouchers.InvalidQuantity),
        ({"quantity": 10_001}, vouchers.InvalidQuantity),
        ({"amount": "0"}, ledger.InvalidLedgerAmount),
        ({"amount": "1.005"}, ledger.InvalidLedgerAmount),
        ({"redeem_before": date(2026, 11, 21)}, vouchers.RedeemBeforePassed),
    ],
)
def test_what_makes_no_sense_is_refused(session: Session, values: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        made(session, **values)
    assert session.scalar(select(func.count()).select_from(Voucher)) == 0


def test_redeeming_credits_the_balance_and_says_who(session: Session, driver: User) -> None:
    voucher = made(session)[0]
    typed = f" {voucher.code[:3].lower()} {voucher.code[3:].lower()} "
    entry = vouchers.redeem(session, code=typed, user=driver, now=NOW)
    session.commit()
    assert (entry.type, entry.credit, entry.balance_after) == (LedgerEntryType.VOUCHER, 12, 12)
    assert entry.voucher_id == voucher.id
    assert (voucher.status, voucher.redeemed_at, voucher.user_id) == (VoucherStatus.ACTIVE, NOW, driver.id)


def test_each_reason_why_not_is_told(session: Session, driver: User, olga: Admin) -> None:
    taken, gone, late, foreign, waiting = made(session, 5)
    vouchers.redeem(session, code=taken.code, user=driver, now=NOW)
    vouchers.cancel(session, voucher=gone, reason="misprint", actor=olga, now=NOW)
    late.redeem_before, foreign.currency = date(2026, 11, 21), "GBP"
    waiting.type, waiting.status, waiting.user_id = VoucherType.TOP_UP, VoucherStatus.PENDING, driver.id
    session.commit()
    for code, error, words in (
        ("ZZZZZZ", vouchers.UnknownCode, "no voucher with the code ZZZZZZ"),
        ("  ", vouchers.UnknownCode, "empty"),
        (taken.code, vouchers.VoucherAlreadyRedeemed, "redeemed already"),
        (gone.code, vouchers.VoucherCancelled, "was cancelled"),
        (late.code, vouchers.VoucherExpired, "expired on 2026-11-21"),
        (foreign.code, vouchers.VoucherInOtherCurrency, "in GBP, balances are in EUR"),
        (waiting.code, vouchers.VoucherNotPaid, "has not come through"),
    ):
        with pytest.raises(error, match=words):
            vouchers.redeem(session, code=code, user=driver, now=NOW)
    assert ledger.balance(session, user_id=driver.id, currency="EUR") == 12


def test_the_last_day_ends_at_midnight_of_the_systems_zone(session: Session, driver: User) -> None:
    settings.change_setting(session, key="system.timezone", value="Europe/Sofia", actor=None)
    first, second = made(session, 2, redeem_before=date(2026, 11, 22))
    last_moment = datetime(2026, 11, 22, 21, 59, 59, tzinfo=UTC)  # 23:59:59 in Sofia
    assert vouchers.expire(session, now=last_moment) == 0
    assert vouchers.redeem(session, code=first.code, user=driver, now=last_moment)
    with pytest.raises(vouchers.VoucherExpired):
        vouchers.redeem(session, code=second.code, user=driver, now=last_moment + timedelta(seconds=1))
    assert vouchers.expire(session, now=last_moment + timedelta(seconds=1)) == 1
    session.commit()
    session.expire_all()
    assert (first.status, second.status) == (VoucherStatus.ACTIVE, VoucherStatus.EXPIRED)
    assert vouchers.expire(session, now=last_moment + timedelta(days=9)) == 0


def test_ten_who_redeem_at_once_have_one_winner(session: Session) -> None:
    users = [make.user(session, f"driver{number}@example.com") for number in range(10)]
    voucher = made(session)[0]
    code, start, errors = voucher.code, threading.Barrier(10), []

    def run(user_id: int) -> None:
        with Session(engine) as own:
            user = own.get_one(User, user_id)
            start.wait()
            try:
                vouchers.redeem(own, code=code, user=user, now=NOW)
                own.commit()
            except vouchers.VoucherAlreadyRedeemed as error:
                errors.append(error)

    engine = db.engine
    settings.get_text(session, "system.currency")  # read once, as every process has
    threads = [threading.Thread(target=run, args=(user.id,)) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(errors) == 9
    session.rollback()
    assert session.scalars(select(LedgerEntry.credit)).all() == [12]
    balances = [ledger.balance(session, user_id=user.id, currency="EUR") for user in users]
    assert sorted(balances) == [0] * 9 + [12]


def test_only_an_open_voucher_is_cancelled_and_with_a_reason(session: Session, driver: User, olga: Admin) -> None:
    one, other = made(session, 2)
    with pytest.raises(ReasonRequired):
        vouchers.cancel(session, voucher=one, reason=" ", actor=olga, now=NOW)
    session.rollback()
    action = vouchers.cancel(session, voucher=one, reason="misprint", actor=olga, now=NOW)
    assert (action.name, action.target_label, action.reason) == ("Cancel voucher", one.code, "misprint")
    vouchers.redeem(session, code=other.code, user=driver, now=NOW)
    session.commit()
    for voucher, state in ((one, "cancelled"), (other, "redeemed")):
        with pytest.raises(vouchers.VoucherNotOpen, match=f"{voucher.code} is {state}"):
            vouchers.cancel(session, voucher=voucher, reason="again", actor=olga, now=NOW)


def test_what_an_operator_adds_is_a_voucher_redeemed_at_once(session: Session, driver: User, olga: Admin) -> None:
    entry = ledger.add_balance(
        session, user=driver, amount=Decimal(5), currency="EUR", reason="Station was down", actor=olga, now=NOW
    )
    session.commit()
    voucher = session.scalars(select(Voucher)).one()
    assert (voucher.type.label, voucher.status, voucher.amount) == ("Top up by operator", VoucherStatus.ACTIVE, 5)
    assert (voucher.user_id, voucher.redeemed_at, voucher.created_by) == (driver.id, NOW, "Olga Operator")
    assert (voucher.description, voucher.action_id) == ("Station was down", session.scalars(select(Action.id)).one())
    assert (entry.voucher_id, entry.type) == (voucher.id, LedgerEntryType.OPERATOR_TOP_UP)


def test_a_balance_brought_to_a_target_makes_a_voucher_only_of_what_is_added(session: Session, driver: User) -> None:
    for target in ("50", "50", "20"):
        ledger.bring_balance_to(
            session, user=driver, target=Decimal(target), currency="EUR", reason="file", actor=None, now=NOW
        )
    session.commit()
    assert [(row.amount, row.type) for row in session.scalars(select(Voucher))] == [(50, VoucherType.OPERATOR_TOP_UP)]
    assert ledger.balance(session, user_id=driver.id, currency="EUR") == 20
