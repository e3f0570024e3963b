"""The tariff of a session: chosen when its driver is known, and kept as it was then for ever.

product.md, "Which tariff".
"""

from __future__ import annotations

from decimal import Decimal

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, ChargingZone, Evse, Location
from app.charging.driver_tariff import tariff_for
from app.charging.flags import NO_TARIFF, add_flag
from app.charging.models import ChargingSession
from app.charging.stop_agreement import agreed_rules
from app.core import rates, settings
from app.core.models import CurrencyRow
from app.crm.models import User
from app.tariffs import queries as tariff_queries
from app.tariffs.pricing import InvalidTariffSnapshot, TariffSnapshot, snapshot_to_json
from app.tariffs.selection import InvalidTariffGroup, NoTariff, explanation_to_json
from app.tariffs.snapshots import snapshot_of

log = structlog.get_logger(__name__)


def give_tariff(session: Session, row: ChargingSession, remote: ChargingSession | None) -> bool:
    """Choose the driver's tariff and keep it as a snapshot; False when there is none that could be.

    A start by the token of an operator's session gets the tariff the operator chose.
    """
    if remote is not None and remote.tariff_snapshot is not None:
        row.tariff_id, row.tariff_name = remote.tariff_id, remote.tariff_name
        row.currency, row.tariff_snapshot = remote.currency, remote.tariff_snapshot
        row.stop_rules = remote.stop_rules
        return True
    try:
        _choose_tariff(session, row)
    except (LookupError, NoTariff, InvalidTariffGroup, InvalidTariffSnapshot) as error:
        log.error("session.no_tariff", evse_id=row.evse_id, error=f"{type(error).__name__}: {error}")
        add_flag(row, NO_TARIFF)
        return False
    return True


def _choose_tariff(session: Session, row: ChargingSession) -> None:
    evse = session.get_one(Evse, row.evse_id)
    user = session.get_one(User, row.user_id)
    chosen, explanation = tariff_for(session, evse=evse, user=user)
    set_tariff(session, row, take_snapshot(session, tariff_id=chosen.tariff_id, evse=evse))
    row.tariff_explanation = explanation_to_json(explanation)


def price_terms(session: Session, evse: Evse) -> tuple[CurrencyRow, Decimal, str]:
    """Base currency, base VAT percent and the location's time zone, for a snapshot.

    Raises rates.MissingRate.
    """
    currency, vat_percent = rates.price_terms(session)
    zone_name = session.scalar(
        select(Location.timezone)
        .join(ChargingZone, ChargingZone.location_id == Location.id)
        .join(ChargePoint, ChargePoint.zone_id == ChargingZone.id)
        .where(ChargePoint.id == evse.charge_point_id)
    )
    return currency, vat_percent, zone_name or settings.get_text(session, "system.timezone")


def take_snapshot(session: Session, *, tariff_id: int, evse: Evse) -> TariffSnapshot:
    """A tariff as it is now, in the base currency and VAT, with the location's time zone. Raises as price_terms."""
    currency, vat_percent, timezone = price_terms(session, evse)
    return snapshot_of(
        tariff_queries.get_tariff(session, tariff_id), currency=currency, vat_percent=vat_percent, timezone=timezone
    )


def set_tariff(session: Session, row: ChargingSession, snapshot: TariffSnapshot) -> None:
    """Give a session the snapshot it is and always will be priced by, and the rules it is stopped by."""
    row.tariff_id = snapshot.tariff_id
    row.tariff_name = snapshot.name
    row.currency = snapshot.currency.code
    row.tariff_snapshot = snapshot_to_json(snapshot)
    row.stop_rules = agreed_rules(session, snapshot)
