"""The form of a charge point: nested EVSEs, kW and W, the network password, and what is refused where."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, ChargingZone, Connector, Evse, PhaseRotation, Tag
from app.core import events
from app.core.models import AuditEntry
from app.core.passwords import verify_station_password
from app.partners.models import Partner
from tests.screens.test_assets_smoke import counted_queries
from tests.support.factories_assets import (
    make_session,
    make_station,
    make_tariff_group,
    make_user,
    make_zone,
    tap,
)
from tests.support.factories_dashboard import Visitor, make_admin, signed_in

NEW = "/assets/charge-points/new/"


@pytest.fixture
def olga(session: Session, clean: Flask) -> Visitor:
    """A Super User, signed in."""
    return signed_in(clean, make_admin(session))


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The events told after commits."""
    told: list[dict[str, Any]] = []
    publish = events.publish

    def listen(items: list[dict[str, Any]]) -> None:
        told.extend(items)
        publish(items)

    monkeypatch.setattr(events, "publish", listen)
    return told


def fields(where: ChargingZone, **changes: Any) -> dict[str, Any]:
    """What the form posts for a charge point with one EVSE of one connector."""
    posted = {
        "name": "Vestel 22 kW",
        "zone": str(where.id),
        "access_type": "public",
        "status": "active",
        "managed_by_operator": "y",
        "protocol": "ocpp1.6",
        "identifier": "MODERA-1",
        "partner": "1",
        "phases": "__None",
        "input_voltage_v": "__None",
        "connected_phase": "__None",
        "phase_rotation": "__None",
        "network_type": "__None",
        **evse(0),
    }
    return {**posted, **changes}


def evse(index: int, *, connectors: int = 1, **changes: Any) -> dict[str, Any]:
    """What it posts for an EVSE."""
    given = {
        "code": f"11{index}2",
        "type": "AC",
        "network_id": str(index + 1),
        "max_power_w": "22",
        "tariff_group_id": "__None",
        "status": "active",
        "phases": "__None",
        "connected_phase": "__None",
        "phase_rotation": "__None",
        **changes,
    }
    posted = {f"evses-{index}-{name}": value for name, value in given.items()}
    for plug in range(connectors):
        posted |= {
            f"evses-{index}-connectors-{plug}-type": "Type 2",
            f"evses-{index}-connectors-{plug}-format": "socket",
            f"evses-{index}-connectors-{plug}-status": "active",
        }
    return posted


def edited(client: Visitor, station: ChargePoint, **changes: Any) -> tuple[str, dict[str, Any]]:
    """The address of a charge point's form, and what it would post unchanged, with changes."""
    path = f"/assets/charge-points/edit/?id={station.id}"
    page = client.get(path).get_data(as_text=True)
    version = re.search(r'name="_version" value="([^"]*)"', page)
    assert version is not None
    posted = fields(station.zone, name=station.name, identifier=station.identifier, _version=version[1])
    posted = {name: value for name, value in posted.items() if not name.startswith("evses-")}
    for index, stored in enumerate(station.evses):
        plugs = len(stored.connectors)
        group = str(stored.tariff_group_id or "__None")
        posted |= evse(
            index,
            connectors=plugs,
            id=str(stored.id),
            code=stored.code,
            network_id=str(stored.network_id),
            tariff_group_id=group,
        )
        for plug, connector in enumerate(stored.connectors):
            posted[f"evses-{index}-connectors-{plug}-id"] = str(connector.id)
    return path, {**posted, **changes}


def errors_of(answer: Any) -> str:
    """The messages at the fields and above the form."""
    html = answer.get_data(as_text=True)
    found = re.findall(r'class="(?:invalid-feedback d-block|alert alert-danger)"[^>]*>(.*?)</div>', html, re.S)
    return " | ".join(re.sub(r"<[^>]+>|\s+", " ", text).strip() for text in found)


# --- creating


def test_a_charge_point_is_made_with_its_evses_and_connectors(
    olga: Visitor, session: Session, heard: list[dict[str, Any]]
) -> None:
    zone, group = make_zone(session), make_tariff_group(session)
    session.commit()
    posted = fields(
        zone,
        **{"evses-0-tariff_group_id": str(group.id), "evses-0-tags": "motorway,24/7", "evses-0-max_power_w": "7.4"},
        **evse(1, connectors=2, max_power_w="", type="DC"),
    )
    answer = olga.send(NEW, posted)
    assert answer.status_code == 302, errors_of(answer)
    station = session.query(ChargePoint).one()
    assert (station.identifier, station.partner_id, station.zone_id) == ("MODERA-1", 1, zone.id)
    first, second = station.evses
    assert (first.max_power_w, first.tariff_group_id, [tag.name for tag in first.tags]) == (
        7400,
        group.id,
        ["24/7", "motorway"],
    )
    assert (second.max_power_w, second.type.value, len(second.connectors)) == (None, "DC", 2)
    assert station.state.connection.value == "never_connected"
    told = [event for event in heard if event["name"] == "charge_point.changed"]
    assert told == [{"name": "charge_point.changed", "partner_id": 1, "charge_point_id": station.id}]


def test_a_missing_evse_id_is_drawn(olga: Visitor, session: Session) -> None:
    zone = make_zone(session)
    session.commit()
    answer = olga.send(NEW, fields(zone, **{"evses-0-code": ""}, **evse(1, code="")))
    assert answer.status_code == 302, errors_of(answer)
    codes = [row.code for row in session.query(Evse)]
    assert len(set(codes)) == 2 and all(re.fullmatch("[0-9A-Z]{6}", code) for code in codes)


def test_refresh_draws_an_id_nobody_has(olga: Visitor, session: Session) -> None:
    first, second = (olga.get("/assets/charge-points/evse-code/").get_data(as_text=True) for _ in range(2))
    assert first != second and re.fullmatch("[0-9A-Z]{6}", first)


def test_the_new_form_belongs_to_the_operator_and_takes_the_id_of_who_tried(olga: Visitor, session: Session) -> None:
    """One click from "Tried to connect"."""
    page = olga.get(f"{NEW}?identifier=VESTEL%2F9").get_data(as_text=True)
    assert 'value="VESTEL/9"' in page
    assert re.search(r'id="partner"[^>]*value="1"', page)
    assert "ws://localhost/ocpp/" in page and "Use port 443 with wss" in page


def test_tags_are_found_regardless_of_case(olga: Visitor, session: Session) -> None:
    zone = make_zone(session)
    session.add(Tag(name="Motorway"))
    session.commit()
    assert olga.send(NEW, fields(zone, **{"evses-0-tags": "motorway, New one"})).status_code == 302
    assert sorted(tag.name for tag in session.query(Tag)) == ["Motorway", "New one"]


# --- the network password


def test_the_password_is_set_kept_changed_and_removed_and_never_shown(
    olga: Visitor, session: Session, clean: Flask
) -> None:
    zone = make_zone(session)
    session.commit()
    secret = "pa55word-of-the-station"
    assert olga.send(NEW, fields(zone, network_password=secret)).status_code == 302
    station = session.query(ChargePoint).one()
    key = str(clean.secret_key)

    def fits(text: str) -> bool:
        session.expire_all()
        stored = session.get_one(ChargePoint, station.id).password_hash
        return stored is not None and verify_station_password(stored, [text.encode()], key)

    assert fits(secret)
    path, posted = edited(olga, station)
    assert secret not in olga.get(path).get_data(as_text=True)
    assert olga.send(path, posted).status_code == 302 and fits(secret)
    path, posted = edited(olga, station, network_password="another-one-16-long")
    assert olga.send(path, posted).status_code == 302 and fits("another-one-16-long")
    path, posted = edited(olga, station, clear_password="y")
    assert olga.send(path, posted).status_code == 302
    session.expire_all()
    assert session.get_one(ChargePoint, station.id).password_hash is None
    audit = " ".join(str((entry.before, entry.after)) for entry in session.query(AuditEntry))
    assert secret not in audit and "hmac" not in audit and audit.count("password_hash") >= 2


def test_a_refused_form_does_not_give_the_password_back(olga: Visitor, session: Session) -> None:
    zone = make_zone(session)
    session.commit()
    answer = olga.send(NEW, fields(zone, name="", network_password="pa55word-of-the-station"))
    assert answer.status_code == 422 and "pa55word" not in answer.get_data(as_text=True)


@pytest.mark.parametrize("text, message", [("hex:xyz", "hexadecimal"), ("line\nbreak", "line breaks")])
def test_a_password_no_station_can_send_is_refused(olga: Visitor, session: Session, text: str, message: str) -> None:
    zone = make_zone(session)
    session.commit()
    answer = olga.send(NEW, fields(zone, network_password=text))
    assert answer.status_code == 422 and message in errors_of(answer)


# --- editing


def test_evses_are_changed_added_removed_and_renumbered_in_one_go(olga: Visitor, session: Session) -> None:
    station = make_station(session, evses=3)
    session.commit()
    first, second, third = (row.id for row in station.evses)
    path, posted = edited(
        olga,
        station,
        **{
            "evses-0-network_id": "2",
            "evses-1-network_id": "1",
            "del-evses-2": "1",
            **evse(3, code="NEW1", network_id="3"),
        },
    )
    answer = olga.send(path, posted)
    assert answer.status_code == 302, errors_of(answer)
    session.expire_all()
    found = {row.network_id: row for row in session.get_one(ChargePoint, station.id).evses}
    assert [found[n].id for n in (1, 2)] == [second, first]
    assert found[3].code == "NEW1" and session.get(Evse, third) is None
    assert session.query(Connector).filter_by(evse_id=third).count() == 0


def test_a_change_of_an_evse_is_not_lost_to_somebody_elses(olga: Visitor, session: Session) -> None:
    """The version counts up also when only an EVSE changed."""
    station = make_station(session)
    session.commit()
    path, mine = edited(olga, station, **{"evses-0-max_power_w": "11"})
    _, theirs = edited(olga, station, **{"evses-0-max_power_w": "7.4"})
    assert olga.send(path, theirs).status_code == 302
    answer = olga.send(path, mine)
    assert answer.status_code == 409 and "Somebody else saved" in answer.get_data(as_text=True)
    session.expire_all()
    assert session.get_one(Evse, station.evses[0].id).max_power_w == 7400


def test_the_history_tells_each_change_of_an_evse(olga: Visitor, session: Session) -> None:
    station = make_station(session, evses=2)
    session.commit()
    path, posted = edited(olga, station, **{"evses-0-max_power_w": "11", "evses-1-status": "disabled"})
    assert olga.send(path, posted).status_code == 302
    entry = session.query(AuditEntry).filter_by(event="change").one()
    assert entry.before == {"EVSE 1 max power": "22 kW", "EVSE 2 status": "Active"}
    assert entry.after == {"EVSE 1 max power": "11 kW", "EVSE 2 status": "Disabled"}


def test_the_form_asks_few_questions_however_many_evses(olga: Visitor, session: Session) -> None:
    make_tariff_group(session)
    station = make_station(session, evses=6)
    session.commit()
    olga.get("/assets/charge-points/")
    with counted_queries() as seen:
        assert olga.get(f"/assets/charge-points/edit/?id={station.id}").status_code == 200
    assert len(seen) <= 12, "\n".join(seen)


def test_power_is_shown_in_kw(olga: Visitor, session: Session) -> None:
    station = make_station(session)
    station.evses[0].max_power_w = 7400
    session.commit()
    page = olga.get(f"/assets/charge-points/edit/?id={station.id}").get_data(as_text=True)
    assert re.search(r'name="evses-0-max_power_w"[^>]*value="7\.4"|value="7\.4"[^>]*name="evses-0-max_power_w"', page)


def test_another_owner_takes_the_evses_along(olga: Visitor, session: Session) -> None:
    partner = Partner(name="LIDL Bulgaria Ltd.")
    session.add(partner)
    station = make_station(session)
    session.commit()
    path, posted = edited(olga, station, partner=str(partner.id))
    answer = olga.send(path, posted)
    assert answer.status_code == 302, errors_of(answer)
    session.expire_all()
    stored = session.get_one(ChargePoint, station.id)
    assert {stored.partner_id, stored.evses[0].partner_id, stored.evses[0].connectors[0].partner_id} == {partner.id}


# --- what is refused, and where


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"identifier": "A/B"}, "no “/”"),
        ({"identifier": ""}, "required"),
        ({"evses-0-network_id": "0"}, "starting at 1"),
        ({"evses-0-code": "no spaces"}, "letters, digits"),
        ({"evses-0-max_power_w": "0"}, "Enter kW"),
        ({"evses-0-max_power_w": "twenty"}, "Enter a number"),
        ({"evses-0-reservation_minutes": "-1"}, "between 0"),
        ({"show_to_public_with_notice": "y"}, "Only a Private charge point"),
        ({"load_management": "y"}, "maximum current"),
        ({"load_management": "y", "max_current_a": "16", "phases": "1"}, "connected phase"),
        ({"load_management": "y", "max_current_a": "16", "phases": "3"}, "phase rotation"),
        ({"zone": ""}, "required"),
        ({**evse(1, network_id="1")}, "same Network ID"),
        ({**evse(1, code="1102")}, "same ID"),
    ],
)
def test_a_mistake_is_told_at_its_field_and_nothing_is_kept(
    olga: Visitor, session: Session, changes: dict[str, Any], message: str
) -> None:
    zone = make_zone(session)
    session.commit()
    answer = olga.send(NEW, fields(zone, **changes))
    assert answer.status_code == 422
    assert message in errors_of(answer)
    assert session.query(ChargePoint).count() == 0


def test_ids_that_others_have_are_refused_whatever_their_case(olga: Visitor, session: Session) -> None:
    other = make_station(session, identifier="Modera-1")
    other.evses[0].code = "abc1"
    zone = make_zone(session)
    session.commit()
    assert "already in use" in errors_of(olga.send(NEW, fields(zone, identifier="MODERA-1")))
    assert "already in use" in errors_of(olga.send(NEW, fields(zone, identifier="OTHER", **{"evses-0-code": "ABC1"})))


def test_load_management_is_kept(olga: Visitor, session: Session) -> None:
    zone = make_zone(session)
    session.commit()
    dlm = {
        "load_management": "y",
        "max_current_a": "32",
        "phases": "3",
        "input_voltage_v": "230",
        "phase_rotation": "RTS",
        "evses-0-max_current_a": "16",
        "evses-0-phases": "1",
        "evses-0-connected_phase": "2",
    }
    answer = olga.send(NEW, fields(zone, **dlm))
    assert answer.status_code == 302, errors_of(answer)
    station = session.query(ChargePoint).one()
    assert (station.max_current_a, station.phases, station.phase_rotation) == (Decimal(32), 3, PhaseRotation.RTS)
    assert (station.evses[0].max_current_a, station.evses[0].phases, station.evses[0].connected_phase) == (16, 1, 2)
    page = olga.get(f"/assets/charge-points/details/?id={station.id}").get_data(as_text=True)
    assert "3-Phase" in page and "220-240 V" in page


# --- removing


def test_a_charge_point_with_a_past_is_kept(olga: Visitor, session: Session) -> None:
    """Its sessions are accounts: it is disabled instead."""
    station = make_station(session)
    make_session(session, station.evses[0], make_user(session))
    session.commit()
    answer = olga.send("/assets/charge-points/delete/", {"id": station.id}, follow_redirects=True)
    assert "Set its status to Disabled instead" in answer.get_data(as_text=True)
    path, posted = edited(olga, station, **{"del-evses-0": "1"})
    answer = olga.send(path, posted)
    assert answer.status_code == 422 and "cannot be removed" in errors_of(answer)
    assert session.query(Evse).count() == 1


def test_a_charge_point_at_which_somebody_tapped_is_kept(olga: Visitor, session: Session) -> None:
    station = make_station(session)
    tap(session, station, "DEADBEEF")
    session.commit()
    answer = olga.send("/assets/charge-points/delete/", {"id": station.id}, follow_redirects=True)
    assert "cannot be deleted" in answer.get_data(as_text=True)


def test_a_charge_point_without_a_past_goes_with_all_it_has(
    olga: Visitor, session: Session, heard: list[dict[str, Any]]
) -> None:
    station = make_station(session, evses=2)
    number = station.id
    session.commit()
    assert olga.send("/assets/charge-points/delete/", {"id": number}).status_code == 302
    session.expire_all()
    assert session.query(ChargePoint).count() == session.query(Evse).count() == session.query(Connector).count() == 0
    assert {"name": "charge_point.changed", "partner_id": 1, "charge_point_id": number} in heard


def test_who_may_only_look_gets_no_form(session: Session, clean: Flask) -> None:
    """The Analyst has no ASSETS at all."""
    station = make_station(session)
    session.commit()
    anna = signed_in(clean, make_admin(session, role="Analyst", email="anna@example.com"))
    for path in (NEW, f"/assets/charge-points/edit/?id={station.id}", "/assets/charge-points/evse-code/"):
        assert anna.get(path).status_code == 403
