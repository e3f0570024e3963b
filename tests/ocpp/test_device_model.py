"""The device model of a 2.0.1 station: reported in parts, shown as a tree, searched, and changed with reason."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from app.assets.models import ChargePoint, NetworkProtocol
from app.charging.models import ConfigurationKey, ConfigurationStatus, DeviceVariable
from app.charging.upkeep import configuration, device_model
from app.core.clock import utcnow
from app.core.models import Action, ActionStatus
from tests.support.factories_dashboard import signed_in
from tests.support.gateway import House, eventually
from tests.support.scripted_station import ScriptedStation, stamp

PAGE = "/assets/charge-points"


def variable(
    component: str, name: str, value: str, *, evse: int | None = None, mutability: str = "ReadWrite", **traits: Any
) -> dict[str, Any]:
    """One entry of reportData."""
    where = {"name": component, **({"evse": {"id": evse}} if evse else {})}
    return {
        "component": where,
        "variable": {"name": name},
        "variableAttribute": [{"type": "Actual", "value": value, "mutability": mutability}],
        "variableCharacteristics": {"dataType": "string", "supportsMonitoring": False, **traits},
    }


POWER = variable("EVSE", "Power", "11000", evse=1, mutability="ReadOnly", dataType="decimal", unit="W", maxLimit=22000)
MODEL = [
    variable("OCPPCommCtrlr", "HeartbeatInterval", "300", dataType="integer", unit="s", minLimit=1, maxLimit=86400),
    {
        **POWER,
        "variableAttribute": [*POWER["variableAttribute"], {"type": "MaxSet", "value": "22000"}],
    },
    variable("SecurityCtrlr", "BasicAuthPassword", "secret-secret-secret", mutability="WriteOnly"),
    variable("TxCtrlr", "TxStopPoint", "EVConnected", dataType="MemberList", valuesList="EVConnected,PowerPathClosed"),
    variable("TxCtrlr", "EVConnectionTimeOut", "60", dataType="integer"),
]


@pytest.fixture
def charge_point(house: House) -> ChargePoint:
    return house.station(protocol=NetworkProtocol("ocpp2.0.1"))


@pytest.fixture
def wire(house: House, charge_point: ChargePoint) -> ScriptedStation:
    return house.connect(charge_point, subprotocols=("ocpp2.0.1",))


def asked_for_all(house: House, charge_point: ChargePoint, wire: ScriptedStation, base: str = "all") -> int:
    """An operator reads the configuration; the number by which the station is asked to report it."""
    configuration.read_configuration(
        house.session, charge_point=charge_point, base=base, reason="A look", actor=house.operator(), now=utcnow()
    )
    house.session.commit()
    call = wire.expect_call("GetBaseReport")
    call.answer(status="Accepted")
    return int(call.payload["requestId"])


def report(wire: ScriptedStation, request_id: int, number: int, entries: list[dict[str, Any]], *, more: bool) -> None:
    wire.call(
        "NotifyReport",
        {
            "requestId": request_id,
            "generatedAt": stamp(),
            "seqNo": number,
            "tbc": more,
            "reportData": entries,
        },
    )


def variables(house: House, charge_point: ChargePoint) -> dict[str, DeviceVariable]:
    rows = house.again().scalars(select(DeviceVariable).filter_by(charge_point_id=charge_point.id))
    return {row.key: row for row in rows}


@pytest.mark.parametrize("order", [order for order in itertools.permutations(range(3)) if order[-1] == 2])
def test_parts_make_one_model(
    house: House, charge_point: ChargePoint, wire: ScriptedStation, order: tuple[int, ...]
) -> None:
    """Whatever order the parts come in, the last one being last; what was there before and is not named has gone."""
    first = asked_for_all(house, charge_point, wire)
    report(wire, first, 0, [variable("Old", "Thing", "1"), MODEL[0]], more=False)
    assert set(variables(house, charge_point)) == {"Old.Thing", "OCPPCommCtrlr.HeartbeatInterval"}
    request_id = asked_for_all(house, charge_point, wire)
    parts = [MODEL[:2], MODEL[2:3], MODEL[3:]]
    for number in order:
        report(wire, request_id, number, parts[number], more=number != 2)
    found = variables(house, charge_point)
    assert set(found) == {
        "OCPPCommCtrlr.HeartbeatInterval", "EVSE@1.Power", "TxCtrlr.TxStopPoint", "TxCtrlr.EVConnectionTimeOut",
    }  # fmt: skip
    power = found["EVSE@1.Power"]
    assert (power.component, power.network_id, power.unit, power.maximum) == ("EVSE", 1, "W", 22000)
    assert power.attributes["maximum"]["value"] == "22000"
    values = {row.key: row.value for row in house.again().scalars(select(ConfigurationKey))}
    assert values["EVSE@1.Power"] == "11000"
    assert "Old.Thing" not in values


@pytest.mark.parametrize("base", ["configuration", "summary"])
def test_a_report_of_a_part_takes_nothing_away(
    house: House, charge_point: ChargePoint, wire: ScriptedStation, base: str
) -> None:
    """Only a full inventory says that what it does not name is not there."""
    report(wire, asked_for_all(house, charge_point, wire), 0, MODEL, more=False)
    report(wire, asked_for_all(house, charge_point, wire, base), 0, MODEL[:1], more=False)
    assert "TxCtrlr.TxStopPoint" in variables(house, charge_point)


def test_the_tree_is_shown_searched_and_changed(
    house: House, app: Flask, charge_point: ChargePoint, wire: ScriptedStation
) -> None:
    """As an operator does it, the station's password never being shown."""
    report(wire, asked_for_all(house, charge_point, wire), 0, MODEL, more=False)
    olga = signed_in(app, house.operator())
    olga.get(f"{PAGE}/details/?id={charge_point.id}")  # where the parts and dialogs appear
    page = olga.htmx(f"{PAGE}/configuration/?id={charge_point.id}").get_data(as_text=True)
    for said in ("OCPPCommCtrlr", "EVSE 1", "HeartbeatInterval", "1 to 86400 s", "Read only", "EVConnected, PowerPath"):
        assert said in page
    assert "secret-secret" not in page
    olga.page_ids |= {"configuration-filter"}  # it has come with the part
    found = olga.htmx(f"{PAGE}/configuration/?id={charge_point.id}&part=table&search=stoppoint").get_data(as_text=True)
    assert "TxStopPoint" in found and "HeartbeatInterval" not in found
    change = f"{PAGE}/run/change_configuration/?rowid={charge_point.id}&key=OCPPCommCtrlr.HeartbeatInterval"
    fields = {"key": "OCPPCommCtrlr.HeartbeatInterval", "reason": "Too chatty", "rowid": charge_point.id}
    refused = olga.send(change, {**fields, "value": "0"})
    assert refused.status_code == 422
    assert "takes at least 1 s" in refused.get_data(as_text=True)
    assert olga.send(change, {**fields, "value": "600"}).status_code == 200
    call = wire.expect_call("SetVariables")
    (wanted,) = call.payload["setVariableData"]
    assert wanted == {
        "attributeValue": "600",
        "component": {"name": "OCPPCommCtrlr"},
        "variable": {"name": "HeartbeatInterval"},
    }
    call.answer(
        setVariableResult=[{"attributeStatus": "Accepted", **{k: wanted[k] for k in ("component", "variable")}}]
    )
    eventually(
        lambda: (
            house.again().get_one(ConfigurationKey, (charge_point.id, "OCPPCommCtrlr.HeartbeatInterval")).status
            is not ConfigurationStatus.PENDING
        )
    )


def test_another_attribute_is_set_and_kept(house: House, charge_point: ChargePoint, wire: ScriptedStation) -> None:
    """Its target is not its present value."""
    report(wire, asked_for_all(house, charge_point, wire), 0, MODEL, more=False)
    action = configuration.change_configuration(
        house.session,
        charge_point=charge_point,
        key="TxCtrlr.EVConnectionTimeOut",
        value="90",
        attribute="target",
        reason="Slow drivers",
        actor=house.operator(),
        now=utcnow(),
    )
    house.session.commit()
    call = wire.expect_call("SetVariables")
    (wanted,) = call.payload["setVariableData"]
    assert wanted["attributeType"] == "Target"
    call.answer(
        setVariableResult=[{"attributeStatus": "Accepted", **{k: wanted[k] for k in ("component", "variable")}}]
    )
    eventually(lambda: house.again().get_one(Action, action.id).status is ActionStatus.ACCEPTED)
    kept = variables(house, charge_point)["TxCtrlr.EVConnectionTimeOut"]
    assert kept.attributes["target"]["value"] == "90"
    assert kept.attributes["actual"]["value"] == "60"


@pytest.mark.parametrize(
    ("traits", "value", "said"),
    [
        ({"data_type": "integer"}, "1.5", "whole number"),
        ({"data_type": "integer", "maximum": Decimal(10), "unit": "A"}, "11", "at most 10 A"),
        ({"data_type": "decimal", "minimum": Decimal(0)}, "-0.1", "at least 0"),
        ({"data_type": "decimal"}, "NaN", "number"),
        ({"data_type": "boolean"}, "yes", "true or false"),
        ({"data_type": "OptionList", "allowed_values": "A,B"}, "C", "one of: A, B"),
        ({"data_type": "MemberList", "allowed_values": "A,B"}, "A,C", "not C"),
        ({"data_type": "string", "maximum": Decimal("3.000000")}, "abcd", "at most 3 characters"),
    ],
)
def test_what_a_variable_cannot_be_is_said(traits: dict[str, Any], value: str, said: str) -> None:
    """Before it is sent."""
    described = DeviceVariable(key="C.V", component="C", variable="V", attributes={}, **traits)
    with pytest.raises(device_model.BadVariableValue, match=said):
        device_model.check_variable_value(described, value)
