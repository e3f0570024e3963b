"""Which tariff of an EVSE's tariff group a driver gets, and why.

Of the tariffs whose restrictions match the driver, the one lowest in the list; the base tariff is first
and always matches (product, "Which tariff"; manual, "Tariff Ordering"). Several restrictions on one
tariff mean any of them; none means everybody (manual, "Restrictions").
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Any


class NoTariff(Exception):
    """There is no tariff to choose from. Never the same as a free one."""


class InvalidTariffGroup(ValueError):
    """The list does not begin with the one base tariff, or is out of order."""


class RestrictionKind(StrEnum):
    """Why a tariff applies to a driver: the manual's restrictions, and the two ways to have none."""

    BASE = "base"
    EVERYBODY = "everybody"
    OWNER_USERS = "owner_users"
    ROAMING_USERS = "roaming_users"
    AD_HOC_USERS = "ad_hoc_users"
    PARTNERS = "partners"
    USER_GROUPS = "user_groups"


@dataclass(frozen=True, slots=True)
class Restrictions:
    """To whom a tariff applies (manual, "Restrictions", 1 to 5). The names serve the explanation only."""

    owner_users: bool = False
    roaming_users: bool = False
    ad_hoc_users: bool = False
    partner_ids: frozenset[int] = frozenset()
    user_group_ids: frozenset[int] = frozenset()
    partner_names: Mapping[int, str] = field(default_factory=dict)
    user_group_names: Mapping[int, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether the tariff applies to everybody."""
        return not (
            self.owner_users or self.roaming_users or self.ad_hoc_users or self.partner_ids or self.user_group_ids
        )


@dataclass(frozen=True, slots=True)
class AttachedTariff:
    """A tariff in its place in a tariff group; position counts from the top."""

    tariff_id: int
    position: int
    is_base: bool
    restrictions: Restrictions
    name: str = ""


@dataclass(frozen=True, slots=True)
class DriverFacts:
    """Who wants to charge, and where.

    user_id is None for a driver who is not registered here: ad-hoc, or roaming when `roaming` is set.
    owner_partner_id is the partner who owns the charge point, if any.
    """

    user_id: int | None
    user_group_ids: frozenset[int] = frozenset()
    partner_ids: frozenset[int] = frozenset()
    owner_partner_id: int | None = None
    roaming: bool = False

    @property
    def ad_hoc(self) -> bool:
        """Whether the driver is not registered anywhere (manual, "Ad-hoc users")."""
        return self.user_id is None and not self.roaming


@dataclass(frozen=True, slots=True)
class TariffVerdict:
    """One row of the explanation: whether a tariff applies to the driver, by what, and if it was taken."""

    tariff_id: int
    name: str
    position: int
    is_base: bool
    matched: bool
    matched_by: tuple[RestrictionKind, ...]
    reason: str
    chosen: bool


Explanation = tuple[TariffVerdict, ...]


def select_tariff(
    tariffs_in_order: Sequence[AttachedTariff], driver: DriverFacts
) -> tuple[AttachedTariff, Explanation]:
    """The tariff for this driver, and a verdict on each tariff in the order of the list.

    Raises NoTariff for an empty list, InvalidTariffGroup for one that is not a tariff group's.
    """
    if not tariffs_in_order:
        raise NoTariff("The tariff group has no tariffs")
    _require_group(tariffs_in_order)
    matches = [tuple(_matches(tariff, driver)) for tariff in tariffs_in_order]
    # The base tariff always matches, so there is a last one.
    chosen = max(index for index, match in enumerate(matches) if match)
    explanation = tuple(
        TariffVerdict(
            tariff_id=tariff.tariff_id,
            name=tariff.name,
            position=tariff.position,
            is_base=tariff.is_base,
            matched=bool(match),
            matched_by=tuple(kind for kind, _ in match),
            reason=_reason(tariff, match),
            chosen=index == chosen,
        )
        for index, (tariff, match) in enumerate(zip(tariffs_in_order, matches, strict=True))
    )
    return tariffs_in_order[chosen], explanation


def explanation_to_json(explanation: Explanation) -> list[dict[str, Any]]:
    """The explanation as plain JSON values, to be kept with the session."""
    return [{**asdict(verdict), "matched_by": list(map(str, verdict.matched_by))} for verdict in explanation]


def _require_group(tariffs: Sequence[AttachedTariff]) -> None:
    if not tariffs[0].is_base or any(tariff.is_base for tariff in tariffs[1:]):
        raise InvalidTariffGroup("The base tariff is first in the list, and there is one only")
    if not tariffs[0].restrictions.is_empty:
        raise InvalidTariffGroup("The base tariff applies to everybody and cannot be restricted")
    if any(above.position >= below.position for above, below in pairwise(tariffs)):
        raise InvalidTariffGroup("The tariffs are not in the order of their positions")


def _matches(tariff: AttachedTariff, driver: DriverFacts) -> Iterator[tuple[RestrictionKind, str]]:
    """Each restriction the driver fulfils, with the words for it; nothing if the tariff does not apply."""
    rules = tariff.restrictions
    if tariff.is_base:
        yield RestrictionKind.BASE, "The base tariff applies to everybody"
    elif rules.is_empty:
        yield RestrictionKind.EVERYBODY, "Applies to everybody: the tariff has no restrictions"
    if rules.owner_users and driver.owner_partner_id in driver.partner_ids:
        yield RestrictionKind.OWNER_USERS, "is a user of the charge point's owner"
    if rules.roaming_users and driver.roaming:
        yield RestrictionKind.ROAMING_USERS, "is a user of a roaming partner"
    if rules.ad_hoc_users and driver.ad_hoc:
        yield RestrictionKind.AD_HOC_USERS, "is not registered (ad-hoc)"
    if shared := rules.partner_ids & driver.partner_ids:
        yield RestrictionKind.PARTNERS, f"is a user of {_named('partner', shared, rules.partner_names)}"
    if shared := rules.user_group_ids & driver.user_group_ids:
        yield RestrictionKind.USER_GROUPS, f"is in {_named('user group', shared, rules.user_group_names)}"


def _reason(tariff: AttachedTariff, match: tuple[tuple[RestrictionKind, str], ...]) -> str:
    if not match:
        return f"Does not apply: only for {' or '.join(_audience(tariff.restrictions))}"
    if match[0][0] in (RestrictionKind.BASE, RestrictionKind.EVERYBODY):
        return match[0][1]
    return f"Applies, because the driver {' and '.join(words for _, words in match)}"


def _audience(rules: Restrictions) -> Iterator[str]:
    if rules.owner_users:
        yield "users of the charge point's owner"
    if rules.roaming_users:
        yield "users of roaming partners"
    if rules.ad_hoc_users:
        yield "ad-hoc users"
    if rules.partner_ids:
        yield f"users of {_named('partner', rules.partner_ids, rules.partner_names)}"
    if rules.user_group_ids:
        yield _named("user group", rules.user_group_ids, rules.user_group_names)


def _named(what: str, ids: Collection[int], names: Mapping[int, str]) -> str:
    listed = ", ".join(names.get(each, f"#{each}") for each in sorted(ids))
    return f"{what} {listed}" if len(ids) == 1 else f"{what}s {listed}"
