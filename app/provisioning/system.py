"""Currency, VAT, time zone and settings of the file."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import select

from app.core import settings
from app.core.models import CurrencyRow, VatRate
from app.core.settings import InvalidSetting, Kind
from app.provisioning.changes import Outcome, Work
from app.provisioning.document import Document, Vat
from app.provisioning.mistakes import at
from app.provisioning.tree import PATH

_SETTINGS = "settings"


def apply_system(work: Work, document: Document) -> None:
    """Bring what holds for the whole system to the file's state."""
    if document.currency is not None:
        _set(work, "currency", "system.currency", document.currency)
    if document.vat is not None:
        _apply_vat(work, document.vat)
    if document.timezone is not None:
        _set(work, "timezone", "system.timezone", document.timezone)
    for key, value in document.settings.items():
        if key != PATH:
            _set(work, at("settings", key), key, value)


def _apply_vat(work: Work, vat: Vat) -> None:
    if vat.percent >= 100 or vat.percent != round(vat.percent, 3):
        work.mistakes.add(at(vat.path, "percent"), "a percentage below 100 with at most three decimals is expected")
        return
    rate = work.session.scalars(select(VatRate).where(VatRate.name == vat.name)).one_or_none()
    if rate is None:
        work.create(VatRate(name=vat.name, percent=vat.percent), {"name": vat.name, "percent": vat.percent})
        work.count("VAT rates", Outcome.CREATED)
    else:
        work.count("VAT rates", work.change(rate, {"percent": Decimal(vat.percent)}))
    _set(work, at(vat.path, "name"), "system.vat", vat.name)


def _set(work: Work, path: str, key: str, value: Any) -> None:
    definition = settings.BY_KEY.get(key)
    if definition is None:
        work.mistakes.add(path, "there is no such setting")
        return
    try:
        parsed = settings.parse(definition, value)
        if definition.kind is Kind.CURRENCY and work.session.get(CurrencyRow, parsed) is None:
            raise InvalidSetting(f'there is no currency "{parsed}"')
        if definition.kind is Kind.VAT and not _vat_exists(work, parsed):
            raise InvalidSetting(f'there is no VAT rate "{parsed}"')
        changed = settings.change_setting(work.session, key=key, value=value, actor=work.actor)
    except InvalidSetting as error:
        work.mistakes.add(path, str(error))
        return
    work.count(_SETTINGS, Outcome.UPDATED if changed else Outcome.UNCHANGED)


def _vat_exists(work: Work, name: str) -> bool:
    return work.session.scalar(select(VatRate.id).where(VatRate.name == name)) is not None
