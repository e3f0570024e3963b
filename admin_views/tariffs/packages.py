"""TARIFFS & VOUCHERS > Top-Up Packages. Manual, "Top-Up Packages"."""

from __future__ import annotations

from typing import Any

from flask import make_response, redirect, render_template, request
from flask_admin import expose
from flask_login import current_user
from markupsafe import Markup
from wtforms import validators

from admin_views import formats
from admin_views.base import BaseView, Facts
from admin_views.tariffs.words import SECTION, base_currency
from admin_views.widgets.access import is_htmx
from admin_views.widgets.cells import pill
from app.billing import auto_top_up, packages
from app.billing.models import TopUpPackage
from app.billing.payments.orders import InvalidAmount, checked
from app.core.clock import utcnow


def in_words(package: TopUpPackage) -> str:
    """What is paid and what comes of it: '€50.00 + €2.00 → €52.00'; '€20.00' without a bonus."""
    if not package.bonus:
        return str(formats.money(package.price, package.currency))
    amounts = (formats.money(amount, package.currency) for amount in (package.price, package.bonus, package.total))
    price, bonus, total = amounts
    return f"{price} + {bonus} → {total}"


def _money(view: Any, context: Any, package: TopUpPackage, name: str) -> str:
    return str(formats.money(getattr(package, name), package.currency))


def _total(view: Any, context: Any, package: TopUpPackage, name: str) -> str:
    return in_words(package)


def _enabled(view: Any, context: Any, package: TopUpPackage, name: str) -> Markup:
    if package.currency != base_currency().code:
        return pill(None, "orange", text="Other currency", title=f"Balances are in {base_currency().code}: not sold")
    return pill(None, "green" if package.enabled else "secondary", text=formats.yes_no(package.enabled))


def _order(view: Any, context: Any, package: TopUpPackage, name: str) -> Any:
    return Markup(  # noqa: S704 (a template of ours, which escapes)
        render_template("tariffs/_package_order.html", package=package, view=view)
        if view.can_edit
        else str(package.position)
    )


class TopUpPackageView(BaseView):
    """What drivers can buy, in the order of their app."""

    resource, singular, plural = "tariffs.top_up_package", "Top-Up Package", "Top-Up Packages"
    section, icon = SECTION, "packages"
    list_template = "tariffs/list.html"
    description = "Amounts that drivers can add to their balance, in the order of the EV driver’s app."
    empty_hint = "A package has a price, and a bonus that is added on top of it to the balance."

    column_list = ("id", "price", "bonus", "total", "enabled", "auto_top_ups", "order")
    column_labels = {
        "id": "ID",
        "total": "Added to balance",
        "auto_top_ups": "Auto top-ups",
        "created_at": "Created",
    }
    column_formatters = {
        "price": _money,
        "bonus": _money,
        "total": _total,
        "enabled": _enabled,
        "order": _order,
        "auto_top_ups": lambda view, context, package, name: f"{view.uses(package):,}",
    }
    column_sortable_list = ("id", "price", "bonus", "position")
    column_default_sort = "position"
    column_filters = ("price", "bonus", "enabled", "currency")
    column_searchable_list = ("id", "price")
    column_export_list = (
        "id",
        ("price", lambda package: formats.export_amount(package.price, package.currency)),
        ("bonus", lambda package: formats.export_amount(package.bonus, package.currency)),
        ("total", lambda package: formats.export_amount(package.total, package.currency)),
        "currency",
        "enabled",
        "position",
    )
    details_tabs = (Facts("General", ("id", "price", "bonus", "total", "enabled", "auto_top_ups", "created_at")),)

    form_columns = ("price", "bonus", "enabled")
    form_args = {
        "price": {
            "validators": [validators.InputRequired(), validators.NumberRange(max=100_000)],
            "description": "What the user pays.",
        },
        "bonus": {
            "validators": [validators.InputRequired(), validators.NumberRange(min=0, max=100_000)],
            "default": 0,
            "description": "Added to what is paid: with a price of 50 and a bonus of 2, the user is charged 50.00 and "
            "52.00 are added to the balance.",
        },
        "enabled": {"default": True, "description": "Users see and can buy it as soon as it is saved."},
    }

    # --- list -----------------------------------------------------------------------------------------------

    def prepared(self, rows: list[Any]) -> list[Any]:
        """With the number of auto top-ups of each, and which ends of the list they are at."""
        counts = packages.auto_top_ups(self.db_session, [package.id for package in rows])
        everything = packages.ordered(self.db_session)
        for package in rows:
            package.uses = counts.get(package.id, 0)
            package.first, package.last = package is everything[0], package is everything[-1]
        return rows

    def uses(self, package: TopUpPackage) -> int:
        """How many drivers have auto top-up with it."""
        known: int | None = getattr(package, "uses", None)
        return packages.auto_top_ups(self.db_session, [package.id]).get(package.id, 0) if known is None else known

    @expose("/move/", methods=("POST",))
    def move_view(self) -> Any:
        """One place up or down."""
        self.require("edit")
        package = self.get_one(request.args.get("id"))
        up = request.args.get("direction") == "up"
        packages.move(self.db_session, package=package, up=up, actor=current_user._get_current_object())
        self.db_session.commit()
        if not is_htmx():
            return redirect(self.get_url(".index_view"), code=303)
        response = make_response("", 200)
        response.headers["HX-Trigger"] = "record-changed"
        return response

    # --- create, edit, delete -------------------------------------------------------------------------------

    def create_form(self, obj: Any = None) -> Any:
        """With the base currency at the amounts."""
        return self._in(super().create_form(obj), base_currency().symbol)

    def edit_form(self, obj: Any = None) -> Any:
        """With the package's own currency at the amounts."""
        return self._in(super().edit_form(obj), obj.currency if obj.currency != base_currency().code else None)

    def _in(self, form: Any, symbol: str | None) -> Any:
        for name in ("price", "bonus"):
            form[name].label.text = f"{form[name].label.text} ({symbol or base_currency().symbol})"
        return form

    def on_model_change(self, form: Any, model: Any, is_created: bool) -> None:
        """Amounts the currency can express; a new package is the last."""
        if is_created:
            model.currency = base_currency().code
            model.position = packages.next_position(self.db_session)
        try:
            model.price = checked(self.db_session, model.price, model.currency)
            model.bonus = checked(self.db_session, model.bonus, model.currency) if model.bonus else model.bonus
        except InvalidAmount as error:
            raise validators.ValidationError(f"Price or bonus: {error}") from None

    def can_edit_row(self, obj: Any) -> bool:
        """Not while anybody has auto top-up with it (manual, "Editing a Top-Up Package")."""
        return self.can_edit and not self.uses(obj)

    def delete_warning(self, obj: Any) -> str:
        """Whose auto top-up ends with it (manual, "Deleting a Top-Up Package")."""
        count = self.uses(obj)
        if not count:
            return ""
        users = "1 user has" if count == 1 else f"{count:,} users have"
        return f"{users} enabled auto top-up with this package. It is switched off with the deletion."

    def on_model_delete(self, model: Any) -> None:
        """End the auto top-ups with it; what was bought stays on record."""
        auto_top_up.end_all(self.db_session, package=model, actor=current_user._get_current_object(), now=utcnow())
