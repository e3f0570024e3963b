"""Read models of tariffs: what an EVSE's drivers may be charged by."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload, selectinload

from app.tariffs.models import Tariff, TariffGroupTariff
from app.tariffs.selection import AttachedTariff, Restrictions


def attached_tariffs(session: Session, *, tariff_group_id: int) -> list[AttachedTariff]:
    """The group's tariffs in list order, with their restrictions, for ``selection.select_tariff``."""
    links = session.scalars(
        select(TariffGroupTariff)
        .where(TariffGroupTariff.tariff_group_id == tariff_group_id)
        .order_by(TariffGroupTariff.position)
        .options(
            joinedload(TariffGroupTariff.tariff).options(
                selectinload(Tariff.user_groups), selectinload(Tariff.partners)
            )
        )
    )
    return [
        AttachedTariff(
            tariff_id=link.tariff_id,
            position=link.position,
            is_base=link.is_base,
            restrictions=restrictions_of(link.tariff),
            name=link.tariff.name,
        )
        for link in links
    ]


def restrictions_of(tariff: Tariff) -> Restrictions:
    """To whom the tariff applies, with the names the explanation uses."""
    return Restrictions(
        owner_users=tariff.for_owner_users,
        roaming_users=tariff.for_roaming_users,
        ad_hoc_users=tariff.for_ad_hoc_users,
        partner_ids=frozenset(partner.id for partner in tariff.partners),
        user_group_ids=frozenset(group.id for group in tariff.user_groups),
        partner_names={partner.id: partner.name for partner in tariff.partners},
        user_group_names={group.id: group.name for group in tariff.user_groups},
    )


def get_tariff(session: Session, tariff_id: int) -> Tariff:
    """The tariff with its levels loaded. Raises NoResultFound."""
    return session.scalars(select(Tariff).where(Tariff.id == tariff_id).options(selectinload(Tariff.levels))).one()
