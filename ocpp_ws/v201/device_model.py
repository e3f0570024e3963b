"""Components and variables (OCPP 2.0.1 part 2, 2.6 and appendix 3) as the house names them: ``Component.Variable``.

A component's instance stands in brackets, its EVSE (and connector) after ``@``, a variable's instance in brackets:
``Connector@1:2.Available``, ``EVSE@1.Power``, ``SampledDataCtrlr.TxUpdatedInterval``. Keys by which OCPP 1.6 knows
the same are understood too, so that a fleet of both has one list of configuration defaults.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from app.charging.upkeep.device_model import Described

#: 1.6 key → component.variable
NAMES_OF_16: Final[Mapping[str, str]] = {
    "HeartbeatInterval": "OCPPCommCtrlr.HeartbeatInterval",
    "WebSocketPingInterval": "OCPPCommCtrlr.WebSocketPingInterval",
    "MeterValueSampleInterval": "SampledDataCtrlr.TxUpdatedInterval",
    "MeterValuesSampledData": "SampledDataCtrlr.TxUpdatedMeasurands",
    "StopTxnSampledData": "SampledDataCtrlr.TxEndedMeasurands",
    "ClockAlignedDataInterval": "AlignedDataCtrlr.Interval",
    "MeterValuesAlignedData": "AlignedDataCtrlr.Measurands",
    "ConnectionTimeOut": "TxCtrlr.EVConnectionTimeOut",
    "StopTransactionOnEVSideDisconnect": "TxCtrlr.StopTxOnEVSideDisconnect",
    "StopTransactionOnInvalidId": "TxCtrlr.StopTxOnInvalidId",
    "AuthorizeRemoteTxRequests": "AuthCtrlr.AuthorizeRemoteStart",
    "LocalAuthorizeOffline": "AuthCtrlr.LocalAuthorizeOffline",
    "LocalPreAuthorize": "AuthCtrlr.LocalPreAuthorize",
    "AllowOfflineTxForUnknownId": "AuthCtrlr.OfflineTxForUnknownIdEnabled",
    "AuthorizationCacheEnabled": "AuthCacheCtrlr.Enabled",
    "LocalAuthListEnabled": "LocalAuthListCtrlr.Enabled",
    "TransactionMessageAttempts": "OCPPCommCtrlr.MessageAttempts[TransactionEvent]",
    "TransactionMessageRetryInterval": "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]",
    "AuthorizationKey": "SecurityCtrlr.BasicAuthPassword",
    "CpoName": "SecurityCtrlr.OrganizationName",
    "SecurityProfile": "SecurityCtrlr.SecurityProfile",
}
_BY_LOWER: Final = {key.lower(): name for key, name in NAMES_OF_16.items()}
PASSWORD: Final = NAMES_OF_16["AuthorizationKey"]

_NAME = re.compile(
    r"(?P<component>[^.\[\]@]{1,50})(?:\[(?P<instance>[^\]]{1,50})\])?(?:@(?P<evse>\d{1,5})(?::(?P<connector>\d{1,5}))?)?"
    r"\.(?P<variable>[^.\[\]@]{1,50})(?:\[(?P<of>[^\]]{1,50})\])?"
)


class NoSuchName(ValueError):
    """The name is neither ``Component.Variable`` nor a key of OCPP 1.6 that has one."""


def parse_name(name: str) -> dict[str, Any]:
    """``component`` and ``variable`` as the messages have them. Raises NoSuchName."""
    found = _NAME.fullmatch(_BY_LOWER.get(name.strip().lower(), name.strip()))
    if found is None:
        raise NoSuchName(f"“{name}” is no variable of OCPP 2.0.1; it is written Component.Variable")
    component: dict[str, Any] = {"name": found["component"]}
    if found["instance"]:
        component["instance"] = found["instance"]
    if found["evse"]:
        component["evse"] = {"id": int(found["evse"])}
        if found["connector"]:
            component["evse"]["connectorId"] = int(found["connector"])
    variable = {"name": found["variable"]}
    if found["of"]:
        variable["instance"] = found["of"]
    return {"component": component, "variable": variable}


def name_of(entry: Mapping[str, Any]) -> str:
    """The name of what has a ``component`` and a ``variable``."""
    component, variable = entry.get("component") or {}, entry.get("variable") or {}
    evse = component.get("evse") or {}
    place = f"@{evse['id']}" if evse.get("id") is not None else ""
    if place and evse.get("connectorId") is not None:
        place += f":{evse['connectorId']}"
    return f"{component.get('name', '')}{_instance(component)}{place}.{variable.get('name', '')}{_instance(variable)}"


def _instance(part: Mapping[str, Any]) -> str:
    return f"[{part['instance']}]" if part.get("instance") else ""


def reported_keys(report: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What a NotifyReport says, one entry per variable: key, its actual value, and whether it is read only."""
    return [
        {"key": name_of(data), "value": actual.get("value"), "readonly": actual.get("mutability") == "ReadOnly"}
        for data in report
        for actual in (_actual(data.get("variableAttribute") or ()),)
    ]


def _actual(attributes: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The attribute Actual, which is meant where no type is named; else the first there is."""
    listed = list(attributes)
    return next((each for each in listed if each.get("type", "Actual") == "Actual"), listed[0] if listed else {})


# --- what is described (NotifyReport's reportData, 2.45 ReportDataType)

_ATTRIBUTES: Final = {"Actual": "actual", "Target": "target", "MinSet": "minimum", "MaxSet": "maximum"}
ATTRIBUTES_ON_WIRE: Final = {ours: theirs for theirs, ours in _ATTRIBUTES.items()}
_MUTABILITY: Final = {"ReadOnly": "read_only", "WriteOnly": "write_only", "ReadWrite": "read_write"}


def described(report: Iterable[Mapping[str, Any]]) -> list[Described]:
    """What a NotifyReport says about each variable; the station's password is not among them."""
    return [_described(data, key) for data in report if (key := name_of(data)) != PASSWORD]


def _described(data: Mapping[str, Any], key: str) -> Described:
    component, variable = data.get("component") or {}, data.get("variable") or {}
    evse = component.get("evse") or {}
    traits = data.get("variableCharacteristics") or {}
    return Described(
        key=key,
        component=str(component.get("name", "")),
        component_instance=component.get("instance") or None,
        network_id=evse.get("id"),
        connector_number=evse.get("connectorId"),
        variable=str(variable.get("name", "")),
        variable_instance=variable.get("instance") or None,
        data_type=traits.get("dataType"),
        unit=traits.get("unit"),
        minimum=_number(traits.get("minLimit")),
        maximum=_number(traits.get("maxLimit")),
        allowed_values=traits.get("valuesList"),
        supports_monitoring=bool(traits.get("supportsMonitoring")),
        attributes={
            _ATTRIBUTES[kind]: {
                "value": attribute.get("value"),
                "mutability": _MUTABILITY.get(str(attribute.get("mutability", "ReadWrite")), "read_write"),
                "persistent": bool(attribute.get("persistent")),
                "constant": bool(attribute.get("constant")),
            }
            for attribute in data.get("variableAttribute") or ()
            if (kind := str(attribute.get("type", "Actual"))) in _ATTRIBUTES
        },
    )


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    number = Decimal(str(value))
    return number if number.is_finite() else None
