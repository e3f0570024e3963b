"""A house that looks lived in: every kind of record, in the states that draw the most on a page."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from sqlalchemy import update
from sqlalchemy.orm import Session

from app.assets.models import ChargePointState, ConnectionStatus, Evse, ReportedStatus, SystemStatus
from app.billing import ledger
from app.billing.models import LedgerEntryType
from app.charging.lifecycle import SessionStatus
from app.core.clock import utcnow
from app.crm.models import User
from app.tariffs.models import Tariff, TariffPowerLevel, TariffType
from tests.support import factories_assets as make
from tests.support.one_of_each import make_one_of_each

LONG = "Parkhaus Donaudampfschifffahrtsgesellschaft Nordwestzufahrt, Ebene −2"


def furnish(session: Session) -> None:
    """Fill an empty house; commits."""
    make_one_of_each(session)
    zone = make.make_zone(session, make.make_location(session, LONG, city="Llanfairpwllgwyngyll"))
    group = make.make_tariff_group(session, "AC public, with a rather long name")
    busy = make.make_station(session, zone, evses=2, group=group, reported=ReportedStatus.CHARGING, name=LONG[:60])
    make.make_station(
        session, zone, group=group, connection=ConnectionStatus.LONG_TERM_UNAVAILABLE, status=SystemStatus.OUT_OF_ORDER
    )
    make.make_station(session, zone, connection=ConnectionStatus.NEVER_CONNECTED, status=SystemStatus.DISABLED)
    driver = make.make_user(session, "04CAFE", first_name="Maximiliana-Alexandrina", last_name="von Hohenlohe-Öhringen")
    make.tap(session, busy, "04CAFE")
    make.tap(session, busy, "04DEADBEEF")
    make_sessions(session, busy.evses[0], busy.evses[1], driver)
    make_tariffs(session)
    for number, amount in enumerate(("50.00", "12.40")):
        ledger.credit(
            session,
            user_id=driver.id,
            amount=Decimal(amount),
            currency="EUR",
            type=LedgerEntryType.TOP_UP,
            reference=f"scenery:{number}",
            now=utcnow(),
        )
    # they look connected, but no socket of theirs will ever close
    session.execute(update(ChargePointState).values(connected=False))
    session.commit()


def make_sessions(session: Session, one: Evse, other: Evse, driver: User) -> None:
    """Finished, failed, flagged and running ones, the most telling last: it is the first of the list."""
    for number in range(3):
        make.make_session(session, one, driver, started_at=make.NOW - timedelta(hours=3 + number))
    make.make_session(session, one, driver, status=SessionStatus.FAILED, failure_reason="No car was plugged in")
    make.make_session(session, other, None, status=SessionStatus.ACTIVE, flags=["late_start"])
    make.make_session(session, one, driver, flags=["energy_jump", "clock_ahead"])


def make_tariffs(session: Session) -> None:
    """One of each further type."""
    session.add_all(
        [
            Tariff(name="Flat", type=TariffType.FLAT, price_per_session=Decimal(5)),
            Tariff(
                name="By power",
                type=TariffType.POWER_LEVELS,
                levels=[
                    TariffPowerLevel(max_power_w=7400, price_per_minute=Decimal("0.10")),
                    TariffPowerLevel(max_power_w=22000, price_per_minute=Decimal("0.15")),
                ],
            ),
        ]
    )
