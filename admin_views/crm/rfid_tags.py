"""CRM > RFID Tags. Manual, "RFID Tags", "Add RFID tag (card) for user"."""

from __future__ import annotations

from typing import Any

from flask import jsonify, request, url_for
from flask_admin import expose
from sqlalchemy.orm import joinedload
from wtforms import fields, validators
from wtforms.fields.choices import SelectChoice

from admin_views.base import BaseView, Facts, Lookup, Related
from admin_views.crm.actions import TAG_ACTIONS
from app.billing.models import PaymentMethod
from app.billing.payments import tag_payment
from app.charging.models import Authorization
from app.core.clock import utcnow
from app.core.db import db
from app.crm import verbs
from app.crm.models import RfidTag, RfidTagStatus, TagPayment, User
from app.partners.models import Partner
from app.search.kinds import Kind


def _authorizations(query: Any, tag: RfidTag) -> Any:
    spellings = {tag.tag_id, tag.tag_id.upper(), tag.tag_id.lower()}
    return query.filter(Authorization.id_tag.in_(spellings))


def _user_label(user: User) -> str:
    return f"{user.full_name} ({user.email})" if user.full_name != user.email else user.email


class PaysWithField(fields.SelectField):
    """What pays for the tag: choices of its user. What is not posted stays as it is; new tags use the last used."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.flags.required = True  # there is always one, also for a form that does not name it

    def process_formdata(self, valuelist: list[str]) -> None:
        """Keep what is chosen already when a form does not have the field."""
        if valuelist:
            super().process_formdata(valuelist)

    def populate_obj(self, obj: Any, name: str) -> None:
        """The view does it: a choice is stored as what it stands for."""

    def pre_validate(self, form: Any) -> None:
        """The view does it, once it is known whose tag it is."""


def _pays_with(view: Any, context: Any, tag: RfidTag, name: str) -> str:
    if tag.payment is TagPayment.PAYMENT_METHOD:
        return str(view.db_session.get(PaymentMethod, tag.payment_method_id))
    if tag.payment is TagPayment.CORPORATE:
        return f"{tag.payment.label}: {view.db_session.get(Partner, tag.payer_partner_id)}"
    return str(tag.payment.label)


class RfidTagView(BaseView):
    """Cards and chips, each of one user."""

    resource, singular, plural = "crm.rfid_tag", "RFID Tag", "RFID Tags"
    section, icon = "CRM", "id-badge-2"
    list_template = "tariffs/list.html"
    description = "Whenever one of these is tapped, the system recognizes its user."
    empty_hint = "Tap an unknown card at a station: it shows in ACTIVITY > Authorizations, from where it is registered."

    column_list = ("tag_id", "card_no", "user", "user.email", "status", "expires_on")
    column_labels = {
        "tag_id": "Tag ID",
        "card_no": "Card No.",
        "user.email": "E-mail",
        "user.groups.name": "User Group",
        "expires_on": "Expiration Date",
        "created_at": "Created",
        "payment": "Payment method",
        "id": "ID",
    }
    column_pills = ("status",)
    column_searchable_list = ("tag_id", "card_no", "user.email", "user.first_name", "user.last_name")
    search_hint = "Search tag ID, card no., user"
    search_kind = Kind.RFID_TAG
    column_sortable_list = ("tag_id", "card_no", ("user.email", "user.email"), "status", "expires_on", "created_at")
    column_default_sort = ("created_at", True)
    column_filters = ("status", "tag_id", "card_no", "user.email", "expires_on", "created_at")
    column_export_list = (
        "id", "tag_id", "card_no", "status", "expires_on", "user.email", "user.first_name", "user.last_name",
        "created_at",
    )  # fmt: skip
    load_options = (joinedload(RfidTag.user),)

    create_template = edit_template = "crm/rfid_tag_form.html"
    form_columns = ("tag_id", "card_no", "expires_on", "status", "user", "pays_with")
    form_extra_fields = {
        "pays_with": PaysWithField(
            "Payment method",
            default=TagPayment.LAST_USED.value,
            description="Billed when the tag is used: “Last used”, or always the one chosen here.",
        )
    }
    form_ajax_refs = {
        "user": Lookup(
            "user",
            User,
            session=db,
            fields=["email", "first_name", "last_name"],
            text=_user_label,
            placeholder="Click to choose",
        )
    }
    form_args = {
        "tag_id": {
            "validators": [validators.InputRequired()],
            "description": "Paste the public tag ID, or with a USB card reader click here and tap the card.",
            "render_kw": {"autocomplete": "off", "spellcheck": "false", "maxlength": 40},
        },
        "card_no": {"description": "A card number or any other identification. Also visible to the user."},
        "expires_on": {"description": "Once a tag has expired, it no longer works. Leave empty for no date."},
        "status": {
            "validators": [validators.InputRequired()],
            "default": RfidTagStatus.ACTIVE,
            "description": "Only an active tag starts a session.",
        },
        "user": {
            "validators": [validators.InputRequired()],
            "description": "Enter the e-mail or the name of the user.",
        },
    }
    constraint_messages = {"uq_rfid_tag_tag_id_upper": ("tag_id", "This Tag ID is registered already.")}

    details_tabs = (
        Facts("General", ("tag_id", "card_no", "status", "expires_on", "user", "user.email", "payment", "created_at")),
    )
    column_formatters_detail = {"payment": _pays_with}
    related = (Related("Authorizations", "authorization", _authorizations),)
    actions = TAG_ACTIONS

    def create_form(self, obj: Any = None) -> Any:
        """Checks the Tag ID against the others."""
        return self._checked(super().create_form(obj), None)

    def edit_form(self, obj: Any = None) -> Any:
        """Checks the Tag ID against the others."""
        form = super().edit_form(obj)
        if "pays_with" not in request.form:
            form.pays_with.data = tag_payment.tag_choice(obj)
        return self._checked(form, obj)

    def _checked(self, form: Any, tag: RfidTag | None) -> Any:
        def free(form: Any, field: Any) -> None:
            try:
                verbs.checked_tag_id(self.db_session, tag_id=field.data or "", tag=tag)
            except (verbs.TagIdInvalid, verbs.TagIdTaken) as error:
                raise validators.ValidationError(str(error)) from None

        def still_somebody(form: Any, field: Any) -> None:
            if field.data is not None and field.data.erased_at is not None:
                raise validators.ValidationError("The personal data of this user was erased.")

        def of_the_user(form: Any, field: Any) -> None:
            if form.user.data is not None:
                try:
                    self._pay_with(form, field.data, tag)
                except tag_payment.NotOfThisUser as error:
                    raise validators.ValidationError(str(error)) from None

        form.tag_id.validators = [*form.tag_id.validators, free]
        form.user.validators = [*form.user.validators, still_somebody]
        form.pays_with.validators = [of_the_user]
        form.pays_with.choices = [SelectChoice(*each) for each in self._choices(form.user.data, tag)]
        form.pays_with.render_kw = {"data-pays-with": url_for(".payment_choices_view")}
        return form

    def _choices(self, user: User | None, tag: RfidTag | None) -> list[tuple[str, str]]:
        """Those of the user, and what the tag has now, also when that card has expired since."""
        choices = tag_payment.tag_choices(self.db_session, user_id=user.id if user else None, today=utcnow().date())
        if tag is not None and user is not None and user.id == tag.user_id:
            own = tag_payment.tag_choice(tag)
            if own not in dict(choices):
                choices.append((own, f"{_pays_with(self, None, tag, 'payment')} (expired)"))
        return choices

    def _pay_with(self, form: Any, choice: str, tag: RfidTag | None) -> tag_payment.Choice:
        return tag_payment.chosen(
            self.db_session, user_id=form.user.data.id, choice=choice, tag=tag, today=utcnow().date()
        )

    @expose("/payment-choices/")
    def payment_choices_view(self) -> Any:
        """What may pay for a tag of the user chosen in the form, as [value, label]; 403 for who may not edit tags."""
        if not (self.may("crm.rfid_tag.create") or self.may("crm.rfid_tag.edit")):
            self.require("edit")
        user = self._form_ajax_refs["user"].get_one(request.args.get("user", ""))
        return jsonify(self._choices(user, None))

    def on_model_change(self, form: Any, model: Any, is_created: bool) -> None:
        """Without spaces around, as card readers type them."""
        model.tag_id = model.tag_id.strip()
        model.card_no = (model.card_no or "").strip() or None
        choice = self._pay_with(form, form.pays_with.data, None if is_created else model)
        model.payment, model.payment_method_id, model.payer_partner_id = choice
