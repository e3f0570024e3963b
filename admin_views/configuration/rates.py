"""CONFIGURATION > VAT and Currencies. Manual, "VAT", "Base VAT", "Base Currency"."""

from __future__ import annotations

from typing import Any

from flask_login import current_user
from wtforms import validators

from admin_views import formats
from admin_views.base import BaseView, Facts
from admin_views.configuration.admins import SECTION
from admin_views.widgets.cells import pill
from app.core import rates, settings
from app.core.models import CurrencyRow, VatRate


def _base(view: Any, is_base: bool) -> Any:
    return pill("base", "blue", text="Base") if is_base else formats.NOTHING


def _base_vat(view: Any, context: Any, rate: VatRate, name: str) -> Any:
    return _base(view, settings.get_text(view.db_session, rates.BASE_VAT) == rate.name)


def _base_currency(view: Any, context: Any, currency: CurrencyRow, name: str) -> Any:
    return _base(view, settings.get_text(view.db_session, rates.BASE_CURRENCY) == currency.code)


class VatView(BaseView):
    """The VAT percentages in use."""

    resource, singular, plural = "configuration.vat", "VAT", "VAT"
    section, icon = SECTION, "receipt-tax"
    description = "Prices in tariffs are entered with VAT; partner fees without."

    column_list = ("name", "percent", "base")
    column_labels = {"percent": "VAT percentage", "base": "Base VAT"}
    column_formatters = {
        "percent": lambda view, context, rate, name: formats.vat(rate.percent),
        "base": _base_vat,
    }
    column_searchable_list = ("name",)
    column_sortable_list = ("name", "percent")
    column_default_sort = "name"
    column_filters = ("name", "percent")
    column_export_list = ("id", "name", "percent")
    form_columns = ("name", "percent")
    form_args = {
        "name": {
            "validators": [validators.InputRequired(), validators.Length(max=120)],
            "description": "A scenario or country, e.g. “Standard” or “Bulgaria, reduced”.",
        },
        "percent": {
            "label": "VAT percentage",
            "validators": [
                validators.InputRequired(),
                validators.NumberRange(0, 99.999, message="Enter a percentage from 0 to 99.999."),
            ],
            "description": "20 for 20 %. Sessions that have started keep the percentage they started with.",
        },
    }
    constraint_messages = {"uq_vat_rate_name": ("name", "There is a VAT rate of this name already.")}
    refusals = (rates.VatInUse,)
    details_tabs = (Facts("General", ("name", "percent", "base")),)

    def update_model(self, form: Any, model: Any) -> bool:
        """Remember the name, by which the settings know it."""
        form.name_before = model.name
        return super().update_model(form, model)

    def on_model_change(self, form: Any, model: Any, is_created: bool) -> None:
        """The base VAT stays the base VAT under its new name."""
        model.name = model.name.strip()
        if not is_created:
            actor = current_user._get_current_object()
            rates.follow_vat_name(self.db_session, before=form.name_before, rate=model, actor=actor)

    def on_model_delete(self, model: Any) -> None:
        """Not while it is the base VAT."""
        rates.require_vat_free(self.db_session, rate=model)


class CurrencyView(BaseView):
    """The currencies prices may be in."""

    resource, singular, plural = "configuration.currency", "Currency", "Currencies"
    section, icon = SECTION, "coins"
    description = "The base currency is chosen in CONFIGURATION > Settings."

    column_list = ("code", "name", "symbol", "exponent", "base")
    column_labels = {"code": "Code", "exponent": "Decimals", "base": "Base currency"}
    column_formatters = {"base": _base_currency}
    column_searchable_list = ("code", "name", "symbol")
    column_sortable_list = ("code", "name", "exponent")
    column_default_sort = "code"
    column_filters = ("code", "name", "exponent")
    column_export_list = ("code", "name", "symbol", "exponent")
    form_columns = ("code", "name", "symbol", "exponent")
    form_args = {
        "code": {
            "filters": [lambda text: text.strip().upper() if isinstance(text, str) else text],
            "validators": [
                validators.InputRequired(),
                validators.Regexp(r"^[A-Z]{3}$", message="Enter the three letters of ISO 4217, e.g. EUR."),
            ],
            "description": "Three letters (ISO 4217). Cannot be changed later.",
        },
        "name": {"validators": [validators.InputRequired(), validators.Length(max=120)]},
        "symbol": {"validators": [validators.InputRequired(), validators.Length(max=8)]},
        "exponent": {
            "validators": [validators.NumberRange(0, 3, message="Enter a number from 0 to 3.")],
            "description": "How many decimals amounts have: 2 for cents, 0 where there are none.",
        },
    }
    constraint_messages = {"pk_currency": ("code", "There is a currency of this code already.")}
    refusals = (rates.CurrencyInUse, rates.ExponentFixed)
    details_tabs = (Facts("General", ("code", "name", "symbol", "exponent", "base")),)

    def edit_form(self, obj: Any = None) -> Any:
        """Without the code, by which everything refers to the currency."""
        form = super().edit_form(obj)
        del form.code
        return form

    def update_model(self, form: Any, model: Any) -> bool:
        """Remember the decimals, which amounts on record have."""
        form.exponent_before = model.exponent
        return super().update_model(form, model)

    def on_model_change(self, form: Any, model: Any, is_created: bool) -> None:
        """Amounts on record keep their decimals."""
        if not is_created:
            rates.require_exponent_free(self.db_session, currency=model, before=form.exponent_before)

    def on_model_delete(self, model: Any) -> None:
        """Not while it is the base currency or amounts are recorded in it."""
        rates.require_currency_free(self.db_session, currency=model)
