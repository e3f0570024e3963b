"""What the Stop Session tab asks for under which billing strategy, and why not the rest. Manual, "Stop Session"."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from flask import url_for
from markupsafe import Markup

from admin_views import formats
from admin_views.tariffs.words import base_currency
from app.core import settings
from app.core.db import db
from app.tariffs.models import Tariff

#: the amounts, the strategy each belongs to, and the setting that counts where a tariff's own is empty
OF_STRATEGY = {
    "stop_below_preauthorization": "preauthorize",
    "minimum_balance_to_start": "balance_or_payment_method",
    "auto_stop_amount": "balance_or_payment_method",
}
GENERAL = {
    "stop_below_preauthorization": "billing.stop_below_preauthorization",
    "minimum_balance_to_start": "billing.minimum_balance_to_start",
    "auto_stop_amount": "billing.stop_below_balance",
}
LABELS = {
    "stop_below_preauthorization": "Stop when Pre-authorization amount falls below",
    "minimum_balance_to_start": "Minimum balance required to start session",
    "auto_stop_amount": "Auto stop amount",
}
_NO_LIMIT = {
    "stop_below_preauthorization": "The session is not stopped",
    "minimum_balance_to_start": "No minimum",
    "auto_stop_amount": "The session is not stopped",
}


@dataclass(frozen=True)
class StopFact:
    """One amount of the tariff's page; ``note`` says where it comes from, or why it does not count."""

    label: str
    value: str
    note: str = ""


def strategy_in_force() -> str:
    """The key of the billing strategy."""
    return settings.get_text(db.session(), "billing.strategy")


def hidden_amounts() -> list[str]:
    """The amounts that the billing strategy in force does not use."""
    strategy = strategy_in_force()
    return [name for name, wanted in OF_STRATEGY.items() if wanted != strategy]


def empty_means(name: str) -> str:
    """What an empty amount of a tariff stands for: "Leave empty for the setting’s €1.00."."""
    general = settings.get_amount(db.session(), GENERAL[name])
    if general is None:
        return f"Leave empty for what Settings say: {_NO_LIMIT[name][:1].lower()}{_NO_LIMIT[name][1:]}."
    return f"Leave empty for what Settings say: {_money(general)}."


def tab_help(*, may_see_settings: bool) -> Markup:
    """Which amounts the tab asks for and why, with a link to the setting for who may see it."""
    strategy = strategy_in_force()
    words = dict(settings.BILLING_STRATEGIES)[strategy]
    asked = [name for name, wanted in OF_STRATEGY.items() if wanted == strategy]
    link = Markup('<a href="{}" class="text-decoration-underline">{}</a>')
    name = link.format(f"{url_for('settings.index')}#user-billing", "billing strategy")
    if not may_see_settings:
        name = Markup("billing strategy")
    why = Markup("The {} is “{}”. ").format(name, words)
    if asked:
        return why + "Amounts of other strategies are hidden here; what was entered for them is kept."
    return why + (
        "It neither holds an amount nor needs a balance, so only time and energy can stop a session. "
        "Amounts of other strategies are hidden here; what was entered for them is kept."
    )


def stop_facts(tariff: Tariff) -> list[StopFact]:
    """The amounts of a tariff's page: those in force, and those that wait for another strategy."""
    hidden = hidden_amounts()
    found = []
    for name, label in LABELS.items():
        own: Decimal | None = getattr(tariff, name)
        general = settings.get_amount(db.session(), GENERAL[name])
        if name in hidden:
            if own is not None:
                found.append(StopFact(label, _money(own), "not in use under the billing strategy in force"))
        elif own is not None:
            found.append(StopFact(label, _money(own)))
        elif general is not None:
            found.append(StopFact(label, _money(general), "as in Settings"))
        else:
            found.append(StopFact(label, _NO_LIMIT[name]))
    return found


def _money(amount: Decimal) -> str:
    return str(formats.money(amount, base_currency().code))
