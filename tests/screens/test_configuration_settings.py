"""CONFIGURATION > Settings, VAT, Currencies. Manual, "Settings", "VAT", "Base Currency"."""

from __future__ import annotations

import csv
import html
import io
import re
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core import rates, settings, vault
from app.core.models import AuditEntry, CurrencyRow, Setting, VatRate
from app.core.settings import DEFINITIONS, Kind
from tests.support import factories_crm as make
from tests.support.factories_crm import Visitor

PAGE = "/configuration/settings/"
VAT = "/configuration/vat/"
CURRENCIES = "/configuration/currencies/"


@pytest.fixture
def olga(clean: Flask, session: Session) -> Visitor:
    """A Super User, signed in."""
    somebody = make.admin(session)
    session.commit()
    return make.signed_in(clean, somebody)


def drawn(page: str) -> dict[str, Any]:
    """What a browser would post from the settings form as it is drawn."""
    form = page[page.index("data-guard") :]
    found: dict[str, Any] = {}
    for tag in re.findall(r"<input[^>]*>", form):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r' value="([^"]*)"', tag)
        if name and (('type="checkbox"' not in tag and 'type="radio"' not in tag) or " checked" in tag):
            key = html.unescape(name[1])
            text: Any = html.unescape(value[1]) if value else ""
            found[key] = (
                [*(found[key] if isinstance(found[key], list) else [found[key]]), text] if key in found else text
            )
    for attributes, options in re.findall(r"<select([^>]*)>(.*?)</select>", form, re.S):
        name = re.search(r'name="([^"]*)"', attributes)
        chosen = re.search(r'<option value="([^"]*)" selected', options)
        if name and chosen:
            found[name[1]] = html.unescape(chosen[1])
    return found


def value(session: Session, key: str) -> object:
    """The setting as it is in force for another process."""
    session.rollback()
    settings.forget()
    return settings.get(session, key)


# --- settings -------------------------------------------------------------------------------------------------


def test_every_setting_has_a_typed_field_with_help_and_unit(olga: Visitor) -> None:
    page = olga.get(PAGE).get_data(as_text=True)
    fields = drawn(page)
    own_page = [definition for definition in DEFINITIONS if definition.group == "Company details"]
    assert own_page and not [each.key for each in own_page if f'name="{each.key}"' in page]
    on_page = [definition for definition in DEFINITIONS if definition not in own_page]
    for definition in on_page:
        assert html.escape(definition.help, quote=False)[:30] in html.unescape(
            page
        ) or definition.help in html.unescape(page)
        assert f'name="{definition.key}"' in page, definition.key
        assert f"was:{definition.key}" in fields
        if definition.unit:
            assert f'<span class="input-group-text">{definition.unit}</span>' in page
    titles = re.findall(r'<h2 class="card-title" id="[^"]*">([^<]*)</h2>', html.unescape(page))
    assert titles == [name for name in settings.groups() if name != "Company details"]
    kinds_of_choice = [definition for definition in on_page if definition.kind is Kind.CHOICE]
    # Stripe (as processor and for testing) and Twilio are on offer once they are set up: test_integrations
    chosen = sum(len(definition.choices) for definition in kinds_of_choice) - 3
    assert page.count('type="radio"') == chosen
    kinds = [definition.kind for definition in on_page]
    assert page.count("form-switch") == kinds.count(Kind.BOOLEAN)


def test_only_what_was_changed_is_saved_and_audited(olga: Visitor, session: Session) -> None:
    fields = drawn(olga.get(PAGE).get_data(as_text=True))
    fields |= {"session.fail_starting_after_seconds": "90", "billing.strategy": "preauthorize"}
    fields.pop("session.allow_concurrent")
    answer = olga.send(PAGE, fields)
    assert answer.status_code == 303
    said = olga.get(PAGE).get_data(as_text=True)
    assert "Saved: “Fail starting after”, “Several sessions at once”, “Billing strategy”." in said
    assert value(session, "session.fail_starting_after_seconds") == 90
    assert value(session, "session.allow_concurrent") is False
    assert value(session, "billing.strategy") == "preauthorize"
    assert len(session.scalars(select(Setting)).all()) == 3
    entries = session.scalars(select(AuditEntry).where(AuditEntry.object_type == "setting")).all()
    assert {(entry.object_id, str(entry.before["value"]), str(entry.after["value"])) for entry in entries} == {
        ("session.fail_starting_after_seconds", "60", "90"),
        ("session.allow_concurrent", "True", "False"),
        ("billing.strategy", "none", "preauthorize"),
    }
    assert "Default: 60 seconds." in said
    nothing = olga.send(PAGE, drawn(said))
    assert nothing.status_code == 303
    assert "Nothing was changed." in olga.get(PAGE).get_data(as_text=True)


def test_amounts_addresses_and_empty_values_are_typed(olga: Visitor, session: Session) -> None:
    fields = drawn(olga.get(PAGE).get_data(as_text=True))
    fields |= {
        "billing.minimum_balance_to_start": "5.50",
        "notification.fault_emails": "a@example.com, b@example.com",
        "map.tile_url": "https://tiles.example/{z}/{x}/{y}.png",
    }
    assert olga.send(PAGE, fields).status_code == 303
    assert value(session, "billing.minimum_balance_to_start") == Decimal("5.50")
    assert value(session, "notification.fault_emails") == ["a@example.com", "b@example.com"]
    fields = drawn(olga.get(PAGE).get_data(as_text=True))
    assert fields["notification.fault_emails"] == "a@example.com, b@example.com"
    assert olga.send(PAGE, {**fields, "billing.minimum_balance_to_start": ""}).status_code == 303
    assert value(session, "billing.minimum_balance_to_start") is None


@pytest.mark.parametrize(
    "key, wrong, message",
    [
        ("session.fail_starting_after_seconds", "5", "At least 10 is expected."),
        ("session.fail_starting_after_seconds", "soon", "A whole number is expected."),
        ("session.fail_starting_after_seconds", "", "A value is required."),
        ("billing.stop_below_balance", "-1", "At least 0 is expected."),
        ("billing.strategy", "gift", "is expected."),
        ("system.timezone", "Mars/Olympus", "A time zone such as Europe/Sofia is expected."),
        ("system.currency", "XXX", "One of the list is expected."),
        ("system.vat", "Nothing", "One of the list is expected."),
        ("notification.fault_emails", "a@example.com, nobody", "is not an e-mail address"),
        ("mail.password", "two\nlines", "One line of at most 500 characters is expected."),
        ("charge_point.configuration_defaults", "A=1\n\nB", "Line 3: key=value is expected."),
        ("charge_point.configuration_defaults", "A B=1", "Line 1: key=value is expected."),
    ],
)
def test_a_wrong_value_is_told_beside_its_field_and_nothing_is_saved(
    olga: Visitor, session: Session, key: str, wrong: str, message: str
) -> None:
    fields = drawn(olga.get(PAGE).get_data(as_text=True))
    answer = olga.send(PAGE, {**fields, key: wrong, "system.company_name": "Other"})
    assert answer.status_code == 422
    page = html.unescape(answer.get_data(as_text=True))
    identifier = "setting-" + re.sub(r"[._]", "-", key)
    told = re.search(f'id="{identifier}-error">([^<]+)<', page)
    assert told
    assert message in told[1]
    assert "Nothing was saved: 1 setting needs your attention." in page
    assert 'value="Other"' in page
    assert value(session, "system.company_name") == "SYNC EV.CHARGE"
    assert session.scalars(select(Setting)).all() == []


def test_two_admins_on_the_page_do_not_undo_each_other(olga: Visitor, session: Session) -> None:
    mine = drawn(olga.get(PAGE).get_data(as_text=True))
    settings.change_setting(session, key="session.fail_starting_after_seconds", value=99, actor=None)
    session.commit()
    settings.forget()
    assert olga.send(PAGE, {**mine, "system.company_name": "Mine"}).status_code == 303
    assert value(session, "session.fail_starting_after_seconds") == 99
    assert value(session, "system.company_name") == "Mine"


def test_the_history_says_who_changed_what(olga: Visitor, session: Session) -> None:
    assert "No setting was changed yet." in olga.htmx(f"{PAGE}history/").get_data(as_text=True)
    olga.get(PAGE)
    fields = drawn(olga.get(PAGE).get_data(as_text=True))
    olga.send(PAGE, {**fields, "session.finish_after_inactivity_minutes": "60", "billing.strategy": "preauthorize"})
    part = olga.htmx(f"{PAGE}history/").get_data(as_text=True)
    text = re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", part)))
    assert "Finish after inactivity 120 minutes 60 minutes Olga Operator <olga@operator.example>" in text
    assert "authorize certain amount before starting session" in text


def test_a_secret_is_stored_locked_and_shown_nowhere(olga: Visitor, session: Session) -> None:
    fields = drawn(olga.get(PAGE).get_data(as_text=True))
    assert olga.send(PAGE, {**fields, "mail.password": " s3cret! "}).status_code == 303
    session.rollback()
    settings.forget()
    stored = session.get_one(Setting, "mail.password").value
    assert "s3cret" not in stored
    assert settings.get_secret(session, "mail.password") == " s3cret! "
    shown = olga.get(PAGE).get_data(as_text=True) + olga.htmx(f"{PAGE}history/").get_data(as_text=True)
    assert "s3cret" not in shown
    assert stored not in shown
    assert "Set; leave empty to keep it" in shown
    entry = session.scalars(select(AuditEntry).where(AuditEntry.object_id == "mail.password")).one()
    assert (entry.before, entry.after) == ({"value": "not set"}, {"value": "changed"})
    # an empty field keeps it, the box removes it
    fields = drawn(olga.get(PAGE).get_data(as_text=True))
    olga.send(PAGE, {**fields, "system.company_name": "Other"})
    assert settings.get_secret(session, "mail.password") == " s3cret! "
    both = olga.send(PAGE, {**fields, "remove:mail.password": "true", "mail.password": "new-one"})
    assert both.status_code == 422
    assert "new-one" not in both.get_data(as_text=True)
    assert olga.send(PAGE, {**fields, "remove:mail.password": "true"}).status_code == 303
    session.rollback()
    settings.forget()
    assert not settings.has_secret(session, "mail.password")


def test_a_secret_of_another_secret_key_says_that_it_must_be_entered_again(olga: Visitor, session: Session) -> None:
    session.add(Setting(key="mail.password", value=vault.lock("old", "another key")))
    session.commit()
    settings.forget()
    assert "stored under another SECRET_KEY" in olga.get(PAGE).get_data(as_text=True)
    with pytest.raises(vault.VaultLocked):
        settings.get_secret(session, "mail.password")
    settings.change_setting(session, key="mail.password", value="new", actor=None)
    assert settings.get_secret(session, "mail.password") == "new"
    assert not settings.change_setting(session, key="mail.password", value="new", actor=None)


def test_lines_are_kept_one_by_one_and_a_browser_changes_nothing_by_drawing_them(
    olga: Visitor, session: Session
) -> None:
    key = "charge_point.configuration_defaults"
    fields = drawn(olga.get(PAGE).get_data(as_text=True))
    wanted = "ClockAlignedDataInterval = 900\r\n\r\nStopTxnSampledData=Energy.Active.Import.Register\r\n"
    assert olga.send(PAGE, {**fields, key: wanted}).status_code == 303
    kept = "ClockAlignedDataInterval=900\nStopTxnSampledData=Energy.Active.Import.Register"
    assert value(session, key) == kept
    page = olga.get(PAGE).get_data(as_text=True)
    assert f">\n{kept}</textarea>" in page
    again = {**drawn(page), key: kept.replace("\n", "\r\n"), f"was:{key}": kept.replace("\n", "\r\n")}
    olga.send(PAGE, again)
    assert "Nothing was changed." in olga.get(PAGE).get_data(as_text=True)


def test_who_may_only_look_cannot_save(clean: Flask, session: Session) -> None:
    reader = make.admin(session, "Rita Reader", "Readers", permissions=["configuration.setting.view"])
    stranger = make.admin(session, "Anna Analyst", "Analyst")
    session.commit()
    rita = make.signed_in(clean, reader)
    page = rita.get(PAGE).get_data(as_text=True)
    assert ">Save</button>" not in page
    assert page.count("disabled") > len(DEFINITIONS)
    assert rita.post(PAGE, data={"was:system.company_name": "", "system.company_name": "x"}).status_code == 403
    assert make.signed_in(clean, stranger).get(PAGE).status_code == 403


# --- VAT ------------------------------------------------------------------------------------------------------


def test_vat_rates_are_made_renamed_and_deleted(olga: Visitor, session: Session) -> None:
    assert olga.send(f"{VAT}new/", {"name": "Reduced", "percent": "5,5"}).status_code == 302
    reduced = session.scalars(select(VatRate).where(VatRate.name == "Reduced")).one()
    assert reduced.percent == Decimal("5.5")
    page = olga.get(VAT).get_data(as_text=True)
    assert "5.5%" in page
    assert re.search(r"Standard.*?20%.*?Base", page, re.S)
    for wrong in ({"name": "Reduced", "percent": "6"}, {"name": "X", "percent": "100"}, {"name": "X", "percent": "-1"}):
        assert olga.send(f"{VAT}new/", wrong).status_code == 422
    assert olga.send(f"{VAT}delete/", {"id": str(reduced.id)}).location == VAT


def test_the_base_vat_keeps_its_role_under_another_name_and_cannot_go(olga: Visitor, session: Session) -> None:
    made = VatRate(name="Base", percent=Decimal(20))
    session.add(made)
    session.flush()
    settings.change_setting(session, key="system.vat", value="Base", actor=None)
    session.commit()
    settings.forget()
    fields = {"name": "Regular", "percent": "21", "_version": "1"}
    assert olga.send(f"{VAT}edit/?id={made.id}", fields).status_code == 302
    assert value(session, "system.vat") == "Regular"
    kept = olga.send(f"{VAT}delete/", {"id": str(made.id)})
    assert "Regular is the base VAT" in olga.get(kept.location).get_data(as_text=True)


# --- currencies -----------------------------------------------------------------------------------------------


@pytest.fixture
def zloty(session: Session) -> object:
    """A currency of the test's own, which is taken away again: the tests keep those every system has."""
    session.add(CurrencyRow(code="PLN", name="Polish zloty", symbol="zł", exponent=2))
    session.commit()
    yield
    session.rollback()
    session.expire_all()
    for code in ("PLN", "CHF"):
        found = session.get(CurrencyRow, code)
        if found is not None:
            from app.billing.models import BalanceAccount, LedgerEntry

            for account in session.scalars(select(BalanceAccount).where(BalanceAccount.currency == code)):
                assert session.scalars(select(LedgerEntry).where(LedgerEntry.account_id == account.id)).all() == []
                session.delete(account)
            session.delete(found)
    session.commit()


def test_currencies_are_made_and_edited(olga: Visitor, session: Session, zloty: object) -> None:
    fields = {"code": "chf", "name": "Swiss franc", "symbol": "CHF", "exponent": "2"}
    assert olga.send(f"{CURRENCIES}new/", fields).status_code == 302
    assert session.get_one(CurrencyRow, "CHF").symbol == "CHF"
    for wrong in ({"code": "EURO"}, {"code": "E1"}, {"code": "CHF"}, {"code": "XAU", "exponent": "4"}):
        assert olga.send(f"{CURRENCIES}new/", {**fields, **wrong}).status_code == 422
    page = olga.get(f"{CURRENCIES}edit/?id=CHF").get_data(as_text=True)
    assert 'name="code"' not in page
    change = {"name": "Franken", "symbol": "Fr.", "exponent": "2", "_version": "1"}
    assert olga.send(f"{CURRENCIES}edit/?id=CHF", change).status_code == 302
    assert olga.send(f"{CURRENCIES}delete/", {"id": "CHF"}).location == CURRENCIES
    rows = list(csv.DictReader(io.StringIO(olga.get(f"{CURRENCIES}export/csv/").get_data(as_text=True))))
    assert {"code": "PLN", "name": "Polish zloty", "symbol": "zł", "exponent": "2"} in rows
    assert olga.get(f"{CURRENCIES}details/?id=QQQ").status_code == 404


def test_a_used_currency_stays_with_its_decimals(olga: Visitor, session: Session, zloty: object) -> None:
    from app.billing.models import BalanceAccount

    session.add(BalanceAccount(user_id=make.user(session).id, currency="PLN"))
    session.commit()
    kept = olga.send(f"{CURRENCIES}delete/", {"id": "PLN"})
    assert "PLN cannot be deleted, because balance entries are recorded in it." in olga.get(kept.location).get_data(
        as_text=True
    )
    change = {"name": "Polish zloty", "symbol": "zł", "exponent": "0", "_version": "1"}
    answer = olga.send(f"{CURRENCIES}edit/?id=PLN", change)
    assert answer.status_code == 422
    assert "PLN keeps its 2 decimals" in answer.get_data(as_text=True)
    session.rollback()
    session.expire_all()
    assert session.get_one(CurrencyRow, "PLN").exponent == 2


def test_the_base_currency_cannot_go(olga: Visitor, session: Session) -> None:
    kept = olga.send(f"{CURRENCIES}delete/", {"id": "EUR"})
    assert "EUR is the base currency" in olga.get(kept.location).get_data(as_text=True)
    with pytest.raises(rates.CurrencyInUse):
        rates.require_currency_free(session, currency=session.get_one(CurrencyRow, "EUR"))


def test_rates_follow_their_permissions(clean: Flask, session: Session) -> None:
    reader = make.admin(
        session, "Rita Reader", "Readers", permissions=["configuration.vat.view", "configuration.currency.view"]
    )
    session.commit()
    rita = make.signed_in(clean, reader)
    for address in (VAT, CURRENCIES):
        assert [rita.get(f"{address}{path}").status_code for path in ("", "new/", "export/csv/")] == [200, 403, 403]
