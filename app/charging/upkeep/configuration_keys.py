"""The standard configuration keys of charge points, in plain words.

OCPP 1.6, chapter 9 (Core 9.1, Local Auth List 9.2, Reservation 9.3, Smart Charging 9.4, file transfer as in 5.19), its
security whitepaper, chapter 2, and its note on Plug & charge. Stations have keys of their own beside these; of those
nothing is known here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

#: the password of a station: never read, shown or stored here, and changed by rotating it
AUTHORIZATION_KEY = "AuthorizationKey"
#: the same in a device model, where a variable is written Component.Variable
AUTHORIZATION_VARIABLE = "SecurityCtrlr.BasicAuthPassword"
#: a plain key; of a variable with its component
LONGEST_PLAIN_KEY = 50
LONGEST_KEY = 255
LONGEST_VALUE = 1000


class Takes(StrEnum):
    """What a key's value is."""

    SWITCH = "switch"
    NUMBER = "number"
    SECONDS = "seconds"
    LIST = "list"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class StandardKey:
    """A key of the specification: its group, what it takes, what it means, and whether it can only be read."""

    name: str
    group: str
    takes: Takes
    help: str
    read_only: bool = False


class InvalidChange(ValueError):
    """The key cannot be changed like this; the message says what would be right."""


class BadKey(InvalidChange):
    """This is no name of a key."""


class BadValue(InvalidChange):
    """A standard key cannot have this value."""


class AuthorizationKeyRefused(InvalidChange):
    """The station's password is not changed like other keys."""

    def __init__(self) -> None:
        super().__init__(
            f"{AUTHORIZATION_KEY} is the password the charge point connects with. Change it with the action that "
            "rotates the password, so that the charge point is not lost."
        )


CORE, LISTS, RESERVATION = "Core", "Local auth list", "Reservation"
SMART, FIRMWARE, SECURITY = "Smart charging", "Firmware", "Security"
PLUG_AND_CHARGE = "Plug & charge"
_S, _N, _SEC, _L, _T = Takes.SWITCH, Takes.NUMBER, Takes.SECONDS, Takes.LIST, Takes.TEXT

_ALL = (
    StandardKey("AllowOfflineTxForUnknownId", CORE, _S,
                "While offline, whether tags it does not know may charge. Such a session may never be paid."),
    StandardKey("AuthorizationCacheEnabled", CORE, _S,
                "Whether it remembers tags that were accepted, and lets them charge without asking when offline."),
    StandardKey("AuthorizeRemoteTxRequests", CORE, _S,
                "Whether a session started from here is first asked for like a tag that was held to the reader."),
    StandardKey("BlinkRepeat", CORE, _N, "How often its lights blink when they signal something."),
    StandardKey("ClockAlignedDataInterval", CORE, _SEC,
                "Seconds between meter values at full times of the clock, e.g. 900 for each quarter of an hour, also "
                "without a session. 0 switches them off."),
    StandardKey("ConnectionTimeOut", CORE, _SEC,
                "Seconds a driver has to plug in after the tag was accepted or the session started from here."),
    StandardKey("ConnectorPhaseRotation", CORE, _L,
                "How the phases are wired at each connector, e.g. 1.RST; 0 is the feed of the whole charge point."),
    StandardKey("ConnectorPhaseRotationMaxLength", CORE, _N,
                "How many entries ConnectorPhaseRotation may have.", read_only=True),
    StandardKey("GetConfigurationMaxKeys", CORE, _N,
                "How many keys can be asked for by name at once.", read_only=True),
    StandardKey("HeartbeatInterval", CORE, _SEC,
                "Seconds without other messages after which it says that it is alive."),
    StandardKey("LightIntensity", CORE, _N, "How bright its lights are, in percent."),
    StandardKey("LocalAuthorizeOffline", CORE, _S,
                "While offline, whether tags of its local list and memory may charge."),
    StandardKey("LocalPreAuthorize", CORE, _S,
                "Whether tags of its local list and memory may charge at once, without asking, also while online."),
    StandardKey("MaxEnergyOnInvalidId", CORE, _N,
                "Wh that a session may still deliver after its tag was refused. 0: none."),
    StandardKey("MeterValuesAlignedData", CORE, _L,
                "What is measured at ClockAlignedDataInterval, e.g. Energy.Active.Import.Register."),
    StandardKey("MeterValuesAlignedDataMaxLength", CORE, _N,
                "How many entries MeterValuesAlignedData may have.", read_only=True),
    StandardKey("MeterValuesSampledData", CORE, _L,
                "What is measured during a session: sessions are billed by Energy.Active.Import.Register; "
                "Power.Active.Import, Current.Import, Voltage and SoC draw the curves."),
    StandardKey("MeterValuesSampledDataMaxLength", CORE, _N,
                "How many entries MeterValuesSampledData may have.", read_only=True),
    StandardKey("MeterValueSampleInterval", CORE, _SEC,
                "Seconds between meter values of a session. 0 switches them off; a session without them is ended "
                "by the inactivity rule."),
    StandardKey("MinimumStatusDuration", CORE, _SEC,
                "Seconds a status must last before it is reported, so that a shaky contact is not told each time."),
    StandardKey("NumberOfConnectors", CORE, _N, "How many connectors it has.", read_only=True),
    StandardKey("ResetRetries", CORE, _N, "How often it tries to reset when the first time fails."),
    StandardKey("StopTransactionOnEVSideDisconnect", CORE, _S,
                "Whether pulling the plug at the car ends the session. Otherwise it is only interrupted."),
    StandardKey("StopTransactionOnInvalidId", CORE, _S,
                "Whether a session that began offline is stopped when its tag turns out not to be allowed."),
    StandardKey("StopTxnAlignedData", CORE, _L,
                "Which clock-aligned measurements come along with the end of a session."),
    StandardKey("StopTxnAlignedDataMaxLength", CORE, _N,
                "How many entries StopTxnAlignedData may have.", read_only=True),
    StandardKey("StopTxnSampledData", CORE, _L, "Which measurements come along with the end of a session."),
    StandardKey("StopTxnSampledDataMaxLength", CORE, _N,
                "How many entries StopTxnSampledData may have.", read_only=True),
    StandardKey("SupportedFeatureProfiles", CORE, _L,
                "Which groups of functions it has, e.g. Reservation or SmartCharging.", read_only=True),
    StandardKey("SupportedFeatureProfilesMaxLength", CORE, _N,
                "How many entries SupportedFeatureProfiles may have.", read_only=True),
    StandardKey("TransactionMessageAttempts", CORE, _N,
                "How often it sends a message of a session that could not be dealt with. With too few, the message may "
                "be lost, and money with it."),
    StandardKey("TransactionMessageRetryInterval", CORE, _SEC,
                "Seconds before such a message is sent again, multiplied by the number of attempts so far."),
    StandardKey("UnlockConnectorOnEVSideDisconnect", CORE, _S,
                "Whether the plug is released at the charge point when it is pulled at the car."),
    StandardKey("WebSocketPingInterval", CORE, _SEC,
                "Seconds between pings by which it keeps its connection open. 0 switches them off; this system pings "
                "by itself."),
    StandardKey("LocalAuthListEnabled", LISTS, _S, "Whether it uses the local list of tags that it was sent."),
    StandardKey("LocalAuthListMaxLength", LISTS, _N, "How many tags its local list can hold.", read_only=True),
    StandardKey("SendLocalListMaxLength", LISTS, _N, "How many tags it takes in one message.", read_only=True),
    StandardKey("ReserveConnectorZeroSupported", RESERVATION, _S,
                "Whether any one of its connectors can be reserved, without saying which.", read_only=True),
    StandardKey("ChargeProfileMaxStackLevel", SMART, _N,
                "The highest stack level of a charging profile: how many can lie over one another.", read_only=True),
    StandardKey("ChargingScheduleAllowedChargingRateUnit", SMART, _L,
                "Whether limits may be given in A (Current) or in W (Power).", read_only=True),
    StandardKey("ChargingScheduleMaxPeriods", SMART, _N,
                "How many periods a charging schedule may have.", read_only=True),
    StandardKey("ConnectorSwitch3to1PhaseSupported", SMART, _S,
                "Whether it can go from three phases to one while a session runs.", read_only=True),
    StandardKey("MaxChargingProfilesInstalled", SMART, _N,
                "How many charging profiles it can hold.", read_only=True),
    StandardKey("SupportedFileTransferProtocols", FIRMWARE, _L,
                "By what it can fetch firmware and deliver diagnostics; here it must have HTTP or HTTPS.",
                read_only=True),
    StandardKey("AdditionalRootCertificateCheck", SECURITY, _S,
                "Whether a new root certificate of the system must be signed by the one before.", read_only=True),
    StandardKey(AUTHORIZATION_KEY, SECURITY, _T,
                "The password it connects with. It is never shown or stored here, and is changed by rotating it from "
                "the charge point's page."),
    StandardKey("CertificateSignedMaxChainSize", SECURITY, _N,
                "How many bytes a chain of certificates that it is sent may have.", read_only=True),
    StandardKey("CertificateStoreMaxLength", SECURITY, _N,
                "How many certificates it can hold.", read_only=True),
    StandardKey("CertSigningRepeatTimes", SECURITY, _N,
                "How often it asks again for a certificate that it was not sent."),
    StandardKey("CertSigningWaitMinimum", SECURITY, _SEC,
                "Seconds it waits for a certificate it has asked for, before it asks again; doubled each time."),
    StandardKey("CpoName", SECURITY, _T, "The operator's name, as it stands in the certificate it asks for."),
    StandardKey("SecurityProfile", SECURITY, _N,
                "How it connects: 0 open, 1 with a password, 2 with a password over TLS, 3 with a certificate of its "
                "own. It can be raised, not lowered; check the connection before."),
    StandardKey("ISO15118PnCEnabled", PLUG_AND_CHARGE, _S,
                "Whether cars with a contract certificate are charged without a tag (ISO 15118)."),
    StandardKey("CentralContractValidationAllowed", PLUG_AND_CHARGE, _S,
                "Whether a contract certificate it cannot check by itself is passed on to be checked here."),
    StandardKey("ContractValidationOffline", PLUG_AND_CHARGE, _S,
                "While offline, whether it checks contract certificates by itself and lets the car charge."),
)  # fmt: skip

STANDARD_KEYS: dict[str, StandardKey] = {key.name: key for key in _ALL}
_FOLDED = {key.name.lower(): key for key in _ALL}


def standard_key(name: str) -> StandardKey | None:
    """The standard key of a name, compared without regard to case (OCPP 1.6, 7.29); None for a station's own."""
    return _FOLDED.get(name.strip().lower())


def is_authorization_key(name: str) -> bool:
    """Whether it is the station's password."""
    return name.strip().lower() in (AUTHORIZATION_KEY.lower(), AUTHORIZATION_VARIABLE.lower())


def same_value(one: str | None, other: str | None) -> bool:
    """Whether two values of a key mean the same: blanks, case of true and false, and zeros in front do not count.

    ``None``, a value the station has not told, is like no other.
    """
    return one is not None and other is not None and _plain(one) == _plain(other)


def _plain(value: str) -> str:
    text = ",".join(part.strip() for part in value.split(","))
    if text.lower() in ("true", "false"):
        return text.lower()
    return str(int(text)) if re.fullmatch(r"\d{1,18}", text, re.ASCII) else text


def check_key(name: str) -> str:
    """The name as it is sent, a standard key spelt as the specification does.

    Raises BadKey, and AuthorizationKeyRefused for the station's password.
    """
    text = name.strip()
    longest = LONGEST_KEY if "." in text else LONGEST_PLAIN_KEY
    if not text or len(text) > longest or not text.isprintable():
        raise BadKey(f"A key has 1 to {longest} characters.")
    if is_authorization_key(text):
        raise AuthorizationKeyRefused
    known = standard_key(text)
    return known.name if known else text


def check_value(name: str, value: str) -> str:
    """The value as it is sent. Raises BadValue when a standard key cannot have it, or it is too long."""
    text = value.strip()
    if len(text) > LONGEST_VALUE:
        raise BadValue(f"A value has at most {LONGEST_VALUE} characters.")
    known = standard_key(name)
    if known is None:
        return text
    if known.takes is Takes.SWITCH and text.lower() not in ("true", "false"):
        raise BadValue(f"{known.name} is true or false.")
    if known.takes in (Takes.NUMBER, Takes.SECONDS) and not re.fullmatch(r"-?\d{1,10}", text, re.ASCII):
        unit = " of seconds" if known.takes is Takes.SECONDS else ""
        raise BadValue(f"{known.name} is a whole number{unit}.")
    return text
