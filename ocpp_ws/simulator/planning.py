"""What the server tells a station to keep: charging profiles and the local authorisation list.

OCPP 1.6, 3.13 "Smart Charging" and 3.5.2 "Local Authorization List". Profiles count from their start (absolute),
or from when they were set (relative and recurring); limits in A are taken at 230 V over three phases unless they say
how many.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

_VOLTS: Final = 230.0
_PHASES: Final = 3
LIST_MAX_LENGTH: Final = 500
SEND_MAX_LENGTH: Final = 100
MAX_STACK_LEVEL: Final = 10


@dataclass(slots=True)
class Profile:
    """A charging profile as it was set; limits in W."""

    number: int
    connector_id: int
    purpose: str
    stack_level: int
    starts_at: datetime
    ends_at: datetime | None
    transaction_id: int | str | None
    periods: list[tuple[int, float, int | None]]

    def limit_at(self, moment: datetime) -> tuple[float, int | None] | None:
        """Limit in W and phases at a moment; None while it does not hold."""
        since_s = (moment - self.starts_at).total_seconds()
        if since_s < 0 or (self.ends_at is not None and moment >= self.ends_at):
            return None
        found = None
        for start_s, limit_w, phases in self.periods:
            if start_s <= since_s:
                found = (limit_w, phases)
        return found


@dataclass(slots=True)
class Plans:
    """A station's profiles, by their number."""

    profiles: dict[int, Profile] = field(default_factory=dict)

    def set_profile(
        self, connector_id: int, given: dict[str, Any], *, transaction_id: int | str | None, now: datetime
    ) -> str:
        """SetChargingProfile: Accepted, or Rejected where the purpose does not fit (3.13.1)."""
        purpose = given["charging_profile_purpose"]
        fits = {
            "ChargePointMaxProfile": connector_id == 0,
            "TxDefaultProfile": True,
            "TxProfile": connector_id > 0
            and transaction_id is not None
            and given.get("transaction_id") in (None, transaction_id),
        }
        if not fits.get(purpose, False) or given["stack_level"] > MAX_STACK_LEVEL:
            return "Rejected"
        profile = _profile(connector_id, given, transaction_id if purpose == "TxProfile" else None, now)
        same = [
            number
            for number, other in self.profiles.items()
            if (other.connector_id, other.purpose, other.stack_level) == (connector_id, purpose, profile.stack_level)
        ]
        for number in same:
            del self.profiles[number]
        self.profiles[profile.number] = profile
        return "Accepted"

    def clear(self, number: int | None, connector_id: int | None, purpose: str | None, stack_level: int | None) -> str:
        """ClearChargingProfile: Unknown when nothing fits (5.5)."""
        found = [
            profile.number
            for profile in self.profiles.values()
            if (profile.number == number if number is not None else True)
            and (number is not None or connector_id in (None, profile.connector_id))
            and (number is not None or purpose in (None, profile.purpose))
            and (number is not None or stack_level in (None, profile.stack_level))
        ]
        for each in found:
            del self.profiles[each]
        return "Accepted" if found else "Unknown"

    def limit_at(
        self, connector_id: int, transaction_id: int | str | None, moment: datetime
    ) -> tuple[float, int | None] | None:
        """The limit of a connector (0: the station) in W at a moment, of all that hold then the lowest; None: none."""
        limits = [
            limit
            for limit in (
                self._of("ChargePointMaxProfile", (0,), None, moment),
                self._of("TxProfile", (connector_id,), transaction_id, moment)
                or self._of("TxDefaultProfile", (connector_id, 0), None, moment),
            )
            if limit is not None
        ]
        return min(limits, key=lambda limit: limit[0]) if limits else None

    def _of(
        self, purpose: str, connectors: tuple[int, ...], transaction_id: int | str | None, moment: datetime
    ) -> tuple[float, int | None] | None:
        """Of one purpose the highest level of the stack counts, a connector's own before the station's (3.13.3)."""
        found = [
            (-connectors.index(profile.connector_id), profile.stack_level, limit)
            for profile in self.profiles.values()
            if profile.purpose == purpose
            and profile.connector_id in connectors
            and (profile.transaction_id is None or profile.transaction_id == transaction_id)
            and (limit := profile.limit_at(moment)) is not None
        ]
        return max(found, key=lambda each: each[:2])[2] if found else None

    def composite(
        self,
        connector_id: int,
        transaction_id: int | str | None,
        *,
        duration_s: int,
        unit: str,
        most_w: float,
        now: datetime,
    ) -> dict[str, Any]:
        """GetCompositeSchedule: what will be allowed from now on, at most ``most_w``."""
        ends_at = now + timedelta(seconds=duration_s)
        edges = {now}
        for profile in self.profiles.values():
            edges |= {profile.starts_at + timedelta(seconds=start_s) for start_s, _, _ in profile.periods}
            edges |= {profile.ends_at} if profile.ends_at is not None else set()
        periods: list[dict[str, Any]] = []
        for moment in sorted(edge for edge in edges if now <= edge < ends_at):
            limit_w, phases = self.limit_at(connector_id, transaction_id, moment) or (most_w, None)
            limit = min(limit_w, most_w) / (1.0 if unit == "W" else _VOLTS * (phases or _PHASES))
            period: dict[str, Any] = {"start_period": int((moment - now).total_seconds()), "limit": round(limit, 1)}
            if phases is not None:
                period["number_phases"] = phases
            if not periods or {**period, "start_period": 0} != {**periods[-1], "start_period": 0}:
                periods.append(period)
        return {"duration": duration_s, "charging_rate_unit": unit, "charging_schedule_period": periods}


def _profile(connector_id: int, given: dict[str, Any], transaction_id: int | str | None, now: datetime) -> Profile:
    schedule = given["charging_schedule"]
    absolute = given["charging_profile_kind"] == "Absolute"
    starts_at = _moment(schedule.get("start_schedule")) if absolute else None
    starts_at = starts_at or now.replace(microsecond=0)
    duration_s = schedule.get("duration")
    ends = [starts_at + timedelta(seconds=duration_s)] if duration_s is not None else []
    valid_to = _moment(given.get("valid_to"))
    ends += [valid_to] if valid_to is not None else []
    return Profile(
        number=given["charging_profile_id"],
        connector_id=connector_id,
        purpose=given["charging_profile_purpose"],
        stack_level=given["stack_level"],
        starts_at=starts_at,
        ends_at=min(ends) if ends else None,
        transaction_id=transaction_id,
        periods=sorted(
            (
                period["start_period"],
                _watts(period["limit"], schedule["charging_rate_unit"], period.get("number_phases")),
                period.get("number_phases"),
            )
            for period in schedule["charging_schedule_period"]
        ),
    )


def _watts(given: Any, unit: str, phases: int | None) -> float:
    limit = float(given)  # the `ocpp` package reads limits as Decimal
    return limit if unit == "W" else limit * _VOLTS * (phases or _PHASES)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


@dataclass(slots=True)
class LocalList:
    """The list a station keeps for when it is offline: tags in capitals, each with its status and expiry."""

    version: int = 0
    entries: dict[str, tuple[str, datetime | None]] = field(default_factory=dict)

    def update(self, version: int, kind: str, given: list[dict[str, Any]]) -> str:
        """SendLocalList (5.15): all at once or not at all."""
        if len(given) > SEND_MAX_LENGTH:
            return "Failed"
        if kind == "Differential" and version <= self.version:
            return "VersionMismatch"
        entries = {} if kind == "Full" else dict(self.entries)
        for item in given:
            info = item.get("id_tag_info")
            if info is None:
                entries.pop(item["id_tag"].upper(), None)
            else:
                entries[item["id_tag"].upper()] = (info["status"], _moment(info.get("expiry_date")))
        if len(entries) > LIST_MAX_LENGTH:
            return "Failed"
        self.version, self.entries = version, entries
        return "Accepted"

    def allows(self, id_tag: str, now: datetime) -> bool | None:
        """Whether a tag may charge; None for one that is not on the list."""
        found = self.entries.get(id_tag.upper())
        if found is None:
            return None
        status, expires_at = found
        return status == "Accepted" and (expires_at is None or expires_at > now)
