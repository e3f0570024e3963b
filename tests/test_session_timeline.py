"""The timeline of a session: complete, in order, bounded, and only what one may see."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, ConnectionStatus, ReportedStatus
from app.charging.corrections import corrections
from app.charging.corrections.corrections import Credit
from app.charging.models import (
    ChargingSession,
    CommunicationLog,
    Direction,
    FrameKind,
    HardwareStatusLog,
    MeterReading,
    NetworkStatusLog,
    Reservation,
    ReservationStatus,
)
from app.charging.timeline.entries import Kind
from app.charging.timeline.session_timeline import PER_PAGE, Asked, session_timeline
from app.core.actions import open_action
from app.core.models import ActionStatus
from tests.support.charging import NOW, start, stop, tag_of
from tests.support.gateway import Cast, people

__all__ = ["people"]  # a fixture

MINUTE = timedelta(minutes=1)
EVERYTHING = Asked(kinds=frozenset(Kind))


def frame(session: Session, place: ChargePoint, minute: float, action: str, payload: str = "[2]") -> None:
    """A request of the station, written down at that minute."""
    session.add(
        CommunicationLog(
            at=NOW + minute * MINUTE,
            partner_id=1,
            charge_point_id=place.id,
            direction=Direction.FROM_STATION,
            kind=FrameKind.REQUEST,
            message_id=f"m{minute}",
            action=action,
            payload=payload,
        )
    )


def told(people: Cast, place: ChargePoint, number: int) -> ChargingSession:
    """A whole story around a charge of 40 minutes: a lost connection, readings, statuses, an action, a credit."""
    session, evse = people.session, place.evses[0]
    for minute, action in ((-1, "Authorize"), (0, "StartTransaction"), (10, "MeterValues"), (40, "StopTransaction")):
        frame(session, place, minute, action)
    for minute, status in (
        (-1.5, ReportedStatus.PREPARING),
        (0.1, ReportedStatus.CHARGING),
        (41, ReportedStatus.FAULTED),
    ):
        session.add(
            HardwareStatusLog(
                at=NOW + minute * MINUTE, partner_id=1, charge_point_id=place.id, evse_id=evse.id,
                network_id=evse.network_id, status=status, reported_at=NOW + minute * MINUTE - timedelta(hours=1),
            )
        )  # fmt: skip
    for minute, connection in ((20, ConnectionStatus.TEMPORARILY_UNAVAILABLE), (22, ConnectionStatus.AVAILABLE)):
        session.add(
            NetworkStatusLog(at=NOW + minute * MINUTE, partner_id=1, charge_point_id=place.id, status=connection)
        )
    for minute, wh in ((10, 2000), (30, 6000)):
        session.add(
            MeterReading(
                received_at=NOW + minute * MINUTE + timedelta(minutes=2 if minute == 30 else 0), partner_id=1,
                charge_point_id=place.id, evse_id=evse.id, session_id=number, measured_at=NOW + minute * MINUTE,
                register_wh=Decimal(wh), raw_register_wh=Decimal(1000 + wh), soc_percent=Decimal(minute),
            )
        )  # fmt: skip
    row = people.session.get_one(ChargingSession, number)
    assert row.user_id is not None
    session.add(
        Reservation(
            partner_id=1, charge_point_id=place.id, evse_id=evse.id, user_id=row.user_id, id_tag="R", session_id=number,
            status=ReservationStatus.USED, created_at=NOW - 30 * MINUTE, expires_at=NOW + MINUTE, ended_at=NOW,
        )
    )  # fmt: skip
    open_action(
        session, name="Unlock connector", target_type="charge_point", target_id=place.id, target_label=place.name,
        reason="Stuck", actor=None, status=ActionStatus.ACCEPTED, charge_point_id=place.id, now=NOW + 5 * MINUTE,
    )  # fmt: skip
    session.commit()
    corrections.correct(
        session, charging_session=row, order=Credit(Decimal("1.00")), reason="Slow", actor=None, key=f"t{number}",
        seen=None, now=NOW + 60 * MINUTE,
    )  # fmt: skip
    session.commit()
    return people.charge(number)


@pytest.fixture
def story(people: Cast) -> ChargingSession:
    """It, told."""
    place = people.station()
    number = start(people, place, tag_of(people.driver())).session_id
    stop(people, place, session_id=number)
    return told(people, place, number)


def test_everything_stands_on_one_axis_in_the_order_of_time(people: Cast, story: ChargingSession) -> None:
    found = session_timeline(people.session, story, asked=EVERYTHING, now=NOW + timedelta(hours=2))
    assert [each.at for each in found.entries] == sorted(each.at for each in found.entries)
    assert {each.kind for each in found.entries} == set(Kind)
    titles = [each.title for each in found.entries]
    for title in (
        "Charging started", "Charging stopped", "Preparing", "Fault", "Temp. unavailable", "Authorize",
        "StopTransaction", "Authorization accepted", "EVSE reserved", "Reservation used", "Priced: 4.26 EUR",
        "Priced anew (credit): 3.26 EUR", "Charge of 4.26 EUR", "Balance: debit 4.26 EUR", "Balance: credit 1.00 EUR",
        "Unlock connector: accepted", "Credit: finished",
    ):  # fmt: skip
        assert title in titles, title
    assert (
        titles.index("Charging started") < titles.index("Unlock connector: accepted") < titles.index("Charging stopped")
    )
    assert sum(found.counts.values()) == len(found.entries)


def test_the_stations_clock_and_the_arrival_are_told_apart(people: Cast, story: ChargingSession) -> None:
    found = session_timeline(people.session, story, asked=EVERYTHING, now=NOW + timedelta(hours=2))
    late = [each for each in found.entries if each.kind is Kind.METER and each.arrived_at is not None]
    assert [(each.at, each.arrived_at) for each in late] == [(NOW + 30 * MINUTE, NOW + 32 * MINUTE)]
    fault = next(each for each in found.entries if each.title == "Fault")
    assert fault.said_at == fault.at - timedelta(hours=1)


def test_lanes_and_curve_cover_the_session(people: Cast, story: ChargingSession) -> None:
    found = session_timeline(people.session, story, asked=EVERYTHING, now=NOW + timedelta(hours=2))
    assert [span.label for span in found.connection] == ["Temp. unavailable", "Available"]
    assert found.connection[-1].until == found.until
    assert [span.label for span in found.status] == ["Preparing", "Charging", "Fault"]
    assert [point.energy_wh for point in found.curve] == [0, 2000, 6000, Decimal("7400.000")]
    assert found.curve[1].power_w == Decimal(12000)


def test_only_what_one_may_see_is_read(people: Cast, story: ChargingSession) -> None:
    may_see = frozenset(Kind) - {Kind.MONEY, Kind.MESSAGE, Kind.ACTION}
    asked = Asked(kinds=frozenset(Kind), may_see=may_see)
    found = session_timeline(people.session, story, asked=asked, now=NOW + timedelta(hours=2))
    assert {each.kind for each in found.entries} == may_see
    assert set(found.counts) == may_see and not {Kind.MONEY, Kind.ACTION} & set(found.marks)
    assert not any("EUR" in f"{each.title} {each.detail}" for each in found.entries)


def test_ten_thousand_messages_come_in_pages_with_their_count(people: Cast, story: ChargingSession) -> None:
    rows = [
        {
            "at": NOW + 12 * MINUTE + timedelta(milliseconds=n), "partner_id": 1,
            "charge_point_id": story.charge_point_id, "direction": Direction.FROM_STATION, "kind": FrameKind.REQUEST,
            "message_id": str(n), "action": "Heartbeat", "payload": "[2]",
        }
        for n in range(10_050)
    ]  # fmt: skip
    people.session.execute(insert(CommunicationLog), rows)
    people.session.commit()
    asked = Asked(kinds=frozenset({Kind.MESSAGE}))
    first = session_timeline(people.session, story, asked=asked, now=NOW)
    assert (first.counts[Kind.MESSAGE], first.capped, first.pages) == (10_000, {Kind.MESSAGE}, 50)
    assert len(first.entries) == PER_PAGE
    last = session_timeline(people.session, story, asked=Asked(kinds=asked.kinds, page=49), now=NOW)
    assert len(last.entries) == PER_PAGE and last.entries[0].at > first.entries[-1].at


def test_messages_of_another_evse_are_left_out_unless_asked_for(people: Cast) -> None:
    place = people.station(evses=2)
    user = people.driver()
    number = start(people, place, tag_of(user)).session_id
    stop(people, place, session_id=number)
    frame(people.session, place, 10, "Mine", f'[2,"a","Mine",{{"transactionId":{number}}}]')
    frame(people.session, place, 11, "Card", f'[2,"b","Card",{{"idTag":"{tag_of(user).lower()}"}}]')
    frame(people.session, place, 12, "Other", f'[2,"c","Other",{{"transactionId":{number}0}}]')
    people.session.commit()
    row = people.charge(number)
    for whole, expected in ((False, ["Mine", "Card"]), (True, ["Mine", "Card", "Other"])):
        asked = Asked(kinds=frozenset({Kind.MESSAGE}), whole_station=whole)
        found = session_timeline(people.session, row, asked=asked, now=NOW)
        assert [each.title for each in found.entries] == expected


def test_what_was_dropped_is_said(people: Cast, story: ChargingSession) -> None:
    story.created_at = story.created_at - timedelta(days=800)
    found = session_timeline(people.session, story, asked=EVERYTHING, now=NOW)
    people.session.rollback()
    assert any("communication log of that time was dropped" in words for words in found.gaps)
    fresh = session_timeline(people.session, people.charge(story.id), asked=EVERYTHING, now=NOW)
    assert fresh.gaps == ()
