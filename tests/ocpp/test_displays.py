"""What a 2.0.1 station shows drivers, where it is told to connect to, and what it tells about a customer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from app.assets.models import ChargePoint, NetworkProtocol, SecurityProfile
from app.charging.models import CustomerInformation, DisplayMessage, DisplayStatus
from app.charging.upkeep import customer_information, displays, network_profiles
from app.core.clock import utcnow
from app.core.models import Action, ActionStatus
from tests.support.charging import tag_of
from tests.support.factories_dashboard import signed_in
from tests.support.gateway import House, eventually
from tests.support.scripted_station import ScriptedStation, stamp

PAGE = "/assets/charge-points"


@pytest.fixture
def charge_point(house: House) -> ChargePoint:
    return house.station(protocol=NetworkProtocol("ocpp2.0.1"))


@pytest.fixture
def wire(house: House, charge_point: ChargePoint) -> ScriptedStation:
    return house.connect(charge_point, subprotocols=("ocpp2.0.1",))


def started(reference: str, tag: str) -> dict[str, Any]:
    return {
        "eventType": "Started",
        "timestamp": stamp(),
        "triggerReason": "Authorized",
        "seqNo": 0,
        "transactionInfo": {"transactionId": reference},
        "evse": {"id": 1, "connectorId": 1},
        "idToken": {"idToken": tag, "type": "ISO14443"},
    }


# ---------------------------------------------------------------------- messages on displays


def show(house: House, charge_point: ChargePoint, **message: Any) -> Action:
    action = displays.set_message(
        house.session,
        charge_point=charge_point,
        message=displays.Message(**{"content": "Hello", **message}),
        reason="A greeting",
        actor=house.operator(),
        now=utcnow(),
    )
    house.session.commit()
    return action


def messages(house: House, charge_point: ChargePoint) -> dict[int, DisplayMessage]:
    rows = house.again().scalars(select(DisplayMessage).filter_by(charge_point_id=charge_point.id))
    return {row.number: row for row in rows}


@pytest.mark.parametrize(
    ("answer", "status", "why"),
    [
        ("Accepted", DisplayStatus.SHOWN, None),
        ("NotSupportedMessageFormat", DisplayStatus.REJECTED, "format"),
        ("NotSupportedPriority", DisplayStatus.REJECTED, "priority"),
        ("NotSupportedState", DisplayStatus.REJECTED, "in this state"),
        ("UnknownTransaction", DisplayStatus.REJECTED, "no such session"),
    ],
)
def test_a_message_is_what_the_display_made_of_it(
    house: House, charge_point: ChargePoint, wire: ScriptedStation, answer: str, status: DisplayStatus, why: str | None
) -> None:
    action = show(house, charge_point, priority="in_front", state="idle")
    call = wire.expect_call("SetDisplayMessage")
    assert call.payload["message"] == {
        "id": 1,
        "priority": "InFront",
        "state": "Idle",
        "message": {"format": "UTF8", "content": "Hello"},
    }
    call.answer(status=answer)
    eventually(lambda: house.again().get_one(Action, action.id).status is not ActionStatus.PENDING)
    assert messages(house, charge_point)[1].status is status
    error = house.again().get_one(Action, action.id).error
    assert error is None if why is None else why in str(error)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"content": " "}, "Enter the text"),
        ({"content": "x" * 513}, "longer than 512"),
        ({"content": "Grüß Gott", "text_format": "ascii"}, "not plain"),
        ({"language": "Austrian German"}, "Name the language"),
        ({"ends_at": utcnow() - timedelta(hours=1)}, "end before"),
        ({"session_id": 10**12}, "does not run"),
    ],
)
def test_what_cannot_be_shown_is_said_before_it_is_sent(
    house: House, charge_point: ChargePoint, message: dict[str, Any], said: str
) -> None:
    with pytest.raises(displays.InvalidMessage, match=said):
        show(house, charge_point, **message)
    house.session.rollback()
    assert not messages(house, charge_point)


def test_what_is_on_no_display_any_more_does_not_fill_the_disk(
    house: House, charge_point: ChargePoint, wire: ScriptedStation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(displays, "MOST_OVER", 1)
    for place in range(4):
        show(house, charge_point, content=str(place))
        wire.expect_call("SetDisplayMessage").answer(status="Accepted" if place == 0 else "Rejected")
        eventually(lambda: DisplayStatus.PENDING not in {m.status for m in messages(house, charge_point).values()})
    assert {row.content for row in messages(house, charge_point).values()} == {"0", "2", "3"}


def test_messages_are_set_reported_and_cleared_by_an_operator(
    house: House, app: Flask, charge_point: ChargePoint, wire: ScriptedStation
) -> None:
    wire.call("TransactionEvent", started("tx-7", tag_of(house.driver())))
    (charge,) = house.charges(charge_point)
    olga = signed_in(app, house.operator())
    olga.get(f"{PAGE}/details/?id={charge_point.id}")  # where the dialogs appear
    run = f"{PAGE}/run/{{}}/?rowid={charge_point.id}"
    assert f"Session {charge.id}" in olga.htmx(run.format("set_display")).get_data(as_text=True)
    fields = {
        "content": "Nearly full",
        "text_format": "plain",
        "language": "en",
        "priority": "always_front",
        "state": "charging",
        "starts_at": "2026-11-20 10:00",
        "ends_at": "2099-11-20 10:00",
        "during": str(charge.id),
        "reason": "A favour",
    }
    assert olga.send(run.format("set_display"), {**fields, "ends_at": "soon"}).status_code == 422
    assert olga.send(run.format("set_display"), fields).status_code == 200
    call = wire.expect_call("SetDisplayMessage")
    assert call.payload["message"]["transactionId"] == "tx-7"
    assert call.payload["message"]["message"] == {"format": "UTF8", "language": "en", "content": "Nearly full"}
    call.answer(status="Accepted")
    eventually(lambda: messages(house, charge_point)[1].status is DisplayStatus.SHOWN)

    assert olga.send(run.format("get_displays"), {"reason": "A look"}).status_code == 200
    asked = wire.expect_call("GetDisplayMessages")
    asked.answer(status="Accepted")
    own = {"id": 900, "priority": "NormalCycle", "message": {"format": "ASCII", "content": "Wel\u0000come"}}
    ours = {**call.payload["message"]}
    head = {"requestId": asked.payload["requestId"]}
    wire.call("NotifyDisplayMessages", {**head, "messageInfo": [own], "tbc": True})
    assert set(messages(house, charge_point)) == {1}, "half a report says nothing yet"
    wire.call("NotifyDisplayMessages", {**head, "messageInfo": [ours], "tbc": False})
    found = messages(house, charge_point)
    assert {number: (row.content, row.ours) for number, row in found.items()} == {
        1: ("Nearly full", True),
        900: ("Welcome", False),
    }
    assert found[1].session_id == charge.id
    page = olga.htmx(f"{PAGE}/displays/?id={charge_point.id}").get_data(as_text=True)
    for said in ("Nearly full", "Always in front", "While charging", "the charge point&#39;s own", "Welcome"):
        assert said.replace("&#39;", "'") in page.replace("&#39;", "'")

    assert olga.send(run.format("clear_display"), {"message": "1", "reason": "Enough"}).status_code == 200
    cleared = wire.expect_call("ClearDisplayMessage")
    assert cleared.payload == {"id": 1}
    cleared.answer(status="Accepted")
    eventually(lambda: messages(house, charge_point)[1].status is DisplayStatus.CLEARED)


def test_a_display_without_messages_has_none(house: House, charge_point: ChargePoint, wire: ScriptedStation) -> None:
    show(house, charge_point)
    wire.expect_call("SetDisplayMessage").answer(status="Accepted")
    eventually(lambda: messages(house, charge_point)[1].status is DisplayStatus.SHOWN)
    displays.get_messages(
        house.session, charge_point=charge_point, reason="A look", actor=house.operator(), now=utcnow()
    )
    house.session.commit()
    wire.expect_call("GetDisplayMessages").answer(status="Unknown")
    eventually(lambda: messages(house, charge_point)[1].status is DisplayStatus.CLEARED)


def test_a_16_station_is_offered_none(house: House, app: Flask) -> None:
    old = house.station()
    olga = signed_in(app, house.operator())
    assert "Set Display Message" not in olga.get(f"{PAGE}/details/?id={old.id}").get_data(as_text=True)
    assert "has no messages" in olga.htmx(f"{PAGE}/displays/?id={old.id}").get_data(as_text=True)


# ---------------------------------------------------------------------- where it connects to


@pytest.mark.parametrize(
    ("answer", "status"),
    [("Accepted", ActionStatus.ACCEPTED), ("Rejected", ActionStatus.REJECTED), ("Failed", ActionStatus.FAILED)],
)
def test_an_operator_gives_a_station_a_connection(
    house: House, app: Flask, charge_point: ChargePoint, wire: ScriptedStation, answer: str, status: ActionStatus
) -> None:
    olga = signed_in(app, house.operator())
    olga.get(f"{PAGE}/details/?id={charge_point.id}")
    run = f"{PAGE}/run/network_profile/?rowid={charge_point.id}"
    dialog = olga.htmx(run).get_data(as_text=True)
    assert "Warning" in dialog
    assert "/ocpp" in dialog, "our own address is there already"
    fields = {"slot": "2", "address": "wss://h.example/ocpp", "security": "2", "timeout_s": "30", "reason": "A move"}
    fields["interface"] = "wireless0"
    assert olga.send(run, {**fields, "slot": "two"}).status_code == 422
    assert olga.send(run, fields).status_code == 200
    call = wire.expect_call("SetNetworkProfile")
    assert call.payload == {
        "configurationSlot": 2,
        "connectionData": {
            "ocppVersion": "OCPP20",
            "ocppTransport": "JSON",
            "ocppCsmsUrl": "wss://h.example/ocpp",
            "messageTimeout": 30,
            "securityProfile": 2,
            "ocppInterface": "Wireless0",
        },
    }
    call.answer(status=answer)
    asked = select(Action.status).filter_by(command="set_network_profile", charge_point_id=charge_point.id)
    eventually(lambda: house.again().scalars(asked).all() == [status])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"address": "https://h.example/"}, "begins with ws"),
        ({"address": "wss://"}, "names a host"),
        ({"address": "wss://h.example:port/"}, "no address"),
        ({"address": "wss://cp:secret@h.example/"}, "no user, password"),
        ({"address": "wss://h.example/" + "x" * 512}, "longer than"),
        ({"address": "ws://h.example/"}, "need an address with wss"),
        ({"security": SecurityProfile.BASIC}, "need an address with wss"),
        ({"slot": -1}, "slot"),
        ({"timeout_s": 0}, "time-out"),
        ({"interface": "radio"}, "interface"),
    ],
)
def test_a_connection_that_cannot_be_is_not_sent(
    house: House, charge_point: ChargePoint, changed: dict[str, Any], said: str
) -> None:
    good = {"slot": 2, "address": "wss://h.example/ocpp", "timeout_s": 30, "interface": "wired0"}
    profile = network_profiles.NetworkProfile(**{**good, "security": SecurityProfile.TLS_BASIC, **changed})
    with pytest.raises(network_profiles.InvalidNetworkProfile, match=said):
        network_profiles.set_network_profile(
            house.session,
            charge_point=charge_point,
            profile=profile,
            reason="A move",
            actor=house.operator(),
            now=utcnow(),
        )


# ---------------------------------------------------------------------- what it keeps about a customer


def told(wire: ScriptedStation, request: int, number: int, data: str, *, more: bool) -> None:
    head = {"requestId": request, "generatedAt": stamp(), "seqNo": number, "tbc": more}
    wire.call("NotifyCustomerInformation", {**head, "data": data})


def questions(house: House, charge_point: ChargePoint) -> list[CustomerInformation]:
    asked = select(CustomerInformation).filter_by(charge_point_id=charge_point.id).order_by(CustomerInformation.id)
    return list(house.again().scalars(asked))


def test_a_station_tells_what_it_keeps_about_a_customer(
    house: House, app: Flask, charge_point: ChargePoint, wire: ScriptedStation
) -> None:
    olga = signed_in(app, house.operator())
    olga.get(f"{PAGE}/details/?id={charge_point.id}")
    run = f"{PAGE}/run/customer_information/?rowid={charge_point.id}"
    fields = {"id_tag": "CARD-1", "customer": "", "what": "both", "reason": "The customer asked"}
    assert olga.send(run, fields).status_code == 200
    call = wire.expect_call("CustomerInformation")
    (row,) = questions(house, charge_point)
    assert call.payload == {
        "requestId": row.id,
        "report": True,
        "clear": True,
        "idToken": {"idToken": "CARD-1", "type": "ISO14443"},
    }
    call.answer(status="Accepted")
    stranger = house.connect(house.station(protocol=NetworkProtocol("ocpp2.0.1")), subprotocols=("ocpp2.0.1",))
    told(stranger, row.id, 0, "nothing of its", more=False)
    told(wire, row.id, 1, "\u0000 on 3 May", more=True)
    assert questions(house, charge_point)[0].content == "", "half of it says nothing yet"
    told(wire, row.id, 0, "2 sessions", more=True)
    told(wire, row.id, 2, "<b>", more=False)
    (row,) = questions(house, charge_point)
    assert (row.content, row.complete) == ("2 sessions on 3 May<b>", True)
    page = olga.htmx(f"{PAGE}/customers/?id={charge_point.id}").get_data(as_text=True)
    for said in ("CARD-1", "2 sessions on 3 May&lt;b&gt;", "Telling and forgetting"):
        assert said in page


def ask(house: House, charge_point: ChargePoint, **changed: Any) -> Action:
    question = {"id_tag": None, "customer": "C-1", "report": False, "clear": True, **changed}
    action = customer_information.ask(
        house.session, charge_point=charge_point, **question, reason="Asked", actor=house.operator(), now=utcnow()
    )
    house.session.commit()
    return action


@pytest.mark.parametrize(("answer", "complete"), [("Accepted", True), ("Rejected", False), ("Invalid", False)])
def test_a_station_that_only_forgets_tells_nothing(
    house: House, charge_point: ChargePoint, wire: ScriptedStation, answer: str, complete: bool
) -> None:
    action = ask(house, charge_point)
    call = wire.expect_call("CustomerInformation")
    assert call.payload["customerIdentifier"] == "C-1"
    call.answer(status=answer)
    eventually(lambda: house.again().get_one(Action, action.id).status is not ActionStatus.PENDING)
    told(wire, call.payload["requestId"], 0, "nobody asked", more=False)
    (row,) = questions(house, charge_point)
    assert (row.complete, row.content) == (complete, "")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"customer": None}, "Enter an RFID tag"),
        ({"id_tag": "x" * 37}, "at most 36"),
        ({"clear": False}, "Choose whether"),
    ],
)
def test_a_question_without_sense_is_not_sent(
    house: House, charge_point: ChargePoint, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(customer_information.InvalidQuestion, match=said):
        ask(house, charge_point, **changed)
    house.session.rollback()
    assert not questions(house, charge_point)


# ---------------------------------------------------------------------- what a session costs


def test_an_operator_shows_the_cost_of_a_session(
    house: House, app: Flask, charge_point: ChargePoint, wire: ScriptedStation
) -> None:
    event = started("tx-8", tag_of(house.driver()))
    wire.call("TransactionEvent", event)
    (charge,) = house.charges(charge_point)
    olga = signed_in(app, house.operator())
    page = f"/activity/charging-sessions/details/?id={charge.id}"
    assert "Show Cost" in olga.get(page).get_data(as_text=True)
    run = f"/activity/charging-sessions/run/show_cost/?rowid={charge.id}"
    assert olga.send(run, {"reason": "The driver asked"}).status_code == 200
    call = wire.expect_call("CostUpdated")
    assert call.payload["transactionId"] == "tx-8"
    action = house.again().scalars(select(Action).filter_by(command="show_cost")).one()
    assert f"Session {charge.id}: {action.request['total']} " in str(action.info)
    assert call.payload["totalCost"] == float(action.request["total"])
    call.answer()
    asked = select(Action.status).filter_by(command="show_cost")
    eventually(lambda: house.again().scalars(asked).all() == [ActionStatus.ANSWERED])
    wire.call("TransactionEvent", {**event, "eventType": "Ended", "seqNo": 1, "triggerReason": "EVDeparted"})
    assert "Show Cost" not in olga.get(page).get_data(as_text=True), "it is over"
