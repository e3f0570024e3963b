"""The Configuration tab, the dialog of a key, the Quirk Book and its models, as an operator sees them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, ConnectionStatus, ReportedStatus, StationModel
from app.charging.models import ConfigurationKey, ConfigurationStatus, Deviation
from app.core.clock import utcnow
from app.core.models import Action
from tests.support.factories_assets import make_station, make_zone
from tests.support.factories_dashboard import Visitor, make_admin, signed_in

RUN = "/assets/charge-points/run/"
TAB = "/assets/charge-points/configuration/?id={}"


@pytest.fixture
def station(session: Session) -> ChargePoint:
    """A station that was read a while ago."""
    found = make_station(session, make_zone(session))
    found.state.vendor, found.state.model, found.state.firmware_version = "Vestel", "EVC04", "3.141"
    read_at = utcnow() - timedelta(minutes=3)
    keys: tuple[dict[str, Any], ...] = (
        {"key": "HeartbeatInterval", "value": "300"},
        {"key": "NumberOfConnectors", "value": "2", "readonly": True},
        {"key": "AuthorizationKey", "value": None},
        {"key": "Vendor.Light", "value": "", "wanted_value": "<b>7</b>", "status": ConfigurationStatus.REJECTED},
    )
    for key in keys:
        session.add(ConfigurationKey(charge_point_id=found.id, partner_id=found.partner_id, reported_at=read_at, **key))
    session.commit()
    return found


@pytest.fixture
def olga(session: Session, clean: Flask) -> Visitor:
    """An Operator, signed in, with a page open."""
    client = signed_in(clean, make_admin(session, role="Operator"))
    client.get("/assets/charge-points/")
    return client


def words(answer: Any) -> str:
    """What is read on a page."""
    return re.sub(r"(<[^>]+>|\s)+", " ", answer.get_data(as_text=True))


def test_each_key_is_shown_with_what_it_means(olga: Visitor, station: ChargePoint) -> None:
    page = olga.htmx(TAB.format(station.id))
    said = words(page)
    assert "Seconds without other messages after which it says that it is alive." in said
    assert "Asked for: &lt;b&gt;7&lt;/b&gt;" in said
    assert "Rejected" in said
    assert "never shown" in said
    assert "A key of this make." in said
    html = page.get_data(as_text=True)
    offered = re.findall(r'aria-label="Change ([^"]+)"', html)
    assert offered == ["HeartbeatInterval", "Vendor.Light"]  # neither what is read only, nor the password


def test_keys_are_searched(olga: Visitor, station: ChargePoint) -> None:
    olga.htmx(TAB.format(station.id))
    olga.page_ids |= {"configuration-filter"}  # on the page since then
    said = words(olga.htmx(TAB.format(station.id) + "&part=table&search=alive"))
    assert "HeartbeatInterval" in said
    assert "Vendor.Light" not in said
    assert "No key matches" in words(olga.htmx(TAB.format(station.id) + "&part=table&search=%25zzz"))
    assert olga.get(TAB.format(999_999)).status_code == 404


def test_a_station_that_was_never_read_says_so(olga: Visitor, session: Session) -> None:
    other = make_station(session, make_zone(session))
    session.commit()
    assert "The configuration has not been read yet." in words(olga.htmx(TAB.format(other.id)))


def test_the_dialog_of_a_key_knows_its_value_and_changes_it(
    olga: Visitor, station: ChargePoint, session: Session
) -> None:
    dialog = olga.htmx(f"{RUN}change_configuration/?rowid={station.id}&key=HeartbeatInterval").get_data(as_text=True)
    assert re.search(r'<input[^>]*name="key"[^>]*readonly[^>]*value="HeartbeatInterval"|readonly[^>]*"key"', dialog)
    assert 'value="300"' in dialog
    form = {"rowid": station.id, "key": "HeartbeatInterval", "value": "60", "reason": "A proxy drops it"}
    answer = olga.htmx(f"{RUN}change_configuration/", method="POST", data=form)
    assert answer.status_code == 200
    session.expire_all()
    action = session.scalars(select(Action)).one()
    assert (action.request, action.reason) == ({"key": "HeartbeatInterval", "value": "60"}, "A proxy drops it")
    row = session.get_one(ConfigurationKey, (station.id, "HeartbeatInterval"))
    assert (row.value, row.wanted_value) == ("300", "60")
    # nobody holds the station's socket
    assert row.status is ConfigurationStatus.UNANSWERED
    assert "Not answered" in words(olga.htmx(TAB.format(station.id)))


@pytest.mark.parametrize(
    ("key", "value", "reason", "complaint"),
    [
        ("authorizationkey", "hunter2", "Why not", "rotates the password"),
        ("", "1", "Why not", "A key has 1 to 50 characters."),
        ("HeartbeatInterval", "soon", "Why not", "HeartbeatInterval is a whole number of seconds."),
        ("HeartbeatInterval", "60", "  ", "Enter a reason."),
    ],
)
def test_what_cannot_be_changed_is_refused_at_its_field(
    olga: Visitor, station: ChargePoint, session: Session, key: str, value: str, reason: str, complaint: str
) -> None:
    form = {"rowid": station.id, "key": key, "value": value, "reason": reason}
    answer = olga.htmx(f"{RUN}change_configuration/", method="POST", data=form)
    assert answer.status_code == 422
    assert complaint in words(answer)
    assert session.scalars(select(Action)).all() == []


def test_many_stations_are_changed_and_read_at_once(olga: Visitor, session: Session) -> None:
    zone = make_zone(session)
    stations = [make_station(session, zone) for _ in range(3)]
    session.commit()
    rows = [str(each.id) for each in stations]
    for name, fields in (
        ("read_configuration", {}),
        ("change_configuration", {"key": "ResetRetries", "value": "2"}),
    ):
        data = {"rowid": rows, "reason": "The new policy", **fields}
        assert olga.htmx(f"{RUN}{name}/", method="POST", data=data).status_code == 200
    session.expire_all()
    assert len(session.scalars(select(Action)).all()) == 6


def habit(**fields: Any) -> Deviation:
    """A line of the book."""
    now = utcnow()
    return Deviation(
        **{
            "vendor": "Vestel",
            "model": "EVC04",
            "firmware_version": "3.141",
            "protocol": "ocpp1.6",
            "action": "MeterValues",
            "rule": "unknown_enum_kept",
            "path": "meterValue[].sampledValue[].unit",
            "example": "kilo",
            "messages": 7,
            "first_seen_at": now,
            "last_seen_at": now,
            **fields,
        }
    )


def test_the_book_says_what_each_habit_means_and_is_filtered(
    olga: Visitor, session: Session, station: ChargePoint
) -> None:
    session.add_all(
        [habit(), habit(firmware_version="4.0", rule="payload_null", path="", action="Heartbeat"),
         habit(vendor="ABL", model="eMH3", rule="extra_field", path="apn")]
    )  # fmt: skip
    session.commit()
    said = words(olga.get("/assets/quirk-book/"))
    assert "Quirk Book" in said
    for expected in ("Unknown unit or measurand", "No payload", "Unknown field", "whole message"):
        assert expected in said
    said = words(olga.get("/assets/quirk-book/?flt0_rule_is=payload_null"))
    assert "No payload" in said
    assert "eMH3" not in said
    row = session.scalars(select(Deviation).where(Deviation.rule == "unknown_enum_kept")).one()
    details = words(olga.get(f"/assets/quirk-book/details/?id={row.id}"))
    assert "Kept as it came, and not counted as energy." in details
    assert "Charge points of this make" in details
    # on the charge point: those of its own firmware only
    page = olga.get(f"/assets/charge-points/details/?id={station.id}").get_data(as_text=True)
    number = re.search(r'id="related-(\d+)-link"[^>]*>Deviations<', page)
    assert number is not None
    listed = words(olga.htmx(f"/assets/charge-points/related/{number[1]}/?id={station.id}"))
    assert "Unknown unit or measurand" in listed
    assert "No payload" not in listed


def test_a_model_is_switched_off(olga: Visitor, session: Session, station: ChargePoint) -> None:
    session.add(StationModel(vendor="vestel", model="EVC04"))
    session.add(habit())
    session.commit()
    model = session.scalars(select(StationModel)).one()
    said = words(olga.get("/assets/station-models/"))
    assert re.search(r"EVC04 vestel Yes 1 ", said), said
    page = olga.get(f"/assets/station-models/edit/?id={model.id}").get_data(as_text=True)
    version = re.search(r'name="_version" value="([^"]*)"', page)
    assert version is not None
    data = {"notes": "Hangs for a minute", "_version": version[1]}  # the switch is not ticked
    assert olga.send(f"/assets/station-models/edit/?id={model.id}", data).status_code in (302, 303)
    session.expire_all()
    assert (model.configure_after_boot, model.notes) == (False, "Hangs for a minute")
    assert "are not sent to Vestel EVC04: off in the Quirk Book." in words(olga.htmx(TAB.format(station.id)))


@pytest.mark.parametrize(
    ("offset_s", "shown"), [(None, False), (120, False), (10_900, "The clock is 3 h ahead"), (-400, "7 min behind")]
)
def test_a_clock_that_is_off_is_told(
    olga: Visitor, session: Session, station: ChargePoint, offset_s: int | None, shown: str | bool
) -> None:
    station.state.clock_offset_s = offset_s
    session.commit()
    said = words(olga.get(f"/assets/charge-points/details/?id={station.id}"))
    assert (str(shown) in said) if shown else ("The clock is" not in said)


def test_a_fault_of_the_whole_station_shows_on_its_evses(olga: Visitor, session: Session, station: ChargePoint) -> None:
    station.state.status = ReportedStatus.FAULTED
    station.state.connection = ConnectionStatus.AVAILABLE
    for evse in station.evses:
        evse.state.status = ReportedStatus.AVAILABLE
    session.commit()
    card = olga.htmx(f"/assets/charge-points/card/evses/?id={station.id}").get_data(as_text=True)
    assert "The charge point as a whole reports: Fault; the EVSE itself: Available" in card
