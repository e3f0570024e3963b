"""TARIFFS & VOUCHERS > Tariffs. Manual, "Tariffs"."""

from __future__ import annotations

from typing import Any

from flask import request
from flask_admin import expose
from sqlalchemy import func, select
from sqlalchemy.orm import selectinload

from admin_views.base import BaseView, Facts, I18nField, I18nTextArea, Lookup, Related
from admin_views.tariffs import form as tariff_form
from admin_views.tariffs.calculator import calculate
from admin_views.tariffs.stop_session import stop_facts, tab_help
from admin_views.tariffs.trial import PERIODS, TrialPages
from admin_views.tariffs.words import SECTION, applies_to, applies_to_text, base_currency, groups_of, price
from admin_views.widgets.cells import records
from app.assets.models import Evse
from app.core.db import db
from app.crm.models import UserGroup
from app.partners.models import Partner
from app.tariffs import verbs
from app.tariffs.models import Tariff, TariffGroup, TariffGroupTariff
from app.tariffs.snapshots import versioned_terms
from app.tariffs.versions import versions_of


def _in_groups_of(query: Any, tariff: Tariff) -> Any:
    return query.filter(TariffGroup.links.any(TariffGroupTariff.tariff_id == tariff.id))


class TariffView(TrialPages, BaseView):
    """Price lists. What they charge is changed here; sessions keep the snapshot they started with."""

    resource, singular, plural = "tariffs.tariff", "Tariff", "Tariffs"
    section, icon = SECTION, "coin"
    list_template = "tariffs/list.html"
    description = "A tariff is used once it is attached to a Tariff Group, and the group given to an EVSE."
    empty_hint = "Begin with a Tariff Group: it comes with a base tariff that you can price."

    column_list = ("name", "type", "price", "tariff_groups")
    column_labels = {
        "price_per_session": "Price per session",
        "tariff_groups": "Tariff Groups",
        "group_links.group.name": "Tariff Group",
        "user_groups.name": "User Group",
        "partners.name": "Partner",
        "is_base": "Base tariff",
        "for_owner_users": "Users of the CP owner",
        "for_roaming_users": "Users of all roaming Partners",
        "for_ad_hoc_users": "Ad-hoc users",
        "max_minutes": "Session max time",
        "max_energy_kwh": "Energy exceeds",
        "learn_more_url": "Learn more URL",
        "levels": "Power levels",
        "created_at": "Created",
        "updated_at": "Changed",
        "applies_to": "Applies to",
        "partners": "Partners",
        "user_groups": "User groups",
    }
    column_formatters = {
        "price": lambda view, context, tariff, name: price(tariff),
        "tariff_groups": lambda view, context, tariff, name: records(groups_of(tariff)),
    }
    column_searchable_list = ("name", "group_links.group.name")
    column_sortable_list = ("name", "type")
    column_default_sort = "name"
    column_filters = (
        "type", "name", "group_links.group.name", "is_base", "user_groups.name", "partners.name", "for_owner_users",
        "for_roaming_users", "for_ad_hoc_users", "updated_at",
    )  # fmt: skip
    column_export_list = (
        "id", "name", "type", ("price", price), ("currency", lambda tariff: base_currency().code), "price_per_session",
        "price_per_minute", "price_per_kwh", "connection_fee", "day_starts", "night_starts", "night_price_per_minute",
        "night_price_per_kwh", "idle_fee_per_minute", "idle_grace_minutes", "max_minutes", "max_energy_kwh",
        ("applies_to", applies_to_text),
        ("tariff_groups", lambda tariff: ", ".join(group.name for group in groups_of(tariff))),
        "revision", "updated_at",
    )  # fmt: skip
    load_options = (
        selectinload(Tariff.levels),
        selectinload(Tariff.group_links).joinedload(TariffGroupTariff.group),
    )

    form_base_class = tariff_form.TariffForm
    form_columns = (
        "name", "description", "additional_information", "learn_more_url", "type", "price_per_session",
        "price_per_minute", "price_per_kwh", "connection_fee", "day_starts", "night_starts", "night_price_per_minute",
        "night_price_per_kwh", "idle_fee_per_minute", "idle_grace_minutes", "for_owner_users", "for_roaming_users",
        "for_ad_hoc_users", "partners", "user_groups", "max_minutes", "max_energy_kwh", "stop_below_preauthorization",
        "minimum_balance_to_start", "auto_stop_amount", "levels",
    )  # fmt: skip
    form_rules = tariff_form.RULES
    form_args = tariff_form.FORM_ARGS
    form_overrides = {
        **tariff_form.OVERRIDES,
        "description": I18nField,
        "additional_information": I18nTextArea,
        "learn_more_url": I18nField,
    }
    i18n_fields = ("description", "additional_information", "learn_more_url")
    inline_model_form_converter = tariff_form.LevelConverter
    inline_models = (tariff_form.LEVELS,)
    form_ajax_refs = {
        "user_groups": Lookup("user_groups", UserGroup, session=db, fields=["name"]),
        "partners": Lookup(
            "partners",
            Partner,
            session=db,
            fields=["name"],
            narrow=lambda query: query.filter(~Partner.is_house),
        ),
    }
    create_template = edit_template = "tariffs/form.html"
    refusals = (verbs.TariffInUse,)

    details_template = "tariffs/details.html"
    details_tabs = (
        Facts("General", ("name", "description", "additional_information", "learn_more_url")),
        Facts("Pricing", template="tariffs/_pricing.html"),
        Facts("Restrictions", template="tariffs/_restrictions.html"),
        Facts("Stop Session", template="tariffs/_stop.html"),
        Facts("Calculator", template="tariffs/_calculator.html"),
        Facts("Versions", template="tariffs/_versions.html"),
    )
    details_load_options = (
        selectinload(Tariff.levels),
        selectinload(Tariff.user_groups),
        selectinload(Tariff.partners),
        selectinload(Tariff.group_links).joinedload(TariffGroupTariff.group),
    )
    status_template = "tariffs/_status.html"
    related = (
        Related("Tariff Groups", "tariff_group", _in_groups_of),
        Related("Charging Sessions", "charging_session", "tariff_id"),
    )

    def row_options(self, names: Any) -> list[Any]:
        """With the restrictions too where the CSV names them."""
        options = super().row_options(names)
        if "revision" in names:
            options += [selectinload(Tariff.user_groups), selectinload(Tariff.partners)]
        return options

    def details_context(self, obj: Any) -> dict[str, Any]:
        """The price and the use of the tariff, for the cards."""
        evse_count = (
            select(func.count())
            .select_from(Evse)
            .join(TariffGroupTariff, TariffGroupTariff.tariff_group_id == Evse.tariff_group_id)
            .where(TariffGroupTariff.tariff_id == obj.id)
        )
        return {
            **super().details_context(obj),
            "price": price(obj),
            "currency": base_currency(),
            "applies_to": applies_to(obj),
            "stop": stop_facts(obj),
            "versions": versions_of(self.db_session(), obj),
            "field_label": tariff_form.field_label,
            "groups": groups_of(obj),
            "evse_count": self.db_session.scalar(evse_count),
            "calculation": calculate(self.db_session(), obj, request.args),
            "trials": self.recent_trials(obj) if self.may("tariffs.tariff.edit") else [],
            "trial_periods": PERIODS,
        }

    @expose("/calculator/")
    def calculator_view(self) -> str:
        """The calculator alone, with the price of what its form says."""
        tariff = self.get_one(request.args.get("id"), options=(selectinload(Tariff.levels),))
        calculation = calculate(self.db_session(), tariff, request.args)
        return self.render("tariffs/_calculator.html", model=tariff, calculation=calculation, currency=base_currency())

    def create_form(self, obj: Any = None) -> Any:
        """Without what does not apply here."""
        return tariff_form.fit_to(super().create_form(obj), None)

    def edit_form(self, obj: Any = None) -> Any:
        """Without what does not apply to this tariff."""
        return tariff_form.fit_to(super().edit_form(obj), obj)

    def render(self, template: str, **context: Any) -> str:
        """Tell the form page about the types, why a base tariff has no restrictions, and which limits are asked for."""
        if template == self.create_template:
            context.setdefault("trial_periods", PERIODS)
            context.setdefault("type_hints", {kind.value: text for kind, text in tariff_form.TYPE_HINTS.items()})
            obj = context.get("model")
            for pane in context["panes"]:
                if pane.id == "tab-restrictions" and obj is not None and obj.is_base:
                    pane.help = tariff_form.BASE_HELP
                elif pane.id == "tab-stop-session":
                    pane.help = tab_help(may_see_settings=self.may("configuration.setting.view"))
        return super().render(template, **context)

    def update_model(self, form: Any, model: Any) -> bool:
        """Remember the version in force, to know whether a new one begins."""
        form.terms_before = versioned_terms(model)
        return super().update_model(form, model)

    def on_model_change(self, form: Any, model: Any, is_created: bool) -> None:
        """Blank the prices of other types; count the revision."""
        model.name = model.name.strip()
        verbs.settle_terms(self.db_session, tariff=model, before=None if is_created else form.terms_before)

    def on_model_delete(self, model: Any) -> None:
        """Refuse while it is attached."""
        verbs.require_detached(self.db_session, tariff=model)
