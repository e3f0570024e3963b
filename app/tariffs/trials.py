"""The draft of a tariff that is tried before it is saved: what it would charge, and whom, as plain data.

``Draft.snapshot`` is what a session would keep, in the base currency and VAT of the moment; the time zone in it is the
system's, for each session has its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.core import rates, settings
from app.tariffs.models import Tariff, TariffPowerLevel
from app.tariffs.pricing import TariffSnapshot, snapshot_from_json, snapshot_to_json
from app.tariffs.selection import Restrictions
from app.tariffs.snapshots import CHARGED_FIELDS, snapshot_of

_FLAGS = ("for_owner_users", "for_roaming_users", "for_ad_hoc_users")


@dataclass(frozen=True)
class Draft:
    """What a tariff would charge, and to whom it would apply."""

    snapshot: TariffSnapshot
    restrictions: Restrictions

    def as_json(self) -> dict[str, Any]:
        """As stored with a trial."""
        rules = self.restrictions
        return {
            "snapshot": snapshot_to_json(self.snapshot),
            "restrictions": {
                "owner_users": rules.owner_users,
                "roaming_users": rules.roaming_users,
                "ad_hoc_users": rules.ad_hoc_users,
                "partner_ids": sorted(rules.partner_ids),
                "user_group_ids": sorted(rules.user_group_ids),
            },
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Draft:
        """As `as_json` wrote it. Raises InvalidTariffSnapshot."""
        rules = stored["restrictions"]
        return cls(
            snapshot_from_json(stored["snapshot"]),
            Restrictions(
                owner_users=rules["owner_users"],
                roaming_users=rules["roaming_users"],
                ad_hoc_users=rules["ad_hoc_users"],
                partner_ids=frozenset(rules["partner_ids"]),
                user_group_ids=frozenset(rules["user_group_ids"]),
            ),
        )


def draft_of(session: Session, *, tariff: Tariff, values: Mapping[str, Any] | None = None) -> Draft:
    """A tariff as it is stored, or as it would be with a form's ``values`` (named as the model's columns).

    The values are those that ``validate_tariff`` finds nothing wrong with. Changes nothing.
    Raises InvalidTariffSnapshot, and rates.MissingRate without a base currency or base VAT.
    """
    currency, vat_percent = rates.price_terms(session)
    return Draft(
        snapshot=snapshot_of(
            tariff if values is None else _imagined(tariff, values),
            currency=currency,
            vat_percent=vat_percent,
            timezone=settings.get_text(session, "system.timezone"),
        ),
        restrictions=_restrictions(tariff, values or {}),
    )


def _imagined(tariff: Tariff, values: Mapping[str, Any]) -> Tariff:
    """The tariff with the values in it, as an object that no session knows of."""
    terms = {name: values.get(name, getattr(tariff, name)) for name in CHARGED_FIELDS}
    levels = [
        TariffPowerLevel(max_power_w=level["max_power_w"], price_per_minute=level["price_per_minute"])
        for level in values.get("levels", ())
    ]
    name = (values.get("name") or tariff.name).strip()
    return Tariff(id=tariff.id, name=name, revision=tariff.revision, levels=levels, **terms)


def _restrictions(tariff: Tariff, values: Mapping[str, Any]) -> Restrictions:
    if tariff.is_base:
        return Restrictions()
    owner, roaming, ad_hoc = (bool(values.get(name, getattr(tariff, name))) for name in _FLAGS)
    return Restrictions(
        owner_users=owner,
        roaming_users=roaming,
        ad_hoc_users=ad_hoc,
        partner_ids=_ids(values.get("partners", tariff.partners)),
        user_group_ids=_ids(values.get("user_groups", tariff.user_groups)),
    )


def _ids(rows: Iterable[Any] | None) -> frozenset[int]:
    return frozenset(row.id for row in rows or ())
