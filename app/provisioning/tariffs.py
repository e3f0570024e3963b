"""Tariffs and tariff groups of the file."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from app.crm.models import UserGroup
from app.partners.models import Partner
from app.provisioning.changes import Outcome, Work
from app.provisioning.document import TariffEntry, TariffGroupEntry, TariffRestrictions, Terms
from app.provisioning.mistakes import at
from app.provisioning.reading import Source, columns_of
from app.tariffs import groups
from app.tariffs.models import Tariff, TariffGroup, TariffPowerLevel
from app.tariffs.snapshots import charged_terms, versioned_terms

#: set only where the file names them; the price is always set as a whole
_NAMED_ONLY = (
    "max_minutes",
    "max_energy_kwh",
    "stop_below_preauthorization",
    "minimum_balance_to_start",
    "auto_stop_amount",
    "description",
    "additional_information",
    "learn_more_url",
)


def apply_tariffs(work: Work, source: Source) -> None:
    """Create or update the file's tariffs, then its groups."""
    for entry in source.document.tariffs:
        _apply_tariff(work, entry, source)
    for group in source.document.tariff_groups:
        _apply_group(work, group, source)


def _apply_tariff(work: Work, entry: TariffEntry, source: Source) -> None:
    tariff = _named(work, at(entry.path, "name"), entry.name)
    wrong = work.mistakes.within(entry.path)
    values = _restrictions(work, entry.restrictions, source)
    if wrong:
        return
    if tariff is None:
        tariff = Tariff(name=entry.name, type=entry.type, revision=1)
        outcome = _fill(work, tariff, entry, values)
        work.audit("create", tariff, {}, {"name": tariff.name, **_audited(tariff)})
        outcome = Outcome.CREATED
    else:
        before = _audited(tariff)
        outcome = _fill(work, tariff, entry, values)
        work.audit("change", tariff, before, _audited(tariff))
    work.count("tariffs", outcome)


def _fill(work: Work, tariff: Tariff, terms: Terms, more: dict[str, Any]) -> Outcome:
    """Bring a tariff to what the file says; a change of its terms counts its revision up. Flushes."""
    terms_before, before = versioned_terms(tariff), _audited(tariff)
    columns = columns_of(terms)
    levels = columns.pop("levels")
    for name in _NAMED_ONLY:
        columns.pop(name, None)
    for name, value in {**columns, **terms.given(*_NAMED_ONLY), **more}.items():
        if getattr(tariff, name) != value:
            setattr(tariff, name, value)
    _fill_levels(tariff, {level["max_power_w"]: level["price_per_minute"] for level in levels})
    work.session.add(tariff)
    if tariff.id is not None and versioned_terms(tariff) != terms_before:
        tariff.revision += 1
    work.session.flush()
    return Outcome.UNCHANGED if _audited(tariff) == before else Outcome.UPDATED


def _fill_levels(tariff: Tariff, prices: dict[int, Any]) -> None:
    """A level is known by its maximum power."""
    for level in list(tariff.levels):
        if level.max_power_w not in prices:
            tariff.levels.remove(level)
        elif level.price_per_minute != prices[level.max_power_w]:
            level.price_per_minute = prices[level.max_power_w]
    known = {level.max_power_w for level in tariff.levels}
    for power_w, price in sorted(prices.items()):
        if power_w not in known:
            tariff.levels.append(TariffPowerLevel(max_power_w=power_w, price_per_minute=price))


def _audited(tariff: Tariff) -> dict[str, Any]:
    """What can differ between two states of a tariff, comparable."""
    return {
        "revision": tariff.revision,
        **charged_terms(tariff),
        **{name: getattr(tariff, name) for name in _NAMED_ONLY},
        "for_owner_users": tariff.for_owner_users,
        "for_roaming_users": tariff.for_roaming_users,
        "for_ad_hoc_users": tariff.for_ad_hoc_users,
        "user_groups": sorted(group.name for group in tariff.user_groups),
        "partners": sorted(partner.name for partner in tariff.partners),
    }


def _restrictions(work: Work, entry: TariffRestrictions | None, source: Source) -> dict[str, Any]:
    """The columns of a tariff's restrictions; none when the file does not speak of them."""
    if entry is None:
        return {}
    user_groups = []
    for index, name in enumerate(entry.user_groups):
        group = work.session.scalars(select(UserGroup).where(UserGroup.name == name)).one_or_none()
        if group is not None:
            user_groups.append(group)
        elif name not in source.user_group_names:
            work.mistakes.add(at(at(entry.path, "user_groups"), index), f'there is no user group "{name}"')
    partners = []
    for index, name in enumerate(entry.partners):
        partner = work.session.scalars(select(Partner).where(Partner.name == name)).one_or_none()
        if partner is not None:
            partners.append(partner)
        else:
            work.mistakes.add(at(at(entry.path, "partners"), index), f'there is no partner "{name}"')
    return {
        "user_groups": sorted(set(user_groups), key=lambda group: group.id),
        "partners": sorted(set(partners), key=lambda partner: partner.id),
        "for_owner_users": entry.owner_users,
        "for_roaming_users": entry.roaming_users,
        "for_ad_hoc_users": entry.ad_hoc_users,
    }


def _apply_group(work: Work, entry: TariffGroupEntry, source: Source) -> None:
    group = work.session.scalars(select(TariffGroup).where(TariffGroup.name == entry.name)).one_or_none()
    created = group is None
    if group is None:
        try:
            group = groups.create_group(work.session, name=entry.name, actor=work.actor)
        except groups.TariffGroupNameInvalid as error:
            work.mistakes.add(at(entry.path, "name"), str(error))
            return
    changed = False
    if entry.base is not None and not work.mistakes.within(entry.base.path):
        base = groups.base_tariff(group)
        before = _audited(base)
        changed = _fill(work, base, entry.base, {}) is Outcome.UPDATED
        work.audit("change", base, before, _audited(base))
    if "tariffs" in entry.model_fields_set:
        tariffs = _attached(work, entry, source)
        changed |= groups.set_tariffs(work.session, group=group, tariffs=tariffs, actor=work.actor)
    outcome = Outcome.UPDATED if changed else Outcome.UNCHANGED
    work.count("tariff groups", Outcome.CREATED if created else outcome)


def _attached(work: Work, entry: TariffGroupEntry, source: Source) -> list[Tariff]:
    tariffs: list[Tariff] = []
    for index, name in enumerate(entry.tariffs):
        path = at(at(entry.path, "tariffs"), index)
        tariff = _named(work, path, name)
        if tariff is not None and tariff not in tariffs:
            tariffs.append(tariff)
        elif tariff is None and name not in source.tariff_names:
            work.mistakes.add(path, f'there is no tariff "{name}"')
    return tariffs


def _named(work: Work, path: str, name: str) -> Tariff | None:
    """The tariff of that name, if any; base tariffs are their groups' own."""
    stored = work.session.scalars(select(Tariff).where(Tariff.name == name, ~Tariff.is_base)).all()
    return work.only(path, f"tariffs “{name}”", stored)
