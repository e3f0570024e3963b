"""Which fields a driver's profile has, and which of them have to be filled in. Manual, "User profile fields".

The statuses are settings (CONFIGURATION > Settings > User profile fields). Nothing here asks whether a user may charge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.core import settings
from app.core.setting_definitions import PROFILE_FIELDS
from app.core.types import LabelledEnum
from app.crm.models import VERIFIABLE, User

WHERE = "CONFIGURATION > Settings > User profile fields"


class FieldStatus(LabelledEnum):
    """What a field of the profile asks of the user."""

    ENABLED = "enabled", "Enabled"
    DISABLED = "disabled", "Disabled"
    REQUIRED = "required", "Required"
    VERIFICATION = "verification", "Requires Verification"

    @property
    def needed(self) -> bool:
        """Whether it cannot be left empty: what is verified has to be there."""
        return self in (FieldStatus.REQUIRED, FieldStatus.VERIFICATION)


@dataclass(frozen=True)
class ProfileField:
    """A field: the user's attribute, and what it is called on screen."""

    name: str
    label: str

    @property
    def verified_attribute(self) -> str | None:
        """Where it stands when it was verified; None for fields that cannot be."""
        return f"{self.name}_verified_at" if self.name in VERIFIABLE else None


FIELDS: tuple[ProfileField, ...] = tuple(ProfileField(name, label) for name, label, _, _ in PROFILE_FIELDS)
LABELS: dict[str, str] = {field.name: field.label for field in FIELDS}


def statuses(session: Session) -> dict[str, FieldStatus]:
    """The status in force of every field, by the user's attribute."""
    return {field.name: FieldStatus(settings.get_text(session, f"user_profile.{field.name}")) for field in FIELDS}


def missing(user: User, in_force: Mapping[str, FieldStatus]) -> list[str]:
    """The labels of needed fields that this user has not filled in."""
    return [field.label for field in FIELDS if in_force[field.name].needed and not getattr(user, field.name)]


def unverified(user: User, in_force: Mapping[str, FieldStatus]) -> list[ProfileField]:
    """The fields that are filled in, but still have to be verified."""
    return [
        field
        for field in FIELDS
        if in_force[field.name] is FieldStatus.VERIFICATION
        and field.verified_attribute is not None
        and getattr(user, field.name)
        and getattr(user, field.verified_attribute) is None
    ]
