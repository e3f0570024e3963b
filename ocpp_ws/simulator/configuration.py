"""A station's configuration keys (OCPP 1.6, chapter 9), as the server reads and changes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from ocpp_ws.simulator.planning import LIST_MAX_LENGTH, MAX_STACK_LEVEL, SEND_MAX_LENGTH

Kind = Literal["seconds", "bool", "text"]
Outcome = Literal["Accepted", "Rejected", "RebootRequired", "NotSupported"]


@dataclass(slots=True)
class _Entry:
    value: str
    kind: Kind = "text"
    readonly: bool = False
    needs_reboot: bool = False
    secret: bool = False
    """Can be written and not read."""


class Configuration:
    """The keys of one station. `renamed` are keys that its make spells differently from the specification."""

    def __init__(self, *, evse_count: int, meter_interval_s: float, renamed: Mapping[str, str]) -> None:
        self._renamed = dict(renamed)
        self._entries = {
            "AllowOfflineTxForUnknownId": _Entry("false", "bool"),
            "AuthorizationCacheEnabled": _Entry("true", "bool"),
            "AuthorizationKey": _Entry("", secret=True),
            "AuthorizeRemoteTxRequests": _Entry("false", "bool"),
            "ChargeProfileMaxStackLevel": _Entry(str(MAX_STACK_LEVEL), "seconds", readonly=True),
            "ChargingScheduleAllowedChargingRateUnit": _Entry("Current,Power", readonly=True),
            "ChargingScheduleMaxPeriods": _Entry("24", "seconds", readonly=True),
            "ClockAlignedDataInterval": _Entry("0", "seconds"),
            "ConnectionTimeOut": _Entry("60", "seconds"),
            "ConnectorPhaseRotation": _Entry("NotApplicable"),
            "GetConfigurationMaxKeys": _Entry("50", "seconds", readonly=True),
            "HeartbeatInterval": _Entry("300", "seconds"),
            "LocalAuthListEnabled": _Entry("true", "bool"),
            "LocalAuthListMaxLength": _Entry(str(LIST_MAX_LENGTH), "seconds", readonly=True),
            "LocalAuthorizeOffline": _Entry("true", "bool"),
            "LocalPreAuthorize": _Entry("false", "bool"),
            "MeterValuesAlignedData": _Entry(""),
            "MeterValuesSampledData": _Entry(
                "Energy.Active.Import.Register,Power.Active.Import,Current.Import,Voltage"
            ),
            "MeterValueSampleInterval": _Entry(f"{meter_interval_s:g}", "seconds"),
            "NumberOfConnectors": _Entry(str(evse_count), "seconds", readonly=True),
            "ResetRetries": _Entry("1", "seconds"),
            "SendLocalListMaxLength": _Entry(str(SEND_MAX_LENGTH), "seconds", readonly=True),
            "StopTransactionOnEVSideDisconnect": _Entry("true", "bool", readonly=True),
            "StopTransactionOnInvalidId": _Entry("true", "bool"),
            "StopTxnAlignedData": _Entry(""),
            "StopTxnSampledData": _Entry("Energy.Active.Import.Register"),
            "SupportedFeatureProfiles": _Entry(
                "Core,LocalAuthListManagement,RemoteTrigger,Reservation,SmartCharging", readonly=True
            ),
            "TransactionMessageAttempts": _Entry("3", "seconds"),
            "TransactionMessageRetryInterval": _Entry("10", "seconds"),
            "UnlockConnectorOnEVSideDisconnect": _Entry("true", "bool"),
            "WebSocketPingInterval": _Entry("60", "seconds", needs_reboot=True),
        }
        self._official = {own.lower(): official for official, own in self._renamed.items()}

    def text(self, key: str) -> str:
        """A value by its official name."""
        return self._entries[key].value

    def seconds(self, key: str) -> float:
        """A number by its official name."""
        return float(self._entries[key].value)

    def flag(self, key: str) -> bool:
        """A switch by its official name."""
        return self._entries[key].value.lower() == "true"

    def set(self, key: str, value: str) -> None:
        """Set by official name, without asking whether the server could."""
        self._entries[key].value = value

    def own_name(self, official: str) -> str:
        """How the make spells a key."""
        return self._renamed.get(official, official)

    def change(self, key: str, value: str) -> Outcome:
        """What ChangeConfiguration answers, after doing it. Keys are compared without regard to case."""
        official = self._find(key)
        if official is None:
            return "NotSupported"
        entry = self._entries[official]
        if entry.readonly or not _is_valid(entry.kind, value):
            return "Rejected"
        entry.value = value.strip()
        return "RebootRequired" if entry.needs_reboot else "Accepted"

    def report(self, wanted: Iterable[str] | None) -> tuple[list[dict[str, object]], list[str]]:
        """What GetConfiguration answers: the keys asked for (all when none is named), and those unknown."""
        names = list(wanted or ())
        if not names:
            readable = [key for key, entry in self._entries.items() if not entry.secret]
            return [self._row(key) for key in readable], []
        known, unknown = [], []
        for name in names:
            official = self._find(name)
            if official is None or self._entries[official].secret:
                unknown.append(name)
            else:
                known.append(self._row(official))
        return known, unknown

    def entries(self) -> list[tuple[str, str, Kind, bool, bool]]:
        """Every key by its official name: value, kind, whether it is read only, whether it is secret."""
        return [(key, entry.value, entry.kind, entry.readonly, entry.secret) for key, entry in self._entries.items()]

    def _row(self, official: str) -> dict[str, object]:
        entry = self._entries[official]
        return {
            "key": self._renamed.get(official, official),
            "readonly": entry.readonly,
            "value": entry.value,
        }

    def _find(self, key: str) -> str | None:
        lowered = key.strip().lower()
        if lowered in self._official:
            return self._official[lowered]
        for official in self._entries:
            if official.lower() == lowered and official not in self._renamed:
                return official
        return None


def _is_valid(kind: Kind, value: str) -> bool:
    text = value.strip()
    if kind == "seconds":
        return text.isdigit() and len(text) < 9
    return kind == "text" or text.lower() in ("true", "false")
