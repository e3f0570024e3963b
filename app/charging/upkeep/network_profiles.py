"""Where a station connects to (OCPP 2.0.1 part 2, B09): a profile for one of its slots.

A station takes a profile into use by the order in its variable OCPPCommCtrlr.NetworkConfigurationPriority, after a
reset. No password is ever sent with one: the station keeps that it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, SecurityProfile
from app.charging import commands
from app.charging.commands import CommandName
from app.core.models import Action, Admin

INTERFACES = {
    **{f"wired{number}": f"Wired {number}" for number in range(4)},
    **{f"wireless{number}": f"Wireless {number}" for number in range(4)},
}
LONGEST_ADDRESS = 512
LARGEST_SLOT = 1_000
LONGEST_WAIT_S = 3_600
_ENCRYPTED = (SecurityProfile.TLS_BASIC, SecurityProfile.TLS_CERTIFICATE)


class InvalidNetworkProfile(ValueError):
    """No station could connect by it; the message says why."""


@dataclass(frozen=True, slots=True)
class NetworkProfile:
    """A connection. ``address`` without the station's own name; ``timeout_s``: how long it waits for an answer."""

    slot: int
    address: str
    security: SecurityProfile
    timeout_s: int
    interface: str


def set_network_profile(
    session: Session,
    *,
    charge_point: ChargePoint,
    profile: NetworkProfile,
    reason: str,
    actor: Admin | None,
    now: datetime,
) -> Action:
    """Ask a station to keep a connection in a slot. Flushes.

    Raises InvalidNetworkProfile, NotManaged, ReasonRequired.
    """
    _check(profile)
    return commands.request_command(
        session,
        charge_point=charge_point,
        name=CommandName.SET_NETWORK_PROFILE,
        request={
            "slot": profile.slot,
            "address": profile.address,
            "security": int(profile.security.value),
            "timeout_s": profile.timeout_s,
            "interface": profile.interface,
        },
        info=f"Slot {profile.slot}: {profile.address}, security profile {profile.security.value}"[:200],
        reason=reason,
        actor=actor,
        now=now,
    )


def _check(profile: NetworkProfile) -> None:
    if not 0 <= profile.slot <= LARGEST_SLOT:
        raise InvalidNetworkProfile(f"The slot is a number from 0 to {LARGEST_SLOT}.")
    if not 1 <= profile.timeout_s <= LONGEST_WAIT_S:
        raise InvalidNetworkProfile(f"The time-out is 1 to {LONGEST_WAIT_S} seconds.")
    if profile.interface not in INTERFACES:
        raise InvalidNetworkProfile("Choose an interface.")
    try:
        address = urlsplit(profile.address)
        host, _ = address.hostname, address.port
    except ValueError as error:
        raise InvalidNetworkProfile(f"This is no address: {error}.") from error
    if address.scheme not in ("ws", "wss") or not host or any(each.isspace() for each in profile.address):
        raise InvalidNetworkProfile("The address begins with ws:// or wss://, and names a host.")
    if address.username is not None or address.password is not None or address.query or address.fragment:
        raise InvalidNetworkProfile("The address has no user, password or query: they would be seen by others.")
    if len(profile.address) > LONGEST_ADDRESS:
        raise InvalidNetworkProfile(f"The address is longer than {LONGEST_ADDRESS} characters.")
    if (profile.security in _ENCRYPTED) != (address.scheme == "wss"):
        raise InvalidNetworkProfile("Security profiles 2 and 3 need an address with wss://, 0 and 1 one with ws://.")
