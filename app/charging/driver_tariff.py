"""Which tariff of an EVSE a driver gets. product.md, "Which tariff"."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.assets.models import Evse
from app.crm.models import User
from app.tariffs import queries as tariff_queries
from app.tariffs.selection import AttachedTariff, DriverFacts, Explanation, NoTariff, select_tariff


def tariff_for(session: Session, *, evse: Evse, user: User) -> tuple[AttachedTariff, Explanation]:
    """The driver's tariff in the EVSE's group, and why it is this one. Raises NoTariff, InvalidTariffGroup."""
    if evse.tariff_group_id is None:
        raise NoTariff("the EVSE has no tariff group")
    attached = tariff_queries.attached_tariffs(session, tariff_group_id=evse.tariff_group_id)
    return select_tariff(
        attached,
        DriverFacts(
            user_id=user.id,
            user_group_ids=frozenset(group.id for group in user.groups),
            owner_partner_id=evse.partner_id,
        ),
    )
