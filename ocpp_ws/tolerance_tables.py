"""What the tolerance knows beyond the schemas, per action and field: what may be absent, what an odd value means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

KEPT_AS_SENT: Final = frozenset({"unit", "measurand", "phase", "location", "context", "format"})
"""Enums whose absence has a meaning (no unit is Wh, no phase is the total): an unknown value must not be
dropped, or 3 MWh would become 3 Wh. It stays as sent, for the meter's own rules."""

NEVER_CUT: Final = frozenset(
    {"idTag", "parentIdTag", "idToken", "transactionId", "csr", "certificate", "signedMeterData", "value"}
)
"""Strings that identify or prove something: half of one is another one."""

MAY_BE_ABSENT: Final[Mapping[str, frozenset[str]]] = {
    "StatusNotification": frozenset({"status", "connectorStatus"}),
    "StopTransaction": frozenset({"meterStop"}),
    "DiagnosticsStatusNotification": frozenset({"status"}),
    "FirmwareStatusNotification": frozenset({"status"}),
    "LogStatusNotification": frozenset({"status"}),
    "SignedFirmwareStatusNotification": frozenset({"status"}),
    "TransactionEvent": frozenset({"triggerReason", "idToken.type"}),
    "Authorize": frozenset({"idToken.type"}),
}
"""Required fields whose loss leaves a message that still has to be dealt with: a stop without a meter reading
ends the session at its last known one, an unknown status changes nothing but is answered."""

UNREADABLE_STATUS: Final = "unreadableStatus"
SET_ASIDE: Final[Mapping[str, Mapping[str, str]]] = {
    "StatusNotification": {"status": UNREADABLE_STATUS, "connectorStatus": UNREADABLE_STATUS},
}
"""Where the handler finds, as text, what stood in a field that could not be read: a name no schema has."""

IF_MISSING: Final[Mapping[str, Mapping[str, Any]]] = {
    "BootNotification": {
        "chargePointVendor": "Unknown",
        "chargePointModel": "Unknown",
        "reason": "Unknown",
        "chargingStation": {"vendorName": "Unknown", "model": "Unknown"},
        "chargingStation.vendorName": "Unknown",
        "chargingStation.model": "Unknown",
    },
    "DataTransfer": {"vendorId": ""},
    "MeterValues": {"meterValue": []},
    "SecurityEventNotification": {"type": "Unknown"},
    "StartTransaction": {"idTag": ""},  # nobody's card: recorded and rejected like any unknown one
    "StatusNotification": {"errorCode": "NoError"},
    "StopTransaction": {"transactionId": -1},  # as an offline start has it: matched by connector and time
    "TransactionEvent": {"seqNo": 0},
}
IF_UNKNOWN: Final[Mapping[str, Mapping[str, str]]] = {
    "BootNotification": {"reason": "Unknown"},
    "StatusNotification": {"errorCode": "OtherError"},
    "StopTransaction": {"reason": "Other"},  # without a reason it would mean Local
    "TransactionEvent": {"transactionInfo.stoppedReason": "Other"},
}
OCCUPIED: Final = ("preparing", "charging", "suspendedev", "suspendedevse", "finishing")
ALIASES: Final[Mapping[str, Mapping[str, str]]] = {
    "unit": {
        "hz": "Hertz",
        "c": "Celsius",
        "°c": "Celsius",
        "degc": "Celsius",
        "f": "Fahrenheit",
        "%": "Percent",
        "watt": "W",
        "watts": "W",
        "kilowatt": "kW",
        "wattshour": "Wh",
        "watthour": "Wh",
        "kilowatthour": "kWh",
        "amp": "A",
        "amps": "A",
        "ampere": "A",
        "amperes": "A",
        "volt": "V",
        "volts": "V",
    },
    "status": {"occupied": "Preparing"},  # OCPP 1.5's word
    "connectorStatus": dict.fromkeys(OCCUPIED, "Occupied"),  # OCPP 1.6's words in 2.0.1
}
