"""What saving and deleting a tariff entails. Manual, "Creating a Tariff"; product.md, "Pricing"."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.core.references import listed
from app.tariffs.models import Tariff, TariffGroup, TariffGroupTariff, TariffType
from app.tariffs.snapshots import versioned_terms

_LEVELS_UNIQUE = "uq_tariff_power_level_tariff_id_max_power_w"

#: which prices each type charges; the idle fee may be charged with any
TERMS_OF: dict[TariffType, frozenset[str]] = {
    TariffType.FREE: frozenset(),
    TariffType.FLAT: frozenset({"price_per_session"}),
    TariffType.DURATION_ENERGY: frozenset({"price_per_minute", "price_per_kwh", "connection_fee"}),
    TariffType.DURATION_ENERGY_TOD: frozenset(
        {
            "price_per_minute",
            "price_per_kwh",
            "connection_fee",
            "day_starts",
            "night_starts",
            "night_price_per_minute",
            "night_price_per_kwh",
        }
    ),
    TariffType.POWER_LEVELS: frozenset({"levels"}),
}
_TYPED = frozenset().union(*TERMS_OF.values())


class TariffInUse(ValueError):
    """The tariff is attached to tariff groups; the message names them."""


def settle_terms(session: Session, *, tariff: Tariff, before: dict[str, Any] | None) -> None:
    """Bring an edited tariff in order before it is flushed: blank what its type does not charge, count its revision.

    ``before`` is ``versioned_terms`` before the edit, None for a new tariff. A change of what is charged, or of what
    stops a session, makes a new revision; running and past sessions keep the snapshot and the stop rules they have.
    """
    for level in list(tariff.levels):
        if level in session.deleted:
            tariff.levels.remove(level)
    for name in _TYPED - TERMS_OF[tariff.type]:
        if name == "levels":
            tariff.levels.clear()
        elif getattr(tariff, name) is not None:
            setattr(tariff, name, None)
    if tariff.idle_fee_per_minute is None:
        tariff.idle_grace_minutes = None
    if before is None:
        return
    # two levels may exchange their maximum: that is unique again only after the last row
    session.execute(text(f"SET CONSTRAINTS {_LEVELS_UNIQUE} DEFERRED"))
    if versioned_terms(tariff) != before:
        tariff.revision += 1


def require_detached(session: Session, *, tariff: Tariff) -> None:
    """Raise TariffInUse if the tariff is in a tariff group, be it as its base tariff."""
    names = session.scalars(
        select(TariffGroup.name)
        .join(TariffGroupTariff, TariffGroupTariff.tariff_group_id == TariffGroup.id)
        .where(TariffGroupTariff.tariff_id == tariff.id)
        .order_by(TariffGroup.name)
    ).all()
    if not names:
        return
    if tariff.is_base:
        raise TariffInUse(
            f"“{tariff.name}” is the base tariff of the tariff group “{names[0]}”; it is deleted with that group."
        )
    shown = [f"“{name}”" for name in names[:10]]
    if len(names) > 10:
        shown.append(f"{len(names) - 10} more")
    group = "tariff group" if len(names) == 1 else "tariff groups"
    raise TariffInUse(f"“{tariff.name}” is attached to the {group} {listed(shown)}; detach it there first.")
