"""Partners as rows of a CSV."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, func, select

from app.assets.models import ChargePoint
from app.core.models import Admin
from app.exports.cells import moment, text, yes_no
from app.partners.models import Partner


def partners(_base_currency: str) -> Select[Any]:
    """Partners with their company, and how many charge points and admins they have; the operator among them."""
    stations = select(func.count()).where(ChargePoint.partner_id == Partner.id).correlate(Partner)
    admins = select(func.count()).where(Admin.partner_id == Partner.id).correlate(Partner)
    return select(
        Partner.id.label("id"),
        text(Partner.name).label("name"),
        yes_no(Partner.is_house).label("operator"),
        text(Partner.company_name).label("company_name"),
        text(Partner.address).label("address"),
        text(Partner.registration_no).label("registration_no"),
        text(Partner.vat_no).label("vat_no"),
        text(Partner.contact_email).label("contact_email"),
        text(Partner.contact_phone).label("contact_phone"),
        stations.scalar_subquery().label("charge_points"),
        admins.scalar_subquery().label("admins"),
        moment(Partner.created_at).label("created_at"),
    ).select_from(Partner)
