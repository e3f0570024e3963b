"""What an operator does to sites and stations. Manual, "Adding a Location" and "Adding a Charge Point".

Rules about a whole charge point, which no single field can judge, are in ``mistakes_of``; each mistake names its field,
so that whoever asked (a form, a file) can show it there.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy import text as sql
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import flag_modified

from app.assets.actions import note_action
from app.assets.models import AccessType, ChargePoint, Evse, SecurityProfile, SystemStatus, Tag
from app.core import events
from app.core.audit import record_change
from app.core.models import Action, Admin
from app.core.passwords import hash_station_password

#: the gateway reloads a station when it hears this
CHANGED = "charge_point.changed"
CHANGE_STATUS = "Change Charge Point Status"
MAX_PASSWORD_BYTES = 255
MAX_TAG_LENGTH = 120

_WORD = r"[^\W\d_]+(?:[-'’][^\W\d_]+)*"
_WHAT3WORDS = re.compile(rf"/{{0,3}}({_WORD})[.。・]({_WORD})[.。・]({_WORD})")
_WITH_PASSWORD = (SecurityProfile.BASIC, SecurityProfile.TLS_BASIC)
_CODE = re.compile(r"[A-Za-z0-9*_-]{1,40}")


@dataclass(frozen=True)
class Mistake:
    """What is wrong, and the field that has to change: ``("evses", 1, "network_id")`` is the second EVSE's."""

    path: tuple[str | int, ...]
    message: str


class InvalidChargePoint(ValueError):
    """The charge point cannot be kept like this; ``mistakes`` say why."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__(" ".join(mistake.message for mistake in self.mistakes))


class InvalidNetworkPassword(ValueError):
    """A network password is 1 to 255 bytes without control characters, or ``hex:`` and hexadecimal digits."""


class InvalidWhat3words(ValueError):
    """A what3words address is three words with full stops between them."""


class StatusUnchanged(ValueError):
    """The charge point has that system status already."""


def check_charge_point(charge_point: ChargePoint, evses: Sequence[tuple[int, Evse]] | None = None) -> None:
    """Raise InvalidChargePoint for whatever ``mistakes_of`` finds.

    ``evses`` are those that will be left, each with the place a mistake of it is told by; without, all it has now.
    """
    mistakes = list(mistakes_of(charge_point, list(enumerate(charge_point.evses)) if evses is None else evses))
    if mistakes:
        raise InvalidChargePoint(mistakes)


def mistakes_of(charge_point: ChargePoint, evses: Sequence[tuple[int, Evse]]) -> Iterator[Mistake]:
    """What contradicts the manual, "Adding a Charge Point" and "Enabling DLM", or would be ambiguous over OCPP."""
    identifier = charge_point.identifier or ""
    if not identifier or identifier != identifier.strip() or re.search(r"[/\x00-\x1f\x7f]", identifier):
        yield Mistake(("identifier",), "A Charge Point ID has no “/”, no line breaks and no spaces around it.")
    if charge_point.show_to_public_with_notice and charge_point.access_type is not AccessType.PRIVATE:
        yield Mistake(
            ("show_to_public_with_notice",), "Only a Private charge point is shown to the public with notice."
        )
    if charge_point.managed_by_operator is False and charge_point.notice is None and charge_point.notice_id is None:
        yield Mistake(("notice",), "Not Managed By Operator: choose the notice that drivers are shown.")
    if charge_point.security_profile in _WITH_PASSWORD and not charge_point.password_hash:
        yield Mistake(("security_profile",), "This profile needs a network password: enter the one the station has.")
    yield from _load_management_mistakes(charge_point)
    yield from _evse_mistakes(evses)


def name_point_of_interest(charge_point: ChargePoint) -> None:
    """Give a charge point that never connects to us an ID of its own, if it has none.

    Manual, "Managed By Operator": it is only shown as a point of interest, so nobody needs to think of one.
    """
    if charge_point.managed_by_operator is False and not charge_point.identifier:
        charge_point.identifier = f"POI-{secrets.token_hex(4).upper()}"


def notice_applies(charge_point: ChargePoint) -> bool:
    """Whether drivers are shown a notice. Manual, "Private" and "Managed By Operator"."""
    shown_private = charge_point.access_type is AccessType.PRIVATE and charge_point.show_to_public_with_notice
    return bool(shown_private) or charge_point.managed_by_operator is False


def _load_management_mistakes(charge_point: ChargePoint) -> Iterator[Mistake]:
    if not charge_point.load_management:
        return
    if charge_point.max_current_a is None:
        yield Mistake(("max_current_a",), "Load management needs the maximum current.")
    if charge_point.phases is None:
        yield Mistake(("phases",), "Load management needs the number of phases.")
    if charge_point.phases == 1 and charge_point.connected_phase is None:
        yield Mistake(("connected_phase",), "A single-phase charge point needs its connected phase.")
    if charge_point.phases == 3 and charge_point.phase_rotation is None:
        yield Mistake(("phase_rotation",), "A 3-phase charge point needs its phase rotation.")


def _evse_mistakes(evses: Sequence[tuple[int, Evse]]) -> Iterator[Mistake]:
    numbers = Counter(evse.network_id for _, evse in evses if evse.network_id is not None)
    codes = Counter(evse.code.upper() for _, evse in evses if evse.code)
    for index, evse in evses:
        if evse.network_id is None or evse.network_id < 1:
            yield Mistake(("evses", index, "network_id"), "Use consecutive numbers starting at 1.")
        elif numbers[evse.network_id] > 1:
            yield Mistake(
                ("evses", index, "network_id"), "Two EVSEs of a charge point cannot have the same Network ID."
            )
        if not evse.code or not _CODE.fullmatch(evse.code):
            yield Mistake(("evses", index, "code"), "Use letters, digits, *, _ and - (at most 40).")
        elif codes[evse.code.upper()] > 1:
            yield Mistake(("evses", index, "code"), "Two EVSEs cannot have the same ID.")
        if evse.max_power_w is not None and evse.max_power_w <= 0:
            yield Mistake(("evses", index, "max_power_w"), "The power must be more than 0 kW.")


def allow_renumbering(session: Session) -> None:
    """Let EVSEs of a charge point swap their Network IDs in this transaction: they are compared at its end."""
    session.execute(sql("SET CONSTRAINTS uq_evse_charge_point_id_network_id DEFERRED"))


def announce_changed(session: Session, charge_point: ChargePoint) -> None:
    """Tell the gateway and open pages that the station's data changed, once it is committed."""
    events.announce(session, CHANGED, partner_id=charge_point.partner_id, charge_point_id=charge_point.id)


def mark_changed(charge_point: ChargePoint) -> None:
    """Count up the charge point's version also when only its EVSEs or connectors changed.

    Whoever else has the form open is then told that something changed meanwhile.
    """
    flag_modified(charge_point, "name")


def password_bytes(text: str) -> bytes:
    """The bytes of a network password: the literal's, or after ``hex:`` those it spells, as in the provisioning file.

    Raises InvalidNetworkPassword.
    """
    if text.startswith("hex:"):
        try:
            password = bytes.fromhex(text.removeprefix("hex:"))
        except ValueError:
            raise InvalidNetworkPassword("After hex: only hexadecimal digits are expected.") from None
    elif re.search(r"[\x00-\x1f\x7f]", text):
        raise InvalidNetworkPassword("A network password has no line breaks or other control characters.")
    else:
        password = text.encode()
    if not 0 < len(password) <= MAX_PASSWORD_BYTES:
        raise InvalidNetworkPassword(f"A network password has 1 to {MAX_PASSWORD_BYTES} characters.")
    return password


def set_network_password(charge_point: ChargePoint, *, text: str, secret_key: str) -> None:
    """Keep a keyed hash of the password that the station must send (HTTP Basic). Raises InvalidNetworkPassword."""
    charge_point.password_hash = hash_station_password(password_bytes(text), secret_key)
    charge_point.next_password_hash = None  # whatever was on its way, this is what the station has


def clear_network_password(charge_point: ChargePoint) -> None:
    """The station connects without password from now on."""
    charge_point.password_hash = charge_point.next_password_hash = None


def change_status(
    session: Session,
    *,
    charge_point: ChargePoint,
    status: SystemStatus,
    reason: str,
    actor: Admin | None,
    now: datetime,
) -> Action:
    """Set the system status, with its account in the Actions log: Finished, "from Active to Disabled". Flushes.

    Manual, "Charge Point details", System status. Raises StatusUnchanged, ReasonRequired.
    """
    before = charge_point.status
    if status is before:
        raise StatusUnchanged(f"The system status is {before.label} already.")
    action = note_action(
        session,
        name=CHANGE_STATUS,
        charge_point=charge_point,
        info=f"from {before.label} to {status.label}",
        reason=reason,
        actor=actor,
        now=now,
    )
    charge_point.status = status
    record_change(
        session,
        actor=actor,
        event="change",
        object_type=ChargePoint.__tablename__,
        object_id=charge_point.id,
        label=charge_point.name,
        before={"status": before},
        after={"status": status},
    )
    session.flush()
    announce_changed(session, charge_point)
    return action


def tags_named(session: Session, names: Iterable[str]) -> list[Tag]:
    """The tags of these names, compared without regard to case; missing ones are made. Flushes when it makes any."""
    wanted = {name.strip()[:MAX_TAG_LENGTH].casefold(): name.strip()[:MAX_TAG_LENGTH] for name in names if name.strip()}
    if not wanted:
        return []
    found = {
        tag.name.casefold(): tag for tag in session.scalars(select(Tag).where(func.lower(Tag.name).in_(list(wanted))))
    }
    made = [Tag(name=name) for key, name in wanted.items() if key not in found]
    if made:
        session.add_all(made)
        session.flush()
        found.update({tag.name.casefold(): tag for tag in made})
    return [found[key] for key in wanted if key in found]


def clean_what3words(text: str | None) -> str | None:
    """A what3words address as word1.word2.word3, without leading slashes; None for an empty text.

    Manual, "Filling in an address", 4. Raises InvalidWhat3words. Whether the words exist is not known here.
    """
    wanted = (text or "").strip()
    if not wanted:
        return None
    match = _WHAT3WORDS.fullmatch(wanted)
    if match is None:
        raise InvalidWhat3words("Write it as word1.word2.word3.")
    return ".".join(match.groups()).lower()
