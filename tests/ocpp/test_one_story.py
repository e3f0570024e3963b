"""One scripted charge under OCPP 1.6J and 2.0.1: the same session, the same price, the same screens."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

import pytest
from flask import Flask
from sqlalchemy import select

from app.assets.models import ChargePoint, NetworkProtocol
from app.charging import remote
from app.charging.models import Authorization, HardwareStatusLog
from app.core.clock import utcnow
from app.core.models import Action
from tests.support.charging import tag_of
from tests.support.factories_dashboard import signed_in
from tests.support.gateway import House, ago, eventually
from tests.support.scripted_station import ScriptedStation, ServerCall, sample, stamp

METER_WH = 123_000


class Speaker(Protocol):
    """What a station says in the story, in the words of its version; its replies in ours."""

    wire: ScriptedStation

    def boot(self) -> str: ...
    def status(self, status: str) -> None: ...
    def tap(self, card: str) -> str: ...
    def start(self, card: str, at: datetime) -> str: ...
    def reading(self, at: datetime, energy_wh: int, power_w: int) -> None: ...
    def expect_stop(self) -> ServerCall: ...
    def stop(self, at: datetime, energy_wh: int, card: str) -> None: ...


@dataclass
class Speaker16:
    """OCPP 1.6J."""

    wire: ScriptedStation
    number: int = 0

    def boot(self) -> str:
        return str(self.wire.boot(vendor="Vestel", model="EVC10", firmwareVersion="2.0")["status"])

    def status(self, status: str) -> None:
        self.wire.status(1, {"Occupied": "Preparing"}.get(status, status))

    def tap(self, card: str) -> str:
        return self.wire.authorize(card)

    def start(self, card: str, at: datetime) -> str:
        answer = self.wire.start(1, card, meter_start_wh=METER_WH, at=at)
        self.number = answer["transactionId"]
        self.wire.status(1, "Charging")  # 2.0.1 says so in its events
        return str(answer["idTagInfo"]["status"])

    def reading(self, at: datetime, energy_wh: int, power_w: int) -> None:
        power = sample(power_w, "Power.Active.Import", "W")
        self.wire.meter(1, self.number, METER_WH + energy_wh, at=at, samples=[power])

    def expect_stop(self) -> ServerCall:
        return self.wire.expect_call("RemoteStopTransaction")

    def stop(self, at: datetime, energy_wh: int, card: str) -> None:
        self.wire.stop(self.number, meter_stop_wh=METER_WH + energy_wh, at=at, reason="Remote", id_tag=card)
        self.wire.status(1, "Finishing")


@dataclass
class Speaker201:
    """OCPP 2.0.1."""

    wire: ScriptedStation
    sequence: list[None] = field(default_factory=list)

    def boot(self) -> str:
        station = {"vendorName": "Vestel", "model": "EVC10", "firmwareVersion": "2.0"}
        return str(self.wire.call("BootNotification", {"reason": "PowerUp", "chargingStation": station})["status"])

    def status(self, status: str) -> None:
        where = {"evseId": 1, "connectorId": 1}
        self.wire.call("StatusNotification", {"timestamp": stamp(utcnow()), "connectorStatus": status, **where})

    def tap(self, card: str) -> str:
        answer = self.wire.call("Authorize", {"idToken": {"idToken": card, "type": "ISO14443"}})
        return str(answer["idTokenInfo"]["status"])

    def start(self, card: str, at: datetime) -> str:
        answer = self._event("Started", "Authorized", at, 0, card=card, context="Transaction.Begin")
        return str(answer["idTokenInfo"]["status"])

    def reading(self, at: datetime, energy_wh: int, power_w: int) -> None:
        self._event("Updated", "MeterValuePeriodic", at, energy_wh, power_w=power_w, chargingState="Charging")

    def expect_stop(self) -> ServerCall:
        return self.wire.expect_call("RequestStopTransaction")

    def stop(self, at: datetime, energy_wh: int, card: str) -> None:
        self._event(
            "Ended", "RemoteStop", at, energy_wh, card=card, context="Transaction.End", stoppedReason="Remote"
        )  # fmt: skip

    def _event(
        self,
        kind: str,
        why: str,
        at: datetime,
        energy_wh: int,
        *,
        card: str | None = None,
        power_w: int | None = None,
        context: str = "Sample.Periodic",
        **info: Any,
    ) -> dict[str, Any]:
        unit = {"unitOfMeasure": {"unit": "Wh"}, "context": context}
        values = [{"value": METER_WH + energy_wh, "measurand": "Energy.Active.Import.Register", **unit}]
        if power_w is not None:
            values.append({"value": power_w, "measurand": "Power.Active.Import", "unitOfMeasure": {"unit": "W"}})
        payload: dict[str, Any] = {
            "eventType": kind,
            "timestamp": stamp(at),
            "triggerReason": why,
            "seqNo": len(self.sequence),
            "transactionInfo": {"transactionId": "story", **info},
            "evse": {"id": 1, "connectorId": 1},
            "meterValue": [{"timestamp": stamp(at), "sampledValue": values}],
        }
        if card is not None:
            payload["idToken"] = {"idToken": card, "type": "ISO14443"}
        self.sequence.append(None)
        return self.wire.call("TransactionEvent", payload)


VERSIONS: dict[str, type[Speaker16] | type[Speaker201]] = {"ocpp1.6": Speaker16, "ocpp2.0.1": Speaker201}

#: what both versions have to come to
EXPECTED: dict[str, Any] = {
    "replies": ["Accepted", "Accepted", "Accepted"],
    "session": {
        "status": "finished",
        "payment_status": "paid",
        "source": "rfid_tag",
        "energy_wh": 7400,
        "max_power_w": 11_000,
        "minutes": 40,
        "stop_reason": "Remote",
        "flags": [],
        "total_gross": "4.2600",
        "total_net": "3.5500",
        "total_vat": "0.7100",
        "currency": "EUR",
    },
    "readings": [1850, 3700, 5550],
    "authorizations": [("accepted", "rfid_tag")],
    "statuses": ["available", "occupied", "charging", "finishing", "available"],
    "actions": [("Stop session", "accepted")],
    "movements": ["4.2600"],
}


def tell(house: House, charge_point: ChargePoint, speaker: Speaker, began: datetime, card: str) -> list[str]:
    """The story: plugged in, charged for half an hour, stopped by an operator. What the station was answered."""
    replies = [speaker.boot()]
    speaker.status("Available")
    replies.append(speaker.tap(card))
    speaker.status("Occupied")
    replies.append(speaker.start(card, began))
    for minutes in (10, 20, 30):
        speaker.reading(began + timedelta(minutes=minutes), 185 * minutes, 11_000)
    (running,) = house.charges(charge_point)
    remote.stop_session(
        house.session, charging_session=running, reason="The driver asked", actor=house.operator(), now=utcnow()
    )
    house.session.commit()
    speaker.expect_stop().answer(status="Accepted")
    speaker.stop(began + timedelta(minutes=40), 7400, card)
    speaker.status("Available")
    return replies


def came_to(house: House, charge_point: ChargePoint) -> dict[str, Any]:
    """What is stored of it, without numbers that differ from one session to the next."""
    (row,) = house.charges(charge_point)
    entries, _ = house.bills(row.id)
    session = house.session
    of_station = {"charge_point_id": charge_point.id}
    done = eventually(
        lambda: house.again().scalars(select(Action).filter_by(**of_station, finished_at=None)).all() == []
    )
    assert done
    assert row.started_at is not None and row.stopped_at is not None
    return {
        "session": {
            "status": row.status.value,
            "payment_status": row.payment_status.value,
            "source": row.source.value,
            "energy_wh": row.energy_wh,
            "max_power_w": row.max_power_w,
            "minutes": (row.stopped_at - row.started_at).total_seconds() / 60,
            "stop_reason": row.stop_reason,
            "flags": row.flags,
            "total_gross": str(row.total_gross),
            "total_net": str(row.total_net),
            "total_vat": str(row.total_vat),
            "currency": row.currency,
        },
        # 1.6 keeps the meter of start and stop on the session, 2.0.1 sends readings of it
        "readings": [each.register_wh for each in house.readings(row.id) if 0 < (each.register_wh or 0) < 7400],
        "authorizations": [
            (each.result.value, each.source.value)
            for each in session.scalars(select(Authorization).filter_by(**of_station).order_by(Authorization.id))
        ],
        "statuses": [
            "occupied" if each.status.value == "preparing" else each.status.value
            for each in session.scalars(
                select(HardwareStatusLog).filter_by(**of_station).order_by(HardwareStatusLog.at, HardwareStatusLog.id)
            )
        ],
        "actions": [
            (each.name, each.status.value)
            for each in session.scalars(select(Action).filter_by(**of_station).order_by(Action.id))
        ],
        "movements": [str(entry.debit) for entry in entries],
        "lines": row.price_lines,
    }


def words_of(page: str) -> str:
    """The text of a page without its numbers of records, which differ."""
    body = re.sub(r"(?s)<(script|style|svg)\b.*?</\1>", "", page.partition("<main")[2] or page)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


@pytest.mark.parametrize("version", list(VERSIONS))
def test_the_story(house: House, app: Flask, version: str) -> None:
    """Both versions come to what is expected, to the cent, and the session's page says so in the same words."""
    charge_point = house.station(protocol=NetworkProtocol(version))
    driver, began = house.driver(), ago(minutes=45)
    speaker = VERSIONS[version](house.connect(charge_point, subprotocols=(version,)))
    replies = tell(house, charge_point, speaker, began, tag_of(driver))
    found = came_to(house, charge_point)
    lines = found.pop("lines")
    assert {"replies": replies, **found} == EXPECTED
    assert [line["amount"] for line in lines] == ["0.50", "0.80", "2.96"]
    (row,) = house.charges(charge_point)
    olga = signed_in(app, house.operator())
    words = words_of(olga.get(f"/activity/charging-sessions/details/?id={row.id}").get_data(as_text=True))
    for said in ("Finished", "Paid", "7.400 kWh", "€4.26", "40 min"):
        assert said in words
