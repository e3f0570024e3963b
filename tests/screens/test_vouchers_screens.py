"""Vouchers, top-up packages and a user's balance on screen. Manual, "Top-Up Packages" to "Exporting Voucher Data"."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.billing import auto_top_up, ledger, vouchers
from app.billing.models import (
    AutoTopUp,
    LedgerEntry,
    TopUpPackage,
    Transaction,
    TransactionStatus,
    Voucher,
    VoucherStatus,
    VoucherType,
)
from app.core import settings
from app.core.clock import utcnow
from app.core.models import Action, ActionStatus
from app.crm.models import User
from tests.screens.test_crm_users import cells
from tests.support import factories_crm as make
from tests.support.factories_crm import NOW, Visitor
from tests.support.top_ups import card, package, set_up

VOUCHERS, PACKAGES, USERS = "/tariffs/vouchers/", "/tariffs/top-up-packages/", "/crm/users/"


@pytest.fixture
def olga(clean: Flask, session: Session) -> Visitor:
    """A Super User, signed in."""
    somebody = make.admin(session)
    session.commit()
    return make.signed_in(clean, somebody)


@pytest.fixture
def alex(session: Session) -> User:
    user = make.user(session)
    session.commit()
    return user


def run(client: Visitor, page: str, action: str, data: dict[str, Any]) -> Any:
    """Open the dialog of an action, then apply it."""
    client.get(page)
    client.htmx(f"{page}run/{action}/?rowid={data['rowid']}", target="div#modal-content")
    return client.htmx(f"{page}run/{action}/", "POST", data, target="div#modal-content")


def made(session: Session, quantity: int = 1, **more: Any) -> list[Voucher]:
    values = {"amount": Decimal(12), "redeem_before": None, "description": None, "actor": None, "now": utcnow(), **more}
    ids = vouchers.create_vouchers(session, quantity=quantity, **values)
    session.commit()
    return list(session.scalars(select(Voucher).where(Voucher.id.in_(ids)).order_by(Voucher.id)))


# --- vouchers -------------------------------------------------------------------------------------------------


def test_the_form_is_the_manuals_and_makes_many(olga: Visitor, session: Session) -> None:
    page = olga.get(f"{VOUCHERS}new/").get_data(as_text=True)
    assert "New Voucher" in page
    labels = [text.strip() for text in re.findall(r"<label class=\"col-md[^>]*>([^<]+)", page)]
    assert labels == ["Quantity", "Amount (€)", "Redeem before", "Description"]
    proposed = (utcnow() + timedelta(days=90)).strftime("%Y-%m-")
    assert f'value="{proposed}' in page
    answer = olga.send(
        f"{VOUCHERS}new/", {"quantity": "300", "amount": "12,50", "redeem_before": "2090-02-19", "description": "Fair"}
    )
    assert answer.status_code == 302
    rows = session.scalars(select(Voucher)).all()
    assert len(rows) == 300
    assert {(row.amount, str(row.redeem_before), row.description, row.created_by) for row in rows} == {
        (Decimal("12.5"), "2090-02-19", "Fair", "Olga Operator")
    }
    assert "300 vouchers were created." in olga.get(VOUCHERS).get_data(as_text=True)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("quantity", "10001", "10000"),
        ("quantity", "", "required"),
        ("amount", "0", "An amount above zero is expected"),
        ("amount", "1.005", "has more decimals than EUR"),
        ("amount", "lots", "is-invalid"),
        ("redeem_before", "2020-01-01", "This day is over."),
        ("redeem_before", "soon", "Write it like 2026-11-20."),
    ],
)
def test_mistakes_are_told_at_their_field(olga: Visitor, session: Session, field: str, value: str, words: str) -> None:
    data = {"quantity": "2", "amount": "5", "redeem_before": "", "description": "", field: value}
    answer = olga.send(f"{VOUCHERS}new/", data)
    assert answer.status_code == 422
    assert words in answer.get_data(as_text=True)
    assert session.scalars(select(Voucher)).all() == []


def test_the_list_shows_vouchers_and_all_top_ups(olga: Visitor, session: Session, alex: User) -> None:
    plain = made(session)[0]
    vouchers.redeem(session, code=plain.code, user=alex, now=utcnow())
    ledger.add_balance(
        session, user=alex, amount=Decimal(5), currency="EUR", reason="down", actor=None, now=utcnow()
    )  # fmt: skip
    session.commit()
    page = olga.get(VOUCHERS).get_data(as_text=True)
    headings = re.findall(r'<th scope="col"[^>]*>(?:<a[^>]*>)?([^<]+)', page)
    assert headings == [
        "Code", "Created at", "Type", "Status", "Redeem before", "Redeemed at", "Redeemed by", "Total Amount",
    ]  # fmt: skip
    newest, first = cells(page)
    assert (newest[2], newest[3], newest[4], newest[6], newest[7]) == (
        "Top up by operator", "Active", "—", "Alex Petkov", "€5.00",
    )  # fmt: skip
    assert (first[0], first[2], first[7]) == (plain.code, "Voucher", "€12.00")

    def found(query: str) -> list[str]:
        return [row[2] for row in cells(olga.get(f"{VOUCHERS}?{query}").get_data(as_text=True))]

    assert found("flt0_type_is=operator_top_up") == ["Top up by operator"]
    assert found(f"search={plain.code.lower()}") == ["Voucher"]
    assert found("search=petkov%40example") == ["Top up by operator", "Voucher"]
    assert "No Vouchers match" in olga.get(f"{VOUCHERS}?search=nobody").get_data(as_text=True)
    assert found("flt0_redeemed_by_contains=petkov&flt1_total_amount_at_least=6") == ["Voucher"]
    assert found("flt0_redeemed_at_in=today&flt1_status_is=active&flt2_currency_is=EUR") == [
        "Top up by operator", "Voucher",
    ]  # fmt: skip


def test_the_export_has_the_columns_of_the_page_creator_and_description(
    olga: Visitor, session: Session, alex: User, clean: Flask
) -> None:
    made(session, 2, description="=Fair")
    ledger.add_balance(
        session, user=alex, amount=Decimal(5), currency="EUR", reason="down", actor=None, now=utcnow()
    )  # fmt: skip
    session.commit()
    text = olga.get(f"{VOUCHERS}export/csv/?sort=created_at").get_data(as_text=True)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert text.splitlines()[0] == (
        "id,code,created_at,type,status,redeem_before,redeemed_at,redeemed_by,total_amount,currency,created_by,"
        "description,paid_amount,bonus"
    )
    assert [(row["type"], row["total_amount"], row["description"], row["created_by"]) for row in rows] == [
        ("voucher", "12.00", "'=Fair", ""), ("voucher", "12.00", "'=Fair", ""),
        ("operator_top_up", "5.00", "down", "System"),
    ]  # fmt: skip
    assert rows[2]["redeemed_by"] == alex.email
    from_shell = clean.test_cli_runner().invoke(args=["export", "vouchers"])
    assert from_shell.exit_code == 0, from_shell.output
    assert from_shell.stdout.splitlines()[0] == text.splitlines()[0]
    assert list(csv.DictReader(io.StringIO(from_shell.stdout)))[2]["total_amount"] == "5.00"


def test_a_voucher_is_redeemed_from_its_page_and_from_the_users(olga: Visitor, session: Session, alex: User) -> None:
    first, second = made(session, 2)
    answer = run(
        olga, VOUCHERS, "redeem_for", {"rowid": str(first.id), "user": str(alex.id), "reason": "lost e-mail"}
    )  # fmt: skip
    assert "€12.00 added; the balance of Alex Petkov is now €12.00." in answer.get_data(as_text=True)
    typed = f"{second.code[:3].lower()} {second.code[3:]}"
    data = {"rowid": str(alex.id), "code": typed, "reason": "on the phone"}
    answer = run(olga, USERS, "redeem_voucher", data)
    assert "is now €24.00." in answer.get_data(as_text=True)
    again = run(olga, USERS, "redeem_voucher", data).get_data(as_text=True)
    assert "has been redeemed already." in again
    actions = session.scalars(select(Action)).all()
    assert [(action.name, action.info) for action in actions] == [
        ("Redeem voucher", f"Voucher {first.code}"), ("Redeem voucher", f"Voucher {second.code}"),
    ]  # fmt: skip
    refused = olga.htmx(
        f"{VOUCHERS}run/redeem_for/", "POST", {"rowid": str(first.id), "reason": "x"}, target="div#modal-content"
    )
    assert refused.status_code == 422


def test_selected_vouchers_are_cancelled_and_redeemed_ones_are_not(olga: Visitor, session: Session, alex: User) -> None:
    kept, first, second = made(session, 3)
    vouchers.redeem(session, code=kept.code, user=alex, now=NOW)
    session.commit()
    olga.get(VOUCHERS)
    data = {"rowid": [str(kept.id), str(first.id), str(second.id)], "reason": "misprint"}
    page = olga.htmx(f"{VOUCHERS}run/cancel/", "POST", data, target="div#modal-content").get_data(as_text=True)
    assert f"{kept.code} is redeemed" in page
    session.expire_all()
    assert [row.status for row in (kept, first, second)] == [
        VoucherStatus.ACTIVE, VoucherStatus.CANCELLED, VoucherStatus.CANCELLED,
    ]  # fmt: skip


def test_only_the_description_can_be_changed(olga: Visitor, session: Session) -> None:
    voucher = made(session)[0]
    page = olga.get(f"{VOUCHERS}edit/?id={voucher.id}").get_data(as_text=True)
    assert "Quantity" not in page
    answer = olga.send(
        f"{VOUCHERS}edit/?id={voucher.id}",
        {"description": " For Anna ", "amount": "900", "_version": str(voucher.version)},
    )
    assert answer.status_code == 302
    session.expire_all()
    assert (voucher.description, voucher.amount) == ("For Anna", 12)
    assert olga.send(f"{VOUCHERS}delete/", {"id": str(voucher.id)}).status_code == 403


# --- packages -------------------------------------------------------------------------------------------------


def test_the_manuals_example(olga: Visitor, session: Session) -> None:
    answer = olga.send(f"{PACKAGES}new/", {"price": "50", "bonus": "2", "enabled": "y"})
    assert answer.status_code == 302
    made_now = session.scalars(select(TopUpPackage)).one()
    assert (made_now.price, made_now.bonus, made_now.currency, made_now.enabled) == (50, 2, "EUR", True)
    assert cells(olga.get(PACKAGES).get_data(as_text=True))[0][1:5] == [
        "€50.00", "€2.00", "€50.00 + €2.00 → €52.00", "Yes",
    ]  # fmt: skip
    for price, bonus in (("0", "2"), ("50", "-1"), ("1.005", "0"), ("", "1")):
        wrong = olga.send(f"{PACKAGES}new/", {"price": price, "bonus": bonus})
        assert wrong.status_code == 422, (price, bonus)


def test_arrows_change_the_order(olga: Visitor, session: Session) -> None:
    for price in ("20", "30", "50"):
        package(session, price, "0")
    session.commit()
    page = olga.get(PACKAGES).get_data(as_text=True)
    first, middle, last = re.findall(r"<tr>(.*?)</tr>", page[page.index("<tbody>") :], re.S)
    buttons = [len(re.findall(r'id="move-[^>]*disabled', row)) for row in (first, middle, last)]
    assert buttons == [1, 0, 1]
    address = re.findall(r'hx-post="([^"]+)"', last)[0].replace("&amp;", "&")
    assert olga.send(address, {}).status_code == 303
    assert [row[1] for row in cells(olga.get(PACKAGES).get_data(as_text=True))] == ["€20.00", "€50.00", "€30.00"]


def test_a_package_in_auto_top_up_is_deleted_with_a_warning_but_not_edited(
    olga: Visitor, session: Session, alex: User
) -> None:
    set_up(session, auto_top_up_enabled=True)
    used, free = package(session), package(session, "20", "0")
    auto_top_up.enable(
        session, user=alex, package=used, method=card(session, alex), reason="x", actor=None, now=utcnow()
    )  # fmt: skip
    session.commit()
    page = olga.get(PACKAGES).get_data(as_text=True)
    assert f"edit/?id={free.id}" in page
    assert f"edit/?id={used.id}" not in page
    assert olga.get(f"{PACKAGES}edit/?id={used.id}").status_code == 403
    forced = olga.send(f"{PACKAGES}edit/?id={used.id}", {"price": "1", "bonus": "99", "_version": str(used.version)})
    assert forced.status_code == 403
    question = olga.get(f"{PACKAGES}delete/?id={used.id}").get_data(as_text=True)
    assert "1 user has enabled auto top-up with this package." in question
    assert olga.send(f"{PACKAGES}delete/", {"id": str(used.id)}).status_code == 302
    session.expire_all()
    assert session.get(AutoTopUp, alex.id) is None
    assert session.scalars(select(TopUpPackage.id)).all() == [free.id]


# --- a user's balance -----------------------------------------------------------------------------------------


def test_a_top_up_is_paid_and_its_outcome_shown(olga: Visitor, session: Session, alex: User) -> None:
    bought, method = package(session), card(session, alex)
    session.commit()
    data = {
        "rowid": str(alex.id), "package": str(bought.id), "method": str(method.id), "reason": "on the phone",
        "token": "abc",
    }  # fmt: skip
    page = run(olga, USERS, "top_up", data).get_data(as_text=True)
    assert "Finished" in page
    assert "50 + 2 EUR by TEST **** 1111" in page
    run(olga, USERS, "top_up", data)  # the same form once more
    session.rollback()
    assert ledger.balance(session, user_id=alex.id, currency="EUR") == 52
    assert session.scalars(select(Transaction.status)).all() == [TransactionStatus.SUCCEEDED]
    voucher = session.scalars(select(Voucher)).one()
    details = olga.get(f"{VOUCHERS}details/?id={voucher.id}").get_data(as_text=True)
    for words in ("Top up (manual)", "TEST **** 1111", "Asked", "Answered", "Olga Operator", "€52.00", "€50.00"):
        assert words in details, words


def test_a_declined_top_up_says_why(olga: Visitor, session: Session, alex: User) -> None:
    set_up(session, top_up_packages_enabled=False)
    method = card(session, alex, "decline")
    session.commit()
    data = {"rowid": str(alex.id), "amount": "20", "method": str(method.id), "reason": "x", "token": "abc"}
    page = run(olga, USERS, "top_up", data).get_data(as_text=True)
    assert "Failure" in page
    assert "Declined by the Test processor" in page
    assert session.scalars(select(Voucher.status)).one() is VoucherStatus.FAILED
    wrong = run(olga, USERS, "top_up", {**data, "amount": "0", "token": "d"})
    assert wrong.status_code == 422


def test_auto_top_up_is_switched_on_shown_and_off(olga: Visitor, session: Session, alex: User) -> None:
    page = olga.get(f"{USERS}details/?id={alex.id}").get_data(as_text=True)
    assert "enable_auto_top_up" not in page, "not while the settings do not have it"
    set_up(session, auto_top_up_enabled=True, auto_top_up_below=Decimal(10))
    bought, method = package(session), card(session, alex)
    session.commit()
    settings.forget()
    data = {"rowid": str(alex.id), "package": str(bought.id), "method": str(method.id), "reason": "asked"}
    assert "Finished" in run(olga, USERS, "enable_auto_top_up", data).get_data(as_text=True)
    olga.get(f"{USERS}details/?id={alex.id}")
    tab = olga.htmx(f"{USERS}balance/?id={alex.id}", target="div#ledger").get_data(as_text=True)
    assert "€50.00 + €2.00 → €52.00 by TEST **** 1111, when the balance reaches €10.00." in tab
    order = session.get_one(AutoTopUp, alex.id)
    order.declines, order.last_error, order.paused_until = 1, "Card declined.", utcnow()
    session.commit()
    olga.get(f"{USERS}details/?id={alex.id}")
    tab = olga.htmx(f"{USERS}balance/?id={alex.id}", target="div#ledger").get_data(as_text=True)
    assert "Declined 1 time in a row: Card declined. Tried again after" in tab
    off = {"rowid": str(alex.id), "reason": "no more"}
    assert "Finished" in run(olga, USERS, "disable_auto_top_up", off).get_data(as_text=True)
    session.expire_all()
    assert session.get(AutoTopUp, alex.id) is None
    assert session.scalars(select(Action.status)).all() == [ActionStatus.FINISHED] * 2


def test_the_balance_tab_leads_to_the_voucher(olga: Visitor, session: Session, alex: User) -> None:
    data = {"rowid": str(alex.id), "amount": "5", "reason": "Station was down"}
    run(olga, USERS, "add_balance", data)
    entry = session.scalars(select(LedgerEntry)).one()
    assert entry.voucher is not None
    assert entry.voucher.type is VoucherType.OPERATOR_TOP_UP
    olga.get(f"{USERS}details/?id={alex.id}")
    tab = olga.htmx(f"{USERS}balance/?id={alex.id}", target="div#ledger").get_data(as_text=True)
    headings = re.findall(r'<th scope="col"[^>]*>([^<]+)', tab)
    assert headings == ["Timestamp", "Type", "#", "Credit", "Debit", "Updated balance"]
    row = [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<td.*?>(.*?)</td>", tab, re.S)]
    assert row[1:] == ["Operator top up", entry.voucher.code, "€5.00", "—", "€5.00"]
    assert f'href="{VOUCHERS}details/?id={entry.voucher.id}"' in tab


def test_who_may_not_charge_drivers_cannot(clean: Flask, session: Session, alex: User) -> None:
    somebody = make.admin(session, "Vera Viewer", "Viewer", permissions=["crm.user.view", "tariffs.voucher.view"])
    voucher = made(session)[0]
    session.commit()
    vera = make.signed_in(clean, somebody)
    page = vera.get(f"{USERS}details/?id={alex.id}").get_data(as_text=True)
    assert "redeem_voucher" not in page
    assert "cancel" not in vera.get(f"{VOUCHERS}details/?id={voucher.id}").get_data(as_text=True).lower()
    for address in (
        f"{USERS}run/top_up/?rowid={alex.id}",
        f"{USERS}run/redeem_voucher/?rowid={alex.id}",
        f"{VOUCHERS}run/cancel/?rowid={voucher.id}",
        f"{VOUCHERS}run/redeem_for/?rowid={voucher.id}",
        f"{VOUCHERS}ajax/lookup/?name=user",
        f"{VOUCHERS}new/",
        PACKAGES,
    ):
        assert vera.get(address).status_code == 403, address
