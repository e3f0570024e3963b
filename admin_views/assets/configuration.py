"""The Configuration tab of a charge point, and the actions that read and change its keys.

Manual, "Charge Point Details", Configuration; issue: pending, rejected, reboot required told apart.
"""

from __future__ import annotations

from typing import Any

from flask import request
from flask_admin import expose
from markupsafe import Markup
from wtforms import StringField, validators
from wtforms.widgets import TextInput

from admin_views.base import ReasonForm, RemoteAction
from app.assets.models import ChargePoint
from app.charging.commands import NotManaged
from app.charging.upkeep import boot_recipe, configuration
from app.charging.upkeep.configuration_keys import (
    LONGEST_KEY,
    LONGEST_VALUE,
    STANDARD_KEYS,
    InvalidChange,
    check_key,
    check_value,
    is_authorization_key,
    standard_key,
)
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import Action, Admin

GROUP = "Configuration"


class Suggested(TextInput):
    """A text input that offers the standard keys and takes any."""

    def __call__(self, field: Any, **options: Any) -> Markup:
        """The input with its list."""
        listed = f"{field.id}-suggestions"
        names = [key.name for key in STANDARD_KEYS.values() if not (key.read_only or is_authorization_key(key.name))]
        choices = Markup("").join(Markup('<option value="{}"></option>').format(name) for name in sorted(names))
        box = super().__call__(field, list=listed, **options)
        return Markup('{}<datalist id="{}">{}</datalist>').format(box, listed, choices)


class ChangeForm(ReasonForm):
    """A key and its new value. One key's own dialog comes with the key and what it stands at."""

    key = StringField(
        "Key",
        [validators.Length(max=LONGEST_KEY)],
        widget=Suggested(),
        description="As the charge point calls it, e.g. HeartbeatInterval.",
        render_kw={"maxlength": LONGEST_KEY, "autocomplete": "off", "spellcheck": "false"},
    )
    value = StringField(
        "New value",
        [validators.Length(max=LONGEST_VALUE)],
        render_kw={"maxlength": LONGEST_VALUE, "autocomplete": "off", "spellcheck": "false"},
    )

    def __init__(self, formdata: Any = None, obj: ChargePoint | None = None, **options: Any) -> None:
        super().__init__(formdata, obj=None, **options)
        self.key.flags.required = True
        asked = request.args.get("key", "").strip().replace("\x00", "")[:LONGEST_KEY]
        if not asked:
            return
        self.key.render_kw = {**self.key.render_kw, "readonly": True}
        known = standard_key(asked)
        self.key.description = known.help if known else "A key of this make; the specification does not know it."
        if formdata is None:
            self.key.data = asked
            if obj is not None:
                self.value.data = configuration.current_value(db.session(), charge_point_id=obj.id, key=asked)

    def validate(self, extra_validators: Any = None) -> bool:
        """What no charge point can take is not sent."""
        valid: bool = super().validate(extra_validators)
        for field, check in (
            (self.key, lambda: check_key(self.key.data or "")),
            (self.value, lambda: check_value(self.key.data or "", self.value.data or "")),
        ):
            try:
                check()
            except InvalidChange as mistake:
                field.errors = [*field.errors, str(mistake)]
                return False
        return valid


def read(obj: ChargePoint, form: Any, *, reason: str, actor: Admin) -> Action:
    """Ask for all keys."""
    return configuration.read_configuration(db.session(), charge_point=obj, reason=reason, actor=actor, now=utcnow())


def change(obj: ChargePoint, form: ChangeForm, *, reason: str, actor: Admin) -> Action:
    """Ask to change a key."""
    return configuration.change_configuration(
        db.session(),
        charge_point=obj,
        key=form.key.data or "",
        value=form.value.data or "",
        reason=reason,
        actor=actor,
        now=utcnow(),
    )


def _managed(obj: ChargePoint) -> bool:
    return obj.managed_by_operator


ACTIONS = (
    RemoteAction(
        "read_configuration",
        "Read Configuration",
        read,
        icon="list-details",
        group=GROUP,
        available=_managed,
        refusals=(NotManaged,),
        help="Asks the charge point for all its configuration keys. They are shown in the tab Configuration.",
    ),
    RemoteAction(
        "change_configuration",
        "Change Configuration",
        change,
        form=ChangeForm,
        icon="adjustments",
        group=GROUP,
        available=_managed,
        refusals=(NotManaged, InvalidChange),
        help="Changes one configuration key. The charge point may refuse it, or need a reset before it counts.",
    ),
)


class ConfigurationMixin:
    """Joined before BaseView."""

    @expose("/configuration/")
    def configuration_view(self) -> str:
        """The tab's content; with ``part`` its table alone, as the search and live updates fetch it."""
        obj = self.get_one(request.args.get("id"))
        search = request.args.get("search", "").replace("\x00", "")[:100]
        found = configuration.lines(self.db_session, charge_point_id=obj.id, search=search)
        table_only = request.args.get("part") == "table"
        return self.render(
            "assets/_configuration_table.html" if table_only else "assets/_configuration.html",
            model=obj,
            lines=found,
            search=search,
            read_at=configuration.last_read_at(self.db_session, charge_point_id=obj.id),
            standing=boot_recipe.standing(self.db_session, obj, now=utcnow()),
            may_command=self.may("assets.charge_point.command") and obj.managed_by_operator,
        )
