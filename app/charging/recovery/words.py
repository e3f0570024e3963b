"""What stations' error codes mean to a person who has to decide whether to drive there."""

from __future__ import annotations

#: error code in lower case → what it means, and what usually helps
_WORDS: dict[str, tuple[str, str]] = {
    "connectorlockfailure": (
        "The lock of the connector does not open or close",
        "Look for a plug that is stuck or not fully in.",
    ),
    "evcommunicationerror": (
        "The charge point and the car do not understand each other",
        "Ask the driver to unplug and plug in again.",
    ),
    "groundfailure": (
        "The residual current protection has tripped",
        "Have an electrician check the installation before it is used again.",
    ),
    "hightemperature": ("It is too hot inside the charge point", "Look for blocked air vents or a broken fan."),
    "internalerror": ("The charge point's hardware or software has failed", "Switch its power off and on on site."),
    "locallistconflict": ("Its local auth list is not ours", "Send the local auth list again."),
    "othererror": ("The charge point gives no standard reason", "See its own words, and the manufacturer's manual."),
    "overcurrentfailure": (
        "The overcurrent protection has tripped",
        "Have the circuit breaker and the cable checked.",
    ),
    "overvoltage": ("The mains voltage is too high", "It is a matter of the grid; ask its operator if it lasts."),
    "powermeterfailure": ("The energy meter cannot be read", "The meter or its wiring has to be checked on site."),
    "powerswitchfailure": ("The contactor does not switch", "It may be welded: have it checked before further use."),
    "readerfailure": ("The card reader does not work", "Sessions can still be started from here."),
    "resetfailure": ("The charge point could not restart", "Switch its power off and on on site."),
    "undervoltage": ("The mains voltage is too low", "It is a matter of the grid; ask its operator if it lasts."),
    "weaksignal": ("The mobile signal is weak", "Check the antenna, or another SIM card."),
}
_UNKNOWN = ("The charge point reports a fault", "See its own words, and the manufacturer's manual.")


def meaning(error_code: str | None) -> str:
    """What the code means, in plain words; for one nobody knows, that it is a fault."""
    return _WORDS.get((error_code or "").lower(), _UNKNOWN)[0]


def advice(error_code: str | None) -> str:
    """What usually helps on site."""
    return _WORDS.get((error_code or "").lower(), _UNKNOWN)[1]


def fault_in_words(error_code: str | None, info: str | None) -> str:
    """Meaning, code, and what the station says beside it: 'It is too hot inside … (HighTemperature: 81 °C)'."""
    own = ": ".join(part for part in (error_code, info) if part)
    return f"{meaning(error_code)} ({own})" if own else meaning(error_code)
