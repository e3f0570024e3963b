"""CRM: drivers, their groups and their RFID tags; partners."""

from __future__ import annotations

from typing import Any

from admin_views.crm.partners import PartnerView
from admin_views.crm.payment_methods import PaymentMethodView
from admin_views.crm.receipts import ReceiptView
from admin_views.crm.rfid_tags import RfidTagView
from admin_views.crm.user_groups import UserGroupView
from admin_views.crm.users import UserView
from app.billing.models import PaymentMethod, Receipt
from app.core.db import db
from app.crm.models import RfidTag, User, UserGroup
from app.partners.models import Partner


def views() -> list[Any]:
    """The section's pages in the order of the menu."""
    return [
        UserView(User, db),
        UserGroupView(UserGroup, db),
        RfidTagView(RfidTag, db),
        PaymentMethodView(PaymentMethod, db),
        ReceiptView(Receipt, db),
        PartnerView(Partner, db),
    ]
