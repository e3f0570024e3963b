"""The quirk book's rows: counted up, attributed to the right make, and bounded; the gateway's memory of them too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.assets.models import StationModel
from app.charging.models import Deviation as Row
from app.charging.upkeep import deviations, station_clock
from app.charging.upkeep.deviations import Make, Seen, make_of
from ocpp_ws import quirks
from ocpp_ws.codec import Deviation
from ocpp_ws.quirks import Heard, QuirkMemory
from tests.support.gateway import Cast, people

__all__ = ["people"]  # a fixture

NOW = datetime(2026, 6, 10, 12, 0, tzinfo=UTC)
MAKE = Make("Vestel", "EVC04", "3.141", "ocpp1.6")


def seen(charge_point_id: int, make: Make | None = MAKE, **fields: object) -> Seen:
    given = {"action": "MeterValues", "rule": "extra_field", "path": "a", "example": "1", "messages": 1, **fields}
    return Seen(charge_point_id=charge_point_id, make=make, **given)  # type: ignore[arg-type]


def book(session: Session) -> dict[tuple[str, str, str], int]:
    """Firmware, rule and path of each line, and its count."""
    session.expire_all()
    return {(row.firmware_version, row.rule, row.path): row.messages for row in session.scalars(select(Row))}


def test_equal_habits_are_one_line_and_counted_up(session: Session, people: Cast) -> None:
    one, two = people.station(), people.station()
    deviations.record(session, [seen(one.id, messages=3), seen(two.id, path="b"), seen(two.id)], now=NOW)
    deviations.record(session, [seen(one.id, example="2\x00")], now=NOW + timedelta(hours=1))
    assert book(session) == {("3.141", "extra_field", "a"): 5, ("3.141", "extra_field", "b"): 1}
    row = session.scalars(select(Row).where(Row.path == "a")).one()
    assert (row.first_seen_at, row.last_seen_at) == (NOW, NOW + timedelta(hours=1))
    assert (row.example, row.last_charge_point_id) == ("2", one.id)


def test_a_station_that_did_not_boot_is_of_the_make_it_told_last(session: Session, people: Cast) -> None:
    known, silent = people.station(), people.station()
    state = known.state
    state.vendor, state.model, state.firmware_version, state.protocol = MAKE
    session.flush()
    gone = silent.id + 1000
    deviations.record(session, [seen(known.id, None), seen(silent.id, None), seen(gone, None)], now=NOW)
    rows = session.scalars(select(Row).order_by(Row.id)).all()
    assert {(row.vendor, row.model, row.firmware_version) for row in rows} == {
        ("Vestel", "EVC04", "3.141"),
        ("Unknown", "Unknown", ""),
    }


def test_a_deleted_charge_point_does_not_cost_the_others_their_lines(session: Session, people: Cast) -> None:
    alive = people.station()
    deviations.record(session, [seen(alive.id + 1000), seen(alive.id, path="b")], now=NOW)
    assert len(book(session)) == 2


@pytest.mark.parametrize("action", ["GetConfiguration", "ChangeConfiguration"])
def test_what_configuration_says_is_not_copied(session: Session, people: Cast, action: str) -> None:
    """One of the values may be the station's password."""
    deviations.record(session, [seen(people.station().id, action=action, example="hunter2")], now=NOW)
    assert session.scalars(select(Row.example)).all() == [""]


def test_a_fuzzer_does_not_fill_the_book(session: Session, people: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deviations, "MAX_ROWS_OF_MAKE", 3)
    station = people.station()
    for start in (0, 2, 50):
        some = [seen(station.id, path=f"field{number}") for number in range(start, start + 2)]
        deviations.record(session, some, now=NOW)
    other = seen(station.id, MAKE._replace(firmware_version="4"), path="z")
    deviations.record(session, [seen(station.id, path="field0"), seen(station.id, path="more"), other], now=NOW)
    found = book(session)
    assert len(found) == 4
    assert found["3.141", "extra_field", "field0"] == 2  # what is known is counted on
    assert found["4", "extra_field", "z"] == 1  # nobody else suffers


def test_models_are_told_apart_regardless_of_case(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    deviations.record_models(session, {("Vestel", "EVC04")})
    deviations.record_models(session, {("VESTEL", "evc04"), ("ABL", "eMH3"), ("abl", "EMH3")})
    assert session.scalar(select(func.count()).select_from(StationModel)) == 2
    monkeypatch.setattr(deviations, "MAX_MODELS", 2)
    deviations.record_models(session, {("Odd", "1")})
    assert session.scalar(select(func.count()).select_from(StationModel)) == 2


def test_offsets_are_stored_and_their_jitter_is_not(session: Session, people: Cast) -> None:
    one, two = people.station(), people.station()
    for given, expected in (({one.id: 100, two.id: -7}, (100, -7)), ({one.id: 104, two.id: 9000}, (100, 9000))):
        station_clock.record_offsets(session, given)
        session.expire_all()
        assert (one.state.clock_offset_s, two.state.clock_offset_s) == expected


# --- the gateway's memory


def test_the_memory_is_bounded_and_empties_itself(
    session: Session, people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quirks, "MAX_LINES", 10)
    station = people.station()
    memory = QuirkMemory(lambda work: work(session))
    heard = Heard()
    memory.note_make(heard, MAKE)
    for number in range(40):
        memory.note(heard, station.id, "MeterValues", [Deviation("extra_field", f"field{number}", "x" * 1000)])
    memory.flush()
    session.flush()
    assert len(book(session)) == 10
    memory.flush()  # nothing is left
    assert set(book(session).values()) == {1}
    assert session.scalars(select(StationModel.vendor)).all() == ["Vestel"]


def test_a_boot_is_of_the_make_it_tells(session: Session, people: Cast) -> None:
    """A new firmware's boot message must not be put down to the former one."""
    station = people.station()
    memory = QuirkMemory(lambda work: work(session))
    heard = Heard(make=make_of("Vestel", "EVC04", "old", "ocpp1.6"))
    memory.note(heard, station.id, "BootNotification", [Deviation("extra_field", "apn", "x")])
    state = station.state
    state.vendor, state.model, state.firmware_version, state.protocol = MAKE
    session.flush()
    memory.flush()
    assert book(session) == {("3.141", "extra_field", "apn"): 1}


def test_lost_models_are_told_again(session: Session) -> None:
    def broken(_work: object) -> None:
        raise OSError("the database is away")

    memory = QuirkMemory(broken)
    memory.note_make(Heard(), MAKE)
    with pytest.raises(OSError, match="away"):
        memory.flush()
    memory._transact = lambda work: work(session)
    memory.note_make(Heard(), MAKE)
    memory.flush()
    assert session.scalars(select(StationModel.model)).all() == ["EVC04"]
