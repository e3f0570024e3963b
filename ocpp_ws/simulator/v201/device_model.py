"""The station's configuration as components and variables (OCPP 2.0.1 part 2, block B and its appendix)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ocpp_ws.simulator.v201.payloads import CONNECTOR_ID, connector_status

if TYPE_CHECKING:
    from ocpp_ws.simulator.station import Station

_NAMES: Final[Mapping[str, str]] = {
    "AllowOfflineTxForUnknownId": "AuthCtrlr.OfflineTxForUnknownIdEnabled",
    "AuthorizationCacheEnabled": "AuthCacheCtrlr.Enabled",
    "AuthorizationKey": "SecurityCtrlr.BasicAuthPassword",
    "AuthorizeRemoteTxRequests": "AuthCtrlr.AuthorizeRemoteStart",
    "ChargeProfileMaxStackLevel": "SmartChargingCtrlr.ProfileStackLevel",
    "ChargingScheduleMaxPeriods": "SmartChargingCtrlr.PeriodsPerSchedule",
    "ClockAlignedDataInterval": "AlignedDataCtrlr.Interval",
    "ConnectionTimeOut": "TxCtrlr.EVConnectionTimeOut",
    "HeartbeatInterval": "OCPPCommCtrlr.HeartbeatInterval",
    "LocalAuthListEnabled": "LocalAuthListCtrlr.Enabled",
    "LocalAuthorizeOffline": "AuthCtrlr.LocalAuthorizeOffline",
    "LocalPreAuthorize": "AuthCtrlr.LocalPreAuthorize",
    "MeterValuesAlignedData": "AlignedDataCtrlr.Measurands",
    "MeterValuesSampledData": "SampledDataCtrlr.TxUpdatedMeasurands",
    "MeterValueSampleInterval": "SampledDataCtrlr.TxUpdatedInterval",
    "ResetRetries": "OCPPCommCtrlr.ResetRetries",
    "SendLocalListMaxLength": "LocalAuthListCtrlr.ItemsPerMessage",
    "StopTransactionOnEVSideDisconnect": "TxCtrlr.StopTxOnEVSideDisconnect",
    "StopTransactionOnInvalidId": "TxCtrlr.StopTxOnInvalidId",
    "StopTxnAlignedData": "AlignedDataCtrlr.TxEndedMeasurands",
    "StopTxnSampledData": "SampledDataCtrlr.TxEndedMeasurands",
    "TransactionMessageAttempts": "OCPPCommCtrlr.MessageAttempts.TransactionEvent",
    "TransactionMessageRetryInterval": "OCPPCommCtrlr.MessageAttemptInterval.TransactionEvent",
    "UnlockConnectorOnEVSideDisconnect": "OCPPCommCtrlr.UnlockOnEVSideDisconnect",
    "WebSocketPingInterval": "OCPPCommCtrlr.WebSocketPingInterval",
}
"""Keys of 1.6, by which the station keeps its settings: Component.Variable, then the variable's instance."""
_TYPES: Final = {"seconds": "integer", "bool": "boolean", "text": "string"}


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the device model; ``key`` is the setting behind it, None for what only can be read."""

    component: str
    name: str
    value: str
    data_type: str = "string"
    key: str | None = None
    instance: str | None = None
    network_id: int | None = None
    connector_id: int | None = None
    readonly: bool = True
    secret: bool = False
    unit: str | None = None

    @property
    def place(self) -> tuple[str, int | None, int | None]:
        """The component it belongs to."""
        return (self.component.lower(), self.network_id, self.connector_id)

    def named(self) -> dict[str, Any]:
        """Its component and variable, as messages name them."""
        component: dict[str, Any] = {"name": self.component}
        if self.network_id is not None:
            component["evse"] = {"id": self.network_id}
            if self.connector_id is not None:
                component["evse"]["connector_id"] = self.connector_id
        variable = {"name": self.name}
        if self.instance is not None:
            variable["instance"] = self.instance
        return {"component": component, "variable": variable}

    def reported(self) -> dict[str, Any]:
        """A ReportDataType; the value of a secret stays at home."""
        mutability = "WriteOnly" if self.secret else "ReadOnly" if self.readonly else "ReadWrite"
        attribute: dict[str, Any] = {"type": "Actual", "mutability": mutability, "persistent": self.key is not None}
        if not self.secret:
            attribute["value"] = self.value
        traits: dict[str, Any] = {"data_type": self.data_type, "supports_monitoring": False}
        if self.unit is not None:
            traits["unit"] = self.unit
        return {**self.named(), "variable_attribute": [attribute], "variable_characteristics": traits}


def variables(station: Station) -> list[Variable]:
    """The whole device model as it is now."""
    return [*_settings(station), *_hardware(station)]


def _settings(station: Station) -> Iterator[Variable]:
    for key, value, kind, readonly, secret in station.configuration.entries():
        if key in _NAMES:
            component, name, *instance = _NAMES[key].split(".")
            yield Variable(
                component,
                name,
                value,
                _TYPES[kind],
                key=key,
                instance=instance[0] if instance else None,
                readonly=readonly,
                secret=secret,
                unit="s" if name.endswith(("Interval", "TimeOut")) else None,
            )


def _hardware(station: Station) -> Iterator[Variable]:
    make, nameplate = station.make, station.spec.nameplate
    faulted = any(evse.fault for evse in station.evses.values())
    yield Variable("ChargingStation", "Model", nameplate.model if nameplate else make.model)
    yield Variable("ChargingStation", "VendorName", nameplate.vendor if nameplate else make.vendor)
    yield Variable("ChargingStation", "Available", "true", "boolean")
    yield Variable("ChargingStation", "Problem", _flag(faulted), "boolean")
    yield Variable("ChargingStation", "SupplyPhases", "3", "integer")
    state = "Available" if station.operative else "Unavailable"
    yield Variable("ChargingStation", "AvailabilityState", state, "OptionList")
    yield Variable("AuthCtrlr", "Enabled", "true", "boolean")
    yield Variable("DeviceDataCtrlr", "ItemsPerMessage", "20", "integer", instance="GetVariables")
    yield Variable("DeviceDataCtrlr", "ItemsPerMessage", "20", "integer", instance="SetVariables")
    yield Variable("LocalAuthListCtrlr", "Entries", str(len(station.local_list.entries)), "integer")
    yield Variable("ReservationCtrlr", "Enabled", "true", "boolean")
    yield Variable("SmartChargingCtrlr", "Enabled", "true", "boolean")
    yield Variable("SmartChargingCtrlr", "RateUnit", "A,W", "MemberList")
    start = "EVConnected" if make.quirks.late_id_token else "Authorized"
    yield Variable("TxCtrlr", "TxStartPoint", start, "MemberList")
    yield Variable("TxCtrlr", "TxStopPoint", "Authorized,EVConnected", "MemberList")
    for number, evse in station.evses.items():
        broken = _flag(evse.fault is not None)
        yield Variable("EVSE", "Available", "true", "boolean", network_id=number)
        yield Variable("EVSE", "AvailabilityState", connector_status(evse), "OptionList", network_id=number)
        yield Variable("EVSE", "Power", f"{evse.usable_w:.0f}", "decimal", network_id=number, unit="W")
        yield Variable("EVSE", "SupplyPhases", "3", "integer", network_id=number)
        plug = "sType2" if evse.kind == "AC" else "cCCS2"
        yield _of_connector(number, "Available", "true", "boolean")
        yield _of_connector(number, "AvailabilityState", connector_status(evse), "OptionList")
        yield _of_connector(number, "ConnectorType", plug, "string")
        yield _of_connector(number, "Problem", broken, "boolean")


def _of_connector(network_id: int, name: str, value: str, data_type: str) -> Variable:
    return Variable("Connector", name, value, data_type, network_id=network_id, connector_id=CONNECTOR_ID)


def _flag(value: bool) -> str:
    return "true" if value else "false"


def find(station: Station, asked: Mapping[str, Any]) -> Variable | str:
    """The variable that is asked for, or why there is none, in the protocol's word. Names know no case (B06)."""
    component, variable = asked["component"], asked["variable"]
    evse = component.get("evse") or {}
    place = (component["name"].lower(), evse.get("id"), evse.get("connector_id"))
    there = [each for each in variables(station) if each.place == place]
    for each in there:
        if each.name.lower() == variable["name"].lower() and each.instance == variable.get("instance"):
            return each if asked.get("attribute_type", "Actual") == "Actual" else "NotSupportedAttributeType"
    return "UnknownVariable" if there else "UnknownComponent"


def get(station: Station, asked: Mapping[str, Any]) -> dict[str, Any]:
    """One entry of GetVariables' answer."""
    found = find(station, asked)
    if isinstance(found, str):
        return {**_repeated(asked), "attribute_status": found}
    if found.secret:
        return {**_repeated(asked), "attribute_status": "Rejected"}
    return {**_repeated(asked), "attribute_status": "Accepted", "attribute_value": found.value}


def change(station: Station, asked: Mapping[str, Any]) -> dict[str, Any]:
    """One entry of SetVariables' answer, after doing it."""
    found = find(station, asked)
    if isinstance(found, str):
        return {**_repeated(asked), "attribute_status": found}
    outcome = "Rejected"
    if found.key is not None:
        own = station.configuration.own_name(found.key)
        outcome = station.change_configuration(own, asked["attribute_value"])
    return {**_repeated(asked), "attribute_status": outcome}


def _repeated(asked: Mapping[str, Any]) -> dict[str, Any]:
    return {name: asked[name] for name in ("attribute_type", "component", "variable") if name in asked}


def base_report(station: Station, base: str) -> list[Variable]:
    """What GetBaseReport asks for (B07): everything, what can be set, or how the parts are."""
    everything = variables(station)
    if base == "FullInventory":
        return everything
    if base == "ConfigurationInventory":
        return [each for each in everything if each.key is not None and not each.readonly]
    return [each for each in everything if each.name in ("AvailabilityState", "Available", "Problem")]


def chosen_report(
    station: Station, named: Iterable[Mapping[str, Any]] | None, criteria: Iterable[str] | None
) -> list[Variable]:
    """What GetReport asks for (B08): components by what holds for them, by name, or both."""
    found = variables(station)
    wanted_names = set(criteria or ())
    if wanted_names:
        fit = {each.place for each in found if each.name in wanted_names and each.value.lower() == "true"}
        found = [each for each in found if each.place in fit]
    named = list(named or ())
    return [each for each in found if any(_is_named(each, one) for one in named)] if named else found


def _is_named(each: Variable, asked: Mapping[str, Any]) -> bool:
    component = asked["component"]
    evse = component.get("evse") or {}
    variable = asked.get("variable") or {}
    return (
        each.component.lower() == component["name"].lower()
        and evse.get("id") in (None, each.network_id)
        and evse.get("connector_id") in (None, each.connector_id)
        and variable.get("name", each.name).lower() == each.name.lower()
        and variable.get("instance") in (None, each.instance)
    )
