"""The tariff form: four tabs, kW on screen, only the prices of the chosen type. Manual, "Creating a Tariff"."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from flask_admin.form import BaseForm
from wtforms import TimeField

from admin_views.base import NestedInline, Section, Tab, Tabs
from admin_views.tariffs.stop_session import LABELS, OF_STRATEGY, empty_means, hidden_amounts
from admin_views.tariffs.words import base_currency
from admin_views.widgets.fields import DecimalField, IntegerField
from admin_views.widgets.inline import NestedConverter
from admin_views.widgets.tabs import own_errors
from app.tariffs.models import Tariff, TariffPowerLevel, TariffType
from app.tariffs.validation import validate_tariff
from app.tariffs.verbs import TERMS_OF

PRICES = {
    "price_per_session": "Price per session",
    "connection_fee": "Connection fee",
    "price_per_minute": "Price per minute",
    "price_per_kwh": "Price per kWh",
    "night_price_per_minute": "Price per minute",
    "night_price_per_kwh": "Price per kWh",
    "idle_fee_per_minute": "Idle fee per minute",
}
RESTRICTIONS = ("for_owner_users", "for_roaming_users", "for_ad_hoc_users", "partners", "user_groups")
TYPE_HINTS = {
    TariffType.FREE: "Nothing is charged. Users and their use are still recorded.",
    TariffType.FLAT: "One price per session, regardless of energy or duration.",
    TariffType.DURATION_ENERGY: "Charged per minute, per kWh, or both. An empty field is 0.",
    TariffType.DURATION_ENERGY_TOD: "As Duration + energy, with prices by day and by night, in the location’s time.",
    TariffType.POWER_LEVELS: "A price per minute that depends on the average power (kW) of the whole session.",
}


class KilowattField(DecimalField):
    """A power entered in kW and held in W."""

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return "" if self.data is None else f"{Decimal(self.data) / 1000:f}"

    def process_formdata(self, valuelist: list[str]) -> None:
        """kW to whole W."""
        super().process_formdata(valuelist)
        if not valuelist or self.data is None:
            return
        power_w = Decimal(self.data) * 1000
        if power_w != power_w.to_integral_value() or power_w >= 2**31:
            self.data = None
            raise ValueError("Enter a power in kW with at most three decimals, like 7.4.")
        self.data = int(power_w)


class TariffForm(BaseForm):
    """Checks the tariff as a whole and says at each field what is wrong with it."""

    def validate(self, extra_validators: Any = None) -> bool:
        """What the fields say, then app.tariffs.validation."""
        fits = bool(super().validate(extra_validators))
        for name, message in validate_tariff(self.terms(), currency_decimals=base_currency().exponent).items():
            if name not in self:
                continue
            bound = self[name]
            if own_errors(bound) or (name == "levels" and any(entry.errors for entry in self.kept_levels())):
                continue
            bound.errors = [*bound.errors, f"{message[:1].upper()}{message[1:]}."]
            fits = False
        return fits

    def terms(self) -> dict[str, Any]:
        """The form's values, with the names of the model's columns."""
        values = {bound.name: bound.data for bound in self if bound.name != "levels"}
        values["is_base"] = bool(self._obj is not None and self._obj.is_base)
        charged = values["type"] is TariffType.POWER_LEVELS and "levels" in self
        values["levels"] = [entry.form.data for entry in self.kept_levels()] if charged else []
        return values

    def kept_levels(self) -> list[Any]:
        """The power levels that are not being removed."""
        return [entry for entry in self["levels"].entries if not getattr(entry, "_should_delete", False)]


class LevelConverter(NestedConverter):
    """A power level has no relation back to its tariff, by which Flask-Admin would find the one that holds it."""

    def _calculate_mapping_key_pair(self, model: Any, info: Any) -> dict[str, str]:
        return {"levels": "tariff"}


LEVELS = NestedInline(
    TariffPowerLevel,
    label="Power Level",
    form_columns=("max_power_w", "price_per_minute"),
    form_overrides={"max_power_w": KilowattField, "price_per_minute": DecimalField},
    form_args={
        "max_power_w": {
            "label": "Max average power (kW)",
            "description": "Applies to sessions whose average power is not above this.",
        },
        "price_per_minute": {"label": "Price per minute"},
    },
    unique_fields=("max_power_w",),
)

RULES = [
    Tabs(
        Tab("General", "name", "description", "additional_information", "learn_more_url"),
        Tab(
            "Pricing",
            "type",
            "price_per_session",
            "connection_fee",
            Section("Day", "day_starts", "price_per_minute", "price_per_kwh"),
            Section("Night", "night_starts", "night_price_per_minute", "night_price_per_kwh"),
            Section(
                "Power levels",
                "levels",
                help="The level with the lowest maximum that is not below the session’s average power applies; "
                "above the last level, the last.",
            ),
            Section(
                "Idle fee",
                "idle_fee_per_minute",
                "idle_grace_minutes",
                help="Charged while the car stays plugged in after charging has ended. Leave empty for none.",
            ),
            help="Prices include VAT and are in the base currency.",
        ),
        Tab(
            "Restrictions",
            *RESTRICTIONS,
            help="To whom this tariff applies: to any of those chosen; to everybody when nothing is chosen.",
        ),
        Tab("Stop Session", "max_minutes", "max_energy_kwh", *OF_STRATEGY),
    )
]

BASE_HELP = "The base tariff applies to everybody who has no other tariff of the group. It cannot be restricted."

#: amounts and quantities with a decimal comma or point, and without the zeros the database pads them with
OVERRIDES: dict[str, Any] = {
    "day_starts": TimeField,
    "night_starts": TimeField,
    "max_minutes": IntegerField,
    "idle_grace_minutes": IntegerField,
    **dict.fromkeys((*PRICES, *OF_STRATEGY, "max_energy_kwh"), DecimalField),
}

FORM_ARGS: dict[str, dict[str, Any]] = {
    "name": {"description": "Only visible to admins, not shown to the EV drivers."},
    "description": {
        "max_length": 255,
        "description": "Shown in the EV driver’s app where a session is started. Use a short text.",
    },
    "additional_information": {
        "description": "Shown in a popup behind an “info” icon next to the description.",
    },
    "learn_more_url": {
        "max_length": 500,
        "description": "Where the “Learn More” button of that popup leads.",
    },
    "type": {"description": "Depending on the type, different prices are asked for."},
    "connection_fee": {"description": "A fixed fee that is applied at the start of the charging session."},
    "day_starts": {"label": "Day tariff starts"},
    "night_starts": {"label": "Night tariff starts"},
    "price_per_minute": {"description": "Charged by the second. Leave empty for 0."},
    "price_per_kwh": {"description": "Leave empty for 0."},
    "idle_grace_minutes": {
        "label": "Grace time (minutes)",
        "description": "How long the car may stay after charging has ended before the idle fee begins.",
    },
    "for_owner_users": {
        "label": "Users of the CP owner",
        "description": "Users of the partner who is set as the owner of the charge point.",
    },
    "for_roaming_users": {
        "label": "Users of all roaming Partners",
        "description": "Users of all eMSPs that are roaming partners.",
    },
    "for_ad_hoc_users": {"label": "Ad-hoc users (non-registered)", "description": "Charging without an account."},
    "partners": {"label": "Users of specific Partners"},
    "user_groups": {"label": "User groups"},
    "max_minutes": {
        "label": "Session max time (minutes)",
        "description": "The maximum minutes a session may run. Leave empty for no time limit.",
    },
    "max_energy_kwh": {
        "label": "Energy exceeds (kWh)",
        "description": "The maximum energy per session. Leave empty for no energy limit.",
    },
    "stop_below_preauthorization": {
        "label": LABELS["stop_below_preauthorization"],
        "description": "With 20 pre-authorized and 1 here, the session stops once its price has reached 19.",
    },
    "minimum_balance_to_start": {
        "label": LABELS["minimum_balance_to_start"],
        "description": "Users can only start a session with at least this much in their balance.",
    },
    "auto_stop_amount": {
        "label": LABELS["auto_stop_amount"],
        "description": "With 20 in the balance and 1 here, the session stops once its price has reached 19.",
    },
}
for _name in {name for terms in TERMS_OF.values() for name in terms} - {"levels"}:
    _types = " ".join(kind for kind in TariffType if _name in TERMS_OF[kind])
    FORM_ARGS.setdefault(_name, {})["render_kw"] = {"data-types": _types}
for _name, _label in PRICES.items():
    FORM_ARGS.setdefault(_name, {})["label"] = _label


def fit_to(form: Any, tariff: Tariff | None) -> Any:
    """Leave out what does not apply to this tariff and system, and say the currency of each price."""
    absent: list[str] = hidden_amounts()
    if tariff is not None and tariff.is_base:
        absent += RESTRICTIONS
    for name in absent:
        del form[name]
    for name in OF_STRATEGY:
        if name in form:
            form[name].description = f"{form[name].description} {empty_means(name)}"
    symbol = base_currency().symbol
    for name in (*PRICES, *OF_STRATEGY):
        if name in form:
            form[name].label.text = f"{form[name].label.text} ({symbol})"
    return form


def field_label(name: str) -> str:
    """How a field of a tariff is called in its history: prices of day and night told apart."""
    if name.startswith("night_price"):
        return f"{PRICES[name]}, night"
    return _OTHER_LABELS.get(name) or PRICES.get(name) or str(FORM_ARGS[name]["label"])


_OTHER_LABELS = {"type": "Type", "levels": "Power levels"}
