"""CRM > Users. Manual, "Users", "User Profile", "User's Details"."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from flask import request
from flask_admin import expose
from markupsafe import Markup
from sqlalchemy.orm import selectinload
from wtforms import validators

from admin_views import formats
from admin_views.base import BaseView, ChoiceField, CountryField, Facts, Related, Section, Tab, Tabs
from admin_views.crm import figures, profile
from admin_views.crm.actions import USER_ACTIONS
from admin_views.crm.balance_actions import BALANCE_ACTIONS, standing_order_in_words
from admin_views.crm.filters import BalanceAtLeast, BalanceAtMost
from admin_views.crm.outstanding_actions import OUTSTANDING_ACTIONS, owed_by
from admin_views.crm.payment_methods import PaymentMethodsMixin, methods_cell
from admin_views.crm.profile import CAR_FIELDS, RECEIPT_FIELDS
from admin_views.crm.user_import import UserImportPages
from admin_views.crm.verification_actions import PROFILE_ACTIONS
from admin_views.widgets.cells import follow
from admin_views.widgets.export import BATCH_ROWS
from app.billing.payments import method_actions
from app.core import rates, settings
from app.core.clock import utcnow
from app.core.i18n import LANGUAGES
from app.core.models import Action
from app.crm import profile_fields, verbs
from app.crm.models import User
from app.search.kinds import Kind

BALANCE = "balance"
PAYMENT_METHODS = "payment_methods"


def balance_words(amounts: tuple[tuple[str, Any], ...]) -> Markup:
    """Balances as '€52.65', in red where the user owes."""
    parts = [
        Markup('<span class="{}">{}</span>').format("text-danger" if amount < 0 else "", formats.money(amount, code))
        for code, amount in amounts
    ]
    return Markup(", ").join(parts)


def _balance(view: Any, context: Any, user: User, name: str) -> Markup:
    own = getattr(user, "balances", None)
    return balance_words(own or figures.balances(view.db_session, user_ids=[user.id])[user.id])


def _payment_methods(view: Any, context: Any, user: User, name: str) -> Markup | str:
    own = getattr(user, "paying", None)
    if own is None:
        own = method_actions.first_methods(view.db_session, user_ids=[user.id], today=utcnow().date())[user.id]
    return methods_cell(own)


def _actions_on(query: Any, user: User) -> Any:
    return query.filter(Action.target_type == User.__tablename__, Action.target_id == user.id)


class UserView(PaymentMethodsMixin, UserImportPages, BaseView):
    """Drivers: who they are, what they have, what they did."""

    resource, singular, plural = "crm.user", "User", "Users"
    section, icon = "CRM", "users"
    list_template = "crm/users.html"
    description = "Drivers register in the app; here they are seen, helped, and if need be disabled."
    empty_hint = "Drivers register in the EV driver’s app; you can also create them here."

    column_list = ("status", "email", "phone", "groups", BALANCE, "created_at", PAYMENT_METHODS)
    column_labels = {
        "email": "E-mail",
        "first_name": "First name",
        "last_name": "Last name",
        "full_name": "Name",
        "created_at": "Registration date",
        "groups": "Groups",
        "groups.name": "Group",
        PAYMENT_METHODS: "Payment Methods",
        "rfid_tags.tag_id": "RFID Tag",
        "locale": "Language",
        "email_verified": "E-mail",
        "phone_verified": "Phone",
        "email_verified_at": "E-mail verified",
        "phone_verified_at": "Phone verified",
        "erased_at": "Personal data erased",
        **profile_fields.LABELS,
        "id": "ID",
    }
    column_pills = ("status",)
    link_column = "email"
    column_formatters = {
        BALANCE: _balance,
        PAYMENT_METHODS: _payment_methods,
        "date_of_birth": lambda view, context, user, name: formats.day(user.date_of_birth),
        "locale": lambda view, context, user, name: LANGUAGES.get(user.locale, user.locale),
    }
    column_searchable_list = ("email", "first_name", "last_name", "phone", "rfid_tags.tag_id")
    search_hint = "Search e-mail, name, phone, company, RFID tag"
    search_kind = Kind.USER
    column_sortable_list = ("status", "email", "phone", "created_at")
    column_default_sort = ("created_at", True)
    column_filters = (
        "status", "email", "first_name", "last_name", "phone", "groups.name", "rfid_tags.tag_id",
        BalanceAtLeast(User.id, "Balance"), BalanceAtMost(User.id, "Balance"), "created_at",
    )  # fmt: skip
    column_export_list = (
        "id", "status", "email", "first_name", "last_name", "phone",
        ("groups", lambda user: ", ".join(group.name for group in user.groups)),
        BALANCE, "currency", "locale", ("registered_at", "created_at"),
        ("rfid_tags", lambda user: ", ".join(tag.tag_id for tag in user.rfid_tags)),
        "date_of_birth", *RECEIPT_FIELDS, *CAR_FIELDS, "email_verified_at", "phone_verified_at",
        ("payment_methods", lambda user: ", ".join(str(method) for method in user.paying)),
    )  # fmt: skip

    form_columns = (
        "email", "first_name", "last_name", "phone", "date_of_birth", "locale", "groups", *RECEIPT_FIELDS, *CAR_FIELDS
    )  # fmt: skip
    form_rules = [
        Tabs(
            Tab(
                "General",
                Section("", "email", "first_name", "last_name", "phone", "date_of_birth", "locale", "groups"),
                Section("Billing address", *RECEIPT_FIELDS, help="For the user’s receipts."),
                Section("Car", *CAR_FIELDS),
            )
        )
    ]
    form_lookups = {"groups": ("name",)}
    form_overrides = {"locale": ChoiceField, "country": CountryField}
    form_args = {
        "email": {
            "validators": [validators.InputRequired(), profile.email_address],
            "render_kw": {"type": "email", "autocomplete": "off"},
            "description": "With which the user signs in to the EV driver’s app.",
        },
        "phone": {"validators": [validators.Optional(), profile.phone_number]},
        "date_of_birth": {"validators": [validators.Optional(), profile.birthday]},
        "locale": {"choices": list(LANGUAGES.items()), "description": "In which texts are sent to the user."},
        "groups": {"label": "Groups", "description": "Tariffs can be restricted to user groups."},
        "country": {"allow_blank": True, "validators": [validators.Optional()]},
    }
    constraint_messages = {"uq_user_account_email_lower": ("email", "Another user has this e-mail address.")}
    refusals = (verbs.UserHasHistory,)

    details_template = "crm/user.html"
    details_tabs = (
        Facts("General", template="crm/_user_general.html"),
        Facts("Payment Methods", template="crm/_user_payment_methods.html"),
        Facts("RFID Tags", template="crm/_user_tags.html"),
        Facts("Balance", template="crm/_user_balance.html"),
    )
    details_load_options = (selectinload(User.rfid_tags), selectinload(User.groups))
    status_template = "crm/_user_status.html"
    related = (
        Related("Charging Sessions", "charging_session", "user_id"),
        Related("Transactions", "transaction", "user_id"),
        Related("Receipts", "receipt", "user_id"),
        Related("Authorizations", "authorization", "user_id"),
        Related(
            "Reservations",
            "reservation",
            "user_id",
            ("id", "created_at", "expires_at", "status", "evse", "charge_point", "end_reason", "session"),
        ),
        Related("Actions", "action", _actions_on, columns=("id", "name", "info", "reason", "status", "created_at")),
    )
    actions = (*USER_ACTIONS, *BALANCE_ACTIONS, *OUTSTANDING_ACTIONS, *PROFILE_ACTIONS)

    def list_cell(self, obj: Any, name: str) -> Any:
        """The name stands under the e-mail address, so that the manual's columns fit the window."""
        shown = super().list_cell(obj, name)
        if name != "email" or obj.full_name == obj.email:
            return shown
        return Markup('{} <span class="cell-below">{}</span>').format(shown, obj.full_name)

    def live_topics(self, obj: Any) -> list[str]:
        """Sessions, payments and actions of this user."""
        return [f"user:{obj.id}"]

    def get_sortable_columns(self) -> dict[Any, Any]:
        """With the two columns that are no attribute of the table."""
        return {**super().get_sortable_columns(), "full_name": figures.full_name_sql(), BALANCE: figures.balance_sql()}

    def prepared(self, rows: list[Any]) -> list[Any]:
        """With the balances and payment methods of the users on the page."""
        ids = [user.id for user in rows]
        found = figures.balances(self.db_session, user_ids=ids)
        paying = method_actions.first_methods(self.db_session, user_ids=ids, today=utcnow().date())
        for user in rows:
            user.balances, user.paying = found[user.id], paying[user.id]
        return rows

    def export_rows(self, query: Any) -> Iterator[list[Any]]:
        """With the balance as a column of the same query, so that the whole list can be streamed."""
        currency = settings.get_text(self.db_session, rates.BASE_CURRENCY)
        sources = [source for _, source in self.export_columns()]
        options = [*self.row_options(["groups"]), selectinload(User.rfid_tags)]
        balance = figures.balance_sql().label(BALANCE)
        found = iter(query.options(*options).add_columns(balance).yield_per(BATCH_ROWS))
        today = utcnow().date()
        while part := list(islice(found, BATCH_ROWS)):
            paying = method_actions.first_methods(self.db_session, user_ids=[user.id for user, _ in part], today=today)
            for user, amount in part:
                user.paying = paying[user.id]
                own = {BALANCE: amount, "currency": currency}
                yield [self._exported(user, source, own) for source in sources]

    @staticmethod
    def _exported(user: User, source: Any, own: dict[str, Any]) -> Any:
        if not isinstance(source, str):
            return source(user)
        return own[source] if source in own else follow(user, source)

    def details_context(self, obj: Any) -> dict[str, Any]:
        """The profile, and what the cards above it say."""
        return {
            **super().details_context(obj),
            "balances": figures.balances(self.db_session, user_ids=[obj.id])[obj.id],
            "profile": profile.sections(self, obj),
            "balance_words": balance_words,
            "owed": owed_by(obj),
        }

    @expose("/figures/")
    def figures_view(self) -> Any:
        """The cards of what the user charged and spent."""
        user = self.get_one(request.args.get("id"))
        return self.render("crm/_user_figures.html", figures=figures.user_figures(self.db_session, user_id=user.id))

    @expose("/balance/")
    def balance_view(self) -> Any:
        """The balance history, in pages."""
        user = self.get_one(request.args.get("id"))
        page = max(0, min(request.args.get("page", 0, type=int), 1_000_000))
        entries, count = figures.ledger_page(self.db_session, user_id=user.id, page=page)
        return self.render(
            "crm/_ledger.html",
            model=user,
            entries=entries,
            number=page,
            count=count,
            first=page * figures.LEDGER_ROWS + 1,
            more=(page + 1) * figures.LEDGER_ROWS < count,
            **standing_order_in_words(user.id),
        )

    def create_form(self, obj: Any = None) -> Any:
        """With the profile's fields as the settings have them."""
        return profile.shaped(super().create_form(obj), None)

    def edit_form(self, obj: Any = None) -> Any:
        """With the profile's fields as the settings have them."""
        return profile.shaped(super().edit_form(obj), obj)

    def can_edit_row(self, obj: Any) -> bool:
        """Not once the personal data was erased."""
        return self.can_edit and obj.erased_at is None

    def on_model_change(self, form: Any, model: Any, is_created: bool) -> None:
        """Without spaces around; a name that is not told is empty, not missing."""
        model.email = model.email.strip()
        model.phone = (model.phone or "").strip() or None
        for name in profile.TEXTS:
            setattr(model, name, (getattr(model, name) or "").strip())

    def on_model_delete(self, model: Any) -> None:
        """Refuse while anything is on record."""
        verbs.require_no_history(self.db_session, user=model)
