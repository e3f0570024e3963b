"""The profile of a user on its form and page: which fields there are, what must be filled in, what is verified.

Manual, "User profile fields"; the statuses are settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup
from wtforms import validators

from admin_views import formats
from admin_views.base import pill
from app.core.clock import utcnow
from app.core.db import db
from app.core.sign_in import InvalidEmail, checked_email
from app.crm import profile_fields
from app.crm.models import User
from app.crm.phones import InvalidPhone, checked_phone
from app.crm.profile_fields import FieldStatus

#: who receipts are for
RECEIPT_FIELDS = ("company", "vat_no", "address", "post_code", "city", "country")
CAR_FIELDS = ("car_make", "car_model", "licence_plate")
#: text fields that are empty rather than missing
TEXTS = ("first_name", "last_name", *RECEIPT_FIELDS, *CAR_FIELDS)
#: heading and facts of the tab General
SECTIONS = (
    ("Account", ("id", "status", "email_verified", "locale", "groups", "created_at")),
    ("Contact", ("first_name", "last_name", "phone_verified", "date_of_birth")),
    ("Billing address", RECEIPT_FIELDS),
    ("Car", CAR_FIELDS),
)
REQUIRED = f"Required: {profile_fields.WHERE} says so."


def email_address(form: Any, field: Any) -> None:
    """A validator."""
    try:
        checked_email(field.data or "")
    except InvalidEmail:
        raise validators.ValidationError("This is not an e-mail address.") from None


def phone_number(form: Any, field: Any) -> None:
    """A validator."""
    try:
        checked_phone(field.data)
    except InvalidPhone as error:
        raise validators.ValidationError(str(error)) from None


def birthday(form: Any, field: Any) -> None:
    """A validator."""
    if field.data is not None and not 1900 <= field.data.year <= utcnow().year:
        raise validators.ValidationError("A date of birth lies in the past.")


class Filled:
    """A validator: the field's status in the settings asks for it."""

    field_flags = {"required": True}

    def __call__(self, form: Any, field: Any) -> None:
        """Refuse what is empty, saying where that is decided."""
        if field.data is None or not str(field.data).strip():
            raise validators.StopValidation(REQUIRED)


def shaped(form: Any, user: User | None) -> Any:
    """The form with the fields that are enabled, the required ones required. A disabled field keeps what it holds."""
    in_force = profile_fields.statuses(db.session())
    for name, status in in_force.items():
        if name not in form:
            continue
        if status is FieldStatus.DISABLED:
            del form[name]
        elif status.needed and name != "email":  # the form never does without one
            bound = form[name]
            kept = [each for each in bound.validators if not isinstance(each, validators.Optional)]
            bound.validators = [Filled(), *kept]
            bound.flags.required, bound.flags.optional = True, False
            if name == "country":
                bound.allow_blank = user is not None and not user.country
    return form


def sections(view: Any, user: User) -> list[tuple[str, list[tuple[str, Any]]]]:
    """Heading, then label and value of each fact: of disabled fields only those that hold something."""
    in_force = profile_fields.statuses(db.session())
    found = []
    for heading, names in SECTIONS:
        facts = [
            (view.get_column_name(name), _fact(view, user, name, in_force))
            for name in names
            if in_force.get(_field(name)) is not FieldStatus.DISABLED or getattr(user, _field(name))
        ]
        if facts:
            found.append((heading, facts))
    return found


def _field(name: str) -> str:
    return name.removesuffix("_verified")


def _fact(view: Any, user: User, name: str, in_force: Mapping[str, FieldStatus]) -> Any:
    field = _field(name)
    status = in_force.get(field)
    if user.erased_at is not None and status is not None:
        return formats.NOTHING
    if status is not None and status.needed and not getattr(user, field):
        return pill("required", "orange", text="Missing", title=f"{status.label}: {profile_fields.WHERE}")
    if name.endswith("_verified"):
        return _verified(user, field, status)
    return view.fact(user, name)


def _verified(user: User, field: str, status: FieldStatus | None) -> Any:
    value = getattr(user, field)
    if not value:
        return formats.NOTHING
    at = getattr(user, f"{field}_verified_at")
    if at is not None:
        mark = pill("verified", "green", text="Verified", title=f"Since {formats.local(at):%Y-%m-%d %H:%M}")
    elif status is FieldStatus.VERIFICATION:
        mark = pill("unverified", "orange", text="Not verified", title="See Actions > Send verification …")
    else:
        return value
    return Markup("{} {}").format(value, mark)
