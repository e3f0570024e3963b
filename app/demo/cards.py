"""The demo's payment methods: cards of the Test processor, and who pays with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from sqlalchemy.orm import Session

from app.billing.models import PaymentMethodStatus
from app.billing.payments.test_processor import ALIASES, NAME
from app.crm.models import TagPayment
from app.demo.bulk import copy_rows, reserve_ids
from app.demo.people import Driver

#: of ten drivers: these have a card and pay sessions with it; these have one for top-ups only; the others have none
_PAYS_SESSIONS, _PAYS_TOP_UPS = (0, 4, 7), (1, 2, 5, 8)
#: these of those who pay sessions by card have one that declines what is above 50
_INSUFFICIENT_EACH = 9


@dataclass(frozen=True)
class DemoCard:
    """A card, and what it is used for."""

    id: int
    token: str
    pays_sessions: bool
    tops_up_by_itself: bool


def give_cards(session: Session, rng: Random, *, drivers: Sequence[Driver], now: datetime) -> None:
    """Give seven of ten drivers a card. Those who keep it for top-ups have their tags set to the balance."""
    chosen = [
        (number, driver)
        for number, driver in enumerate(drivers)
        if number % 10 in _PAYS_SESSIONS or number % 10 in _PAYS_TOP_UPS
    ]
    rows = []
    for card_id, (number, driver) in zip(reserve_ids(session, "payment_method", len(chosen)), chosen, strict=True):
        pays_sessions = number % 10 in _PAYS_SESSIONS
        alias = "insufficient" if pays_sessions and number % _INSUFFICIENT_EACH == 0 else "approve"
        token = f"{alias}:demo{card_id:08x}"
        driver.card = DemoCard(card_id, token, pays_sessions, not pays_sessions and number % 4 == 1)
        if not pays_sessions:
            for tag in driver.user.rfid_tags:
                tag.payment = TagPayment.BALANCE
        last4 = f"{1111 * (list(ALIASES).index(alias) + 1):04d}"
        row = (
            card_id, driver.id, NAME, token, "test", last4, rng.randint(1, 12), now.year + 2,
            PaymentMethodStatus.ACTIVE, now - timedelta(days=91), now,
        )  # fmt: skip
        rows.append(row)
    columns = (
        "id", "user_id", "processor", "reference", "brand", "last4", "exp_month", "exp_year", "status", "created_at",
        "last_used_at",
    )  # fmt: skip
    copy_rows(session, "payment_method", columns, rows)
