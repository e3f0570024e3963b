"""The stop rules a session gets with its tariff: that tariff's and the settings' of this moment, kept for its life.

Manual, "Stop Session": which amounts count depends on the billing strategy; an empty one is the setting's.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from app.charging.authorize import BillingStrategy
from app.charging.stop_rules import Ceiling, StopRules, ceiling_of, rules_to_json
from app.core import settings
from app.tariffs.models import Tariff
from app.tariffs.pricing import TariffSnapshot


def agreed_rules(session: Session, snapshot: TariffSnapshot) -> dict[str, Any] | None:
    """What will stop a session that is priced by this snapshot, as JSON; None when nothing will.

    A tariff that charges nothing gets no limits of money. Which of those apply in the end depends on who pays.
    """
    tariff = session.get(Tariff, snapshot.tariff_id) if snapshot.tariff_id is not None else None
    strategy = BillingStrategy(settings.get_text(session, "billing.strategy"))
    ceiling = ceiling_of(snapshot)
    preauthorization_floor = balance_floor = None
    if ceiling != Ceiling() and strategy is BillingStrategy.PREAUTHORIZE:
        preauthorization_floor = tariff.stop_below_preauthorization if tariff else None
        if preauthorization_floor is None:
            preauthorization_floor = settings.get_amount(session, "billing.stop_below_preauthorization")
    if ceiling != Ceiling() and strategy is BillingStrategy.BALANCE_OR_PAYMENT_METHOD:
        balance_floor = tariff.auto_stop_amount if tariff else None
        if balance_floor is None:
            balance_floor = settings.get_amount(session, "billing.stop_below_balance")
    energy_kwh = tariff.max_energy_kwh if tariff else None
    rules = StopRules(
        max_minutes=tariff.max_minutes if tariff else None,
        max_energy_wh=energy_kwh * 1000 if energy_kwh is not None else None,
        preauthorization_floor=preauthorization_floor,
        balance_floor=balance_floor,
        ceiling=ceiling,
    )
    return None if rules.is_empty else rules_to_json(rules)
