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

from admin_views.base import ChoiceField, ReasonForm, RemoteAction
from app.assets.models import ChargePoint
from app.charging.commands import NotManaged
from app.charging.models import DeviceVariable
from app.charging.upkeep import boot_recipe, configuration, device_model
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
ATTRIBUTES = {
    "actual": "Present value",
    "target": "Target",
    "minimum": "Minimum set",
    "maximum": "Maximum set",
}
TYPES = {
    "string": "Text",
    "decimal": "Number",
    "integer": "Whole number",
    "dateTime": "Date and time",
    "boolean": "true or false",
    "OptionList": "One of a list",
    "SequenceList": "Several of a list, in order",
    "MemberList": "Several of a list",
}


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
    attribute = ChoiceField("Attribute", choices=list(ATTRIBUTES.items()), default=configuration.ACTUAL)
    value = StringField(
        "New value",
        [validators.Length(max=LONGEST_VALUE)],
        render_kw={"maxlength": LONGEST_VALUE, "autocomplete": "off", "spellcheck": "false"},
    )

    def __init__(self, formdata: Any = None, obj: ChargePoint | None = None, **options: Any) -> None:
        super().__init__(formdata, obj=None, **options)
        self.key.flags.required = True
        self.variable: DeviceVariable | None = None
        self.charge_point = obj
        asked = request.args.get("key", "").strip().replace("\x00", "")[:LONGEST_KEY]
        self._describe(asked or (self.key.data or "").strip())
        if not asked:
            return
        self.key.render_kw = {**self.key.render_kw, "readonly": True}
        known = standard_key(asked)
        self.key.description = known.help if known else "A key of this make; the specification does not know it."
        if formdata is None:
            self.key.data = asked
            if obj is not None:
                self.value.data = configuration.current_value(db.session(), charge_point_id=obj.id, key=asked)

    def _describe(self, key: str) -> None:
        """What the station says the variable takes; without a device model there is one attribute only."""
        if self.charge_point is not None and key:
            self.variable = device_model.variable(db.session(), charge_point_id=self.charge_point.id, key=key)
        known = self.variable
        settable = [each for each in ATTRIBUTES if known is not None and device_model.is_settable(known, each)]
        if known is None or len(settable) < 2:
            del self.attribute
        else:
            self.attribute.choices = [(each, ATTRIBUTES[each]) for each in settable]
        if known is not None:
            takes = [TYPES.get(known.data_type or "", ""), known.unit or "", known.allowed_values or ""]
            self.value.description = " · ".join(part for part in takes if part)

    @property
    def chosen_attribute(self) -> str:
        """Which attribute is to be set."""
        return str(self.attribute.data) if "attribute" in self else configuration.ACTUAL

    def validate(self, extra_validators: Any = None) -> bool:
        """What no charge point can take is not sent."""
        valid: bool = super().validate(extra_validators)
        for field, check in (
            (self.key, lambda: check_key(self.key.data or "")),
            (self.value, lambda: check_value(self.key.data or "", self.value.data or "")),
            (self.value, self._check_variable),
        ):
            try:
                check()
            except (InvalidChange, device_model.BadVariableValue) as mistake:
                field.errors = [*field.errors, str(mistake)]
                return False
        return valid

    def _check_variable(self) -> None:
        if self.variable is not None:
            device_model.check_variable_value(self.variable, self.value.data or "")


class ReadForm(ReasonForm):
    """How much of a device model."""

    base = ChoiceField(
        "What",
        choices=[("all", "Everything"), ("configuration", "All that can be set"), ("summary", "Summary")],
        default="all",
    )

    def __init__(self, formdata: Any = None, obj: ChargePoint | None = None, **options: Any) -> None:
        super().__init__(formdata, obj=None, **options)
        if obj is None or not device_model.has_model(db.session(), charge_point_id=obj.id):
            del self.base


def read(obj: ChargePoint, form: Any, *, reason: str, actor: Admin) -> Action:
    """Ask for all keys, or of a device model for a part."""
    base = form.base.data if "base" in form else "all"
    return configuration.read_configuration(
        db.session(), charge_point=obj, base=base, reason=reason, actor=actor, now=utcnow()
    )


def change(obj: ChargePoint, form: ChangeForm, *, reason: str, actor: Admin) -> Action:
    """Ask to change a key."""
    return configuration.change_configuration(
        db.session(),
        charge_point=obj,
        key=form.key.data or "",
        value=form.value.data or "",
        attribute=form.chosen_attribute,
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
        form=ReadForm,
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
        table_only = request.args.get("part") == "table"
        shown: dict[str, Any] = {}
        if device_model.has_model(self.db_session, charge_point_id=obj.id):
            branches = device_model.tree(self.db_session, charge_point_id=obj.id, search=search)
            shown = {
                "branches": branches,
                "count": sum(len(branch.leaves) for branch in branches),
                "attributes": ATTRIBUTES,
                "types": TYPES,
                "table": "assets/_device_model.html",
            }
        else:
            shown = {
                "lines": configuration.lines(self.db_session, charge_point_id=obj.id, search=search),
                "table": "assets/_configuration_table.html",
            }
        return self.render(
            shown["table"] if table_only else "assets/_configuration.html",
            model=obj,
            **shown,
            search=search,
            read_at=configuration.last_read_at(self.db_session, charge_point_id=obj.id),
            standing=boot_recipe.standing(self.db_session, obj, now=utcnow()),
            may_command=self.may("assets.charge_point.command") and obj.managed_by_operator,
        )
