"""CP Templates: list, rename, delete, view; and what the charge point's pages do with them.

They are made from a charge point only. Manual, "Create Template", "CP Templates", "CP Template".
"""

from __future__ import annotations

from typing import Any

from flask import abort, flash, redirect, request, url_for
from flask_admin import expose
from flask_admin.form import BaseForm
from flask_login import current_user
from sqlalchemy import select
from wtforms import StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import ValidationError

from admin_views import formats
from admin_views.assets.fields import WATTS, tariff_groups
from admin_views.base import BaseView, Facts
from admin_views.widgets.fields import ChoiceField
from app.assets import templates
from app.assets.models import ChargePointNotice, ChargePointTemplate
from app.assets.templates import EvseContent, InvalidTemplateName, TemplateContent
from app.core.clock import utcnow
from app.core.db import db
from app.core.permissions import Permission

LABELS = {
    "notice_id": "CP Notice",
    "managed_by_operator": "Managed By Operator",
    "show_to_public_with_notice": "Show to public with notice",
    "protocol": "Network Protocol",
    "plug_and_charge": "Plug-n-charge without authorization",
    "local_auth_list": "Enable Local Auth List",
    "auto_recovery": "Enable Auto-Recovery",
    "load_management": "Enable Load Management",
    "max_current_a": "Max Current",
    "input_voltage_v": "Input Voltage",
    "max_power_w": "Display Max Power",
    "network_id": "Network ID",
    "tariff_group_id": "Tariff Group",
    "reservation_minutes": "Reservation Time",
    "access_type": "Access Type",
    "network_type": "Network Type",
    "security_profile": "Security Profile",
}


def facts(content: TemplateContent | EvseContent) -> list[tuple[str, Any]]:
    """What a template says, with its labels, as a page shows it."""
    found = []
    for name in type(content).model_fields:
        value = getattr(content, name)
        if value is None or value == [] or name in ("evses", "connectors"):
            continue
        found.append((LABELS.get(name) or formats.words(name), _shown(name, value)))
    return found


def _shown(name: str, value: Any) -> Any:
    match name:
        case "max_power_w":
            return formats.power(value)
        case "max_current_a":
            return formats.current(value)
        case "input_voltage_v":
            return f"{value} V"
        case "reservation_minutes":
            return f"{value} min"
        case "phases":
            return "Single Phase" if value == 1 else "3-Phase"
        case "connected_phase":
            return f"L{value}"
        case "tariff_group_id":
            return dict(tariff_groups()).get(value, "A tariff group that is gone")
        case "notice_id":
            notice = db.session.get(ChargePointNotice, value)
            return notice.name if notice is not None else "A notice that is gone"
        case _:
            return templates.label_of(value)


def form_values(content: TemplateContent, *, name: str) -> dict[str, Any]:
    """What static/js/templates.js puts into the fields of the create form, by their names there."""
    groups, notices = dict(tariff_groups()), set(db.session.scalars(select(ChargePointNotice.id)))
    own = templates.plain(content)
    evses = own.pop("evses", [])
    notice = own.pop("notice_id", None)
    if notice in notices:
        own["notice"] = notice
    for evse in evses:
        if "max_power_w" in evse:
            evse["max_power_w"] = f"{evse['max_power_w'] / WATTS:f}"
        if evse.get("tariff_group_id") not in groups:
            evse.pop("tariff_group_id", None)
    return {
        "fields": {"name": name, **own},
        "evses": [
            {
                "fields": {key: value for key, value in evse.items() if key != "connectors"},
                "connectors": evse.get("connectors", []),
            }
            for evse in evses
        ],
    }


class TemplateField(ChoiceField):
    """A choice among the templates; it fills the form in the browser and is not kept."""

    def __init__(self, label: str | None = None, validators: Any = None, **options: Any) -> None:
        options.update(choices=[], coerce=int, allow_blank=True)
        super().__init__(label, [], **options)

    def process(self, *args: Any, **kwargs: Any) -> None:
        """Take the choices of this request."""
        self.render_kw = {"data-role": "select2", "data-template-url": url_for("charge_point.template_view")}
        query = select(ChargePointTemplate.id, ChargePointTemplate.name).order_by(ChargePointTemplate.name)
        creating = request.endpoint == "charge_point.create_view"  # an edit form has no such field
        self.choices = [SelectChoice(row[0], row[1]) for row in db.session.execute(query)] if creating else []
        super().process(*args, **kwargs)

    def pre_validate(self, form: Any) -> None:
        """Nothing of it is kept: one that is gone meanwhile has done its work."""

    def populate_obj(self, obj: Any, name: str) -> None:
        """Nothing."""


class NameForm(BaseForm):
    """The dialog of "Create Template"."""

    name = StringField(
        "Name",
        description="Best the model, like “Vestel EVC04 22 kW”. Kept are the settings and the EVSEs with their "
        "connectors, but no Charge Point ID, password, dates or EVSE IDs.",
        render_kw={"maxlength": templates.MAX_NAME_LENGTH, "autocomplete": "off"},
    )


class TemplateMixin:
    """Joined into the charge points' view: make a template, and fill the form from one."""

    @expose("/template/new/", methods=("GET", "POST"))
    def template_new_view(self) -> Any:
        """GET: the dialog. POST: keep the charge point's profile; 422 with the dialog if the name will not do."""
        self.require(Permission.TEMPLATE_CREATE.value)
        obj = self.get_one(request.args.get("id"), options=self.details_options())
        form = NameForm(request.form if request.method == "POST" else None, data={"name": _suggested(obj)})
        if request.method == "POST":
            try:
                made = templates.create_template(
                    self.db_session(),
                    charge_point=obj,
                    name=form.name.data or "",
                    actor=current_user._get_current_object(),
                    now=utcnow(),
                )
            except InvalidTemplateName as refusal:
                self.db_session.rollback()
                form.name.errors = [str(refusal)]
            else:
                self.db_session.commit()
                flash(f"CP Template “{made}” was created.", "success")
                return self._gone_to(made)
        html = self.render("assets/_template_dialog.html", model=obj, form=form)
        return html, 422 if request.method == "POST" else 200

    def _gone_to(self, made: ChargePointTemplate) -> Any:
        target = self.get_url("cp_template.details_view", id=made.id)
        if request.headers.get("HX-Request"):
            return "", 204, {"HX-Redirect": target}
        return redirect(target)

    @expose("/template/")
    def template_view(self) -> Any:
        """What a template fills the create form with."""
        if not (self.can_create or self.can_edit):
            abort(403)
        number = request.args.get("template", type=int) or abort(404)
        found = self.db_session.get(ChargePointTemplate, number) or abort(404)
        return form_values(templates.read_content(found), name=found.name)


def _suggested(obj: Any) -> str:
    parts = [obj.state.vendor, obj.state.model]
    return " ".join(part for part in parts if part) or obj.name


class TemplateView(BaseView):
    """The templates. They are made on a charge point's page."""

    resource, singular, plural = "assets.cp_template", "CP Template", "CP Templates"
    section, icon = "Assets", "template"
    description = "What a new charge point's form can be filled with."
    empty_hint = "Open a charge point and press “Create Template”."
    can_create = False
    details_template = "assets/details.html"

    column_list = ("name", "evses", "created_at")
    column_labels = {"evses": "EVSEs", "created_at": "Created at"}
    column_formatters = {"evses": lambda view, context, obj, name: _summary(templates.read_content(obj))}
    column_sortable_list = ("name", "created_at")
    column_default_sort = "name"
    column_searchable_list = ("name",)
    column_filters = ("name", "created_at")
    column_export_list = (
        "id",
        "name",
        ("evses", lambda obj: len(templates.read_content(obj).evses)),
        "created_at",
    )
    form_columns = ("name",)
    details_tabs = (
        Facts("General", ("name", "evses", "created_at")),
        Facts("Content", template="assets/_template.html"),
    )

    def details_context(self, obj: ChargePointTemplate) -> dict[str, Any]:
        """What the template says."""
        content = templates.read_content(obj)
        return {**super().details_context(obj), "content": content, "facts_of": facts}

    def on_model_change(self, form: Any, model: ChargePointTemplate, is_created: bool) -> None:
        """A name that no other template has."""
        try:
            model.name = templates.clean_name(self.db_session(), form.name.data or "", but=model.id)
        except InvalidTemplateName as refusal:
            form.name.errors = [str(refusal)]
            raise ValidationError(str(refusal)) from None


def _summary(content: TemplateContent) -> str:
    """ "2 EVSEs: Type 2, CCS2"."""
    plugs = dict.fromkeys(plug.type.label for evse in content.evses for plug in evse.connectors if plug.type)
    count = len(content.evses)
    head = f"{count} EVSE{'s' if count != 1 else ''}"
    return f"{head}: {', '.join(plugs)}" if plugs else head
