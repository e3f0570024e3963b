"""VAT rates and currencies: what a change drags along, and when one cannot go. Manual, "VAT", "Base Currency"."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core import settings
from app.core.models import Admin, CurrencyRow, VatRate
from app.core.references import listed, referring

BASE_VAT = "system.vat"
BASE_CURRENCY = "system.currency"


class VatInUse(ValueError):
    """It is the base VAT."""


class CurrencyInUse(ValueError):
    """It is the base currency, or amounts are recorded in it."""


class ExponentFixed(ValueError):
    """Amounts are recorded with as many decimals as the currency has."""


class MissingRate(LookupError):
    """The base currency or base VAT that the settings name does not exist."""


def price_terms(session: Session) -> tuple[CurrencyRow, Decimal]:
    """The base currency and the base VAT in percent, that new prices are made of. Raises MissingRate."""
    currency = session.get(CurrencyRow, settings.get_text(session, BASE_CURRENCY))
    vat = session.scalars(select(VatRate).where(VatRate.name == settings.get_text(session, BASE_VAT))).one_or_none()
    if currency is None or vat is None:
        raise MissingRate("the base currency or base VAT of the settings does not exist")
    return currency, vat.percent


def base_currency(session: Session) -> CurrencyRow:
    """The currency of tariffs and balances. One that has gone missing is shown by its code, with two decimals."""
    code = settings.get_text(session, BASE_CURRENCY)
    return session.get(CurrencyRow, code) or CurrencyRow(code=code, name=code, symbol=code, exponent=2)


def follow_vat_name(session: Session, *, before: str, rate: VatRate, actor: Admin | None) -> None:
    """When the base VAT gets another name, Settings > Base VAT gets it too; flushes."""
    if before != rate.name and settings.get_text(session, BASE_VAT) == before:
        settings.change_setting(session, key=BASE_VAT, value=rate.name, actor=actor)


def require_vat_free(session: Session, *, rate: VatRate) -> None:
    """Raise VatInUse unless the rate may be deleted."""
    if settings.get_text(session, BASE_VAT) == rate.name:
        raise VatInUse(f"{rate.name} is the base VAT; choose another one in CONFIGURATION > Settings first.")


def require_currency_free(session: Session, *, currency: CurrencyRow) -> None:
    """Raise CurrencyInUse unless the currency may be deleted."""
    if settings.get_text(session, BASE_CURRENCY) == currency.code:
        raise CurrencyInUse(
            f"{currency.code} is the base currency; choose another one in CONFIGURATION > Settings first."
        )
    users = referring(session, currency)
    if users:
        raise CurrencyInUse(f"{currency.code} cannot be deleted, because {listed(users)} are recorded in it.")


def require_exponent_free(session: Session, *, currency: CurrencyRow, before: int) -> None:
    """Raise ExponentFixed if the number of decimals changes although amounts are recorded in the currency."""
    if currency.exponent == before:
        return
    users = referring(session, currency)
    if users:
        raise ExponentFixed(
            f"{currency.code} keeps its {before} decimals, because {listed(users)} are recorded with them."
        )


def vat_names(session: Session) -> list[str]:
    """The names of the VAT rates, in order."""
    return list(session.scalars(select(VatRate.name).order_by(VatRate.name)))


def currencies(session: Session) -> list[CurrencyRow]:
    """All currencies, by code."""
    return list(session.scalars(select(CurrencyRow).order_by(CurrencyRow.code)))
