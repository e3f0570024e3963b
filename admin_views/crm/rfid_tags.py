"""CRM > RFID Tags. Manual, "RFID Tags", "Add RFID tag (card) for user"."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import joinedload
from wtforms import validators

from admin_views.base import BaseView, Facts, Lookup, Related
from admin_views.crm.actions import TAG_ACTIONS
from app.charging.models import Authorization
from app.core.db import db
from app.crm import verbs
from app.crm.models import RfidTag, User


def _authorizations(query: Any, tag: RfidTag) -> Any:
    spellings = {tag.tag_id, tag.tag_id.upper(), tag.tag_id.lower()}
    return query.filter(Authorization.id_tag.in_(spellings))


def _user_label(user: User) -> str:
    return f"{user.full_name} ({user.email})" if user.full_name != user.email else user.email


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
        "id": "ID",
    }
    column_pills = ("status",)
    column_searchable_list = ("tag_id", "card_no", "user.email", "user.first_name", "user.last_name")
    search_hint = "Search tag ID, card no., user"
    column_sortable_list = ("tag_id", "card_no", ("user.email", "user.email"), "status", "expires_on", "created_at")
    column_default_sort = ("created_at", True)
    column_filters = ("status", "tag_id", "card_no", "user.email", "expires_on", "created_at")
    column_export_list = (
        "id", "tag_id", "card_no", "status", "expires_on", "user.email", "user.first_name", "user.last_name",
        "created_at",
    )  # fmt: skip
    load_options = (joinedload(RfidTag.user),)

    form_columns = ("tag_id", "card_no", "expires_on", "status", "user")
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
        "status": {"description": "Only an active tag starts a session."},
        "user": {
            "validators": [validators.InputRequired()],
            "description": "Enter the e-mail or the name of the user.",
        },
    }
    constraint_messages = {"uq_rfid_tag_tag_id_upper": ("tag_id", "This Tag ID is registered already.")}

    details_tabs = (
        Facts("General", ("tag_id", "card_no", "status", "expires_on", "user", "user.email", "created_at")),
    )
    related = (Related("Authorizations", "authorization", _authorizations),)
    actions = TAG_ACTIONS

    def create_form(self, obj: Any = None) -> Any:
        """Checks the Tag ID against the others."""
        return self._checked(super().create_form(obj), None)

    def edit_form(self, obj: Any = None) -> Any:
        """Checks the Tag ID against the others."""
        return self._checked(super().edit_form(obj), obj)

    def _checked(self, form: Any, tag: RfidTag | None) -> Any:
        def free(form: Any, field: Any) -> None:
            try:
                verbs.checked_tag_id(self.db_session, tag_id=field.data or "", tag=tag)
            except (verbs.TagIdInvalid, verbs.TagIdTaken) as error:
                raise validators.ValidationError(str(error)) from None

        form.tag_id.validators = [*form.tag_id.validators, free]
        return form

    def on_model_change(self, form: Any, model: Any, is_created: bool) -> None:
        """Without spaces around, as card readers type them."""
        model.tag_id = model.tag_id.strip()
        model.card_no = (model.card_no or "").strip() or None
