"""TARIFFS & VOUCHERS > Tariff Groups. Manual, "Tariff Groups"."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, redirect, request
from flask_admin import expose
from flask_admin.form import BaseForm
from flask_login import current_user
from markupsafe import Markup
from sqlalchemy import func, select
from sqlalchemy.orm import selectinload
from wtforms import SelectMultipleField, StringField, validators

from admin_views.base import BaseView, Facts, Related
from admin_views.tariffs.words import SECTION, applies_to, groups_of, price
from admin_views.widgets.access import is_htmx
from admin_views.widgets.cells import record
from admin_views.widgets.keys import decode_key
from app.assets.models import Evse
from app.tariffs import groups
from app.tariffs.models import Tariff, TariffGroup, TariffGroupTariff

_LINKS = selectinload(TariffGroup.links).joinedload(TariffGroupTariff.tariff)
#: how many tariffs the dialog offers at most
MAX_OFFERED = 1000


class GroupForm(BaseForm):
    """A group is a name; its base tariff comes with it."""

    name = StringField(
        "Name",
        [validators.InputRequired(), validators.Length(max=200)],
        description="Its base tariff is named after it.",
        render_kw={"placeholder": "AC Chargers at Corporate Location 1", "maxlength": 200},
    )


class AttachForm(BaseForm):
    """Which tariffs to attach."""

    tariffs = SelectMultipleField("Tariffs", coerce=int, render_kw={"data-role": "select2"})


def _lines(view: Any, context: Any, group: TariffGroup, name: str) -> Markup:
    """The group's tariffs in their order, one a line, as in the manual."""
    return Markup("<br>").join(record(tariff) for tariff in group.tariffs)


class TariffGroupView(BaseView):
    """Groups, and on each group's page the order of its tariffs."""

    resource, singular, plural = "tariffs.tariff_group", "Tariff Group", "Tariff Groups"
    section, icon = SECTION, "stack-2"
    description = "What an EVSE is given: a base tariff, and tariffs for some drivers below it."
    empty_hint = "A tariff group comes with a base tariff, free at first. Then choose the group for your EVSEs."

    column_list = ("id", "name", "tariffs", "evse_count")
    column_labels = {
        "tariffs": "Tariffs",
        "evse_count": "EVSEs",
        "links.tariff.name": "Tariff",
        "created_at": "Created",
    }
    column_formatters = {
        "tariffs": _lines,
        "evse_count": lambda view, context, group, name: f"{group.evse_count:,}",
    }
    link_column = "name"
    column_searchable_list = ("name", "links.tariff.name")
    column_sortable_list = ("id", "name")
    column_default_sort = ("id", True)
    column_filters = ("name", "links.tariff.name", "created_at")
    column_export_list = (
        "id",
        "name",
        ("tariffs", lambda group: " > ".join(tariff.name for tariff in group.tariffs)),
        "created_at",
    )
    load_options = (_LINKS,)
    details_load_options = (
        _LINKS.joinedload(Tariff.levels),
        _LINKS.selectinload(Tariff.group_links).joinedload(TariffGroupTariff.group),
        _LINKS.selectinload(Tariff.user_groups),
        _LINKS.joinedload(Tariff.partners),
    )

    form = GroupForm
    refusals = (
        groups.TariffGroupNameInvalid,
        groups.TariffGroupInUse,
        groups.TariffAlreadyAttached,
        groups.TariffNotAttached,
        groups.BaseTariffOfAnotherGroup,
        groups.BaseTariffFixed,
    )
    details_template = "tariffs/group.html"
    details_tabs = (Facts("Tariff Group Details", ("id", "name", "created_at")),)
    related = (Related("EVSEs", "evse", "tariff_group_id"),)

    # --- list -----------------------------------------------------------------------------------------------

    def prepared(self, rows: list[Any]) -> list[Any]:
        """With the number of EVSEs of each group."""
        counts = self.evse_counts([group.id for group in rows])
        for group in rows:
            group.evse_count = counts.get(group.id, 0)
        return rows

    def can_delete_row(self, obj: Any) -> bool:
        """Not in the list while an EVSE has it. Manual, "Deleting a Tariff Group"."""
        return super().can_delete_row(obj) and not getattr(obj, "evse_count", 0)

    def evse_counts(self, group_ids: list[int]) -> dict[int, int]:
        """How many EVSEs have each of these groups."""
        column = Evse.tariff_group_id
        query = select(column, func.count()).where(column.in_(group_ids)).group_by(column)
        return {row[0]: row[1] for row in self.db_session.execute(query)}

    # --- create, rename, delete -------------------------------------------------------------------------------

    def create_model(self, form: Any) -> Any:
        """Make the group with its base tariff."""
        return self._try(form, lambda actor: groups.create_group(self.db_session, name=form.name.data, actor=actor))

    def update_model(self, form: Any, model: Any) -> bool:
        """Give it another name."""

        def rename(actor: Any) -> bool:
            groups.rename_group(self.db_session, group=model, name=form.name.data, actor=actor)
            return True

        return bool(self._try(form, rename))

    def _try(self, form: Any, change: Any) -> Any:
        try:
            result = change(current_user._get_current_object())
            self.db_session.commit()
        except groups.TariffGroupNameInvalid as error:
            self.db_session.rollback()
            form.name.errors = [f"{str(error)[:1].upper()}{str(error)[1:]}."]
            return None
        return result

    @expose("/delete/", methods=("GET", "POST"))
    def delete_view(self) -> Any:
        """The question; for a group that EVSEs use, why not, instead."""
        self.require("delete")
        group = self.get_one(request.values.get("id"))
        if request.method == "GET":
            codes = self._evse_codes(group)
            return self.render("tariffs/_delete_group.html" if codes else "model/_delete.html", obj=group, codes=codes)
        return super().delete_view()

    def _evse_codes(self, group: TariffGroup) -> list[str]:
        query = select(Evse.code).where(Evse.tariff_group_id == group.id).order_by(Evse.code)
        return list(self.db_session.scalars(query))

    def delete_model(self, model: Any) -> bool:
        """Delete it with its base tariff, unless EVSEs have it."""
        try:
            groups.delete_group(self.db_session, group=model, actor=current_user._get_current_object())
            self.db_session.commit()
        except groups.TariffGroupInUse as refusal:
            self.db_session.rollback()
            flash(f"{str(refusal)[:1].upper()}{str(refusal)[1:]}.", "danger")
            return False
        return True

    # --- the order of the tariffs -----------------------------------------------------------------------------

    def details_context(self, obj: Any) -> dict[str, Any]:
        """The tariffs in order, with price and restrictions."""
        return {
            **super().details_context(obj),
            "links": obj.links,
            "price": price,
            "applies_to": applies_to,
            "groups_of": groups_of,
            "evse_codes": self._evse_codes(obj),
        }

    @expose("/tariffs/")
    def tariffs_view(self) -> Any:
        """The list of tariffs alone."""
        return self._tariffs(self._group(lock=False))

    @expose("/move/", methods=("POST",))
    def move_view(self) -> Any:
        """One place up or down in the list."""
        up = request.form.get("direction") == "up"
        move = groups.move_tariff_up if up else groups.move_tariff_down
        return self._change(lambda group, tariff, actor: move(self.db_session, group=group, tariff=tariff, actor=actor))

    @expose("/detach/", methods=("POST",))
    def detach_view(self) -> Any:
        """Take a tariff out of the group."""
        return self._change(
            lambda group, tariff, actor: groups.detach_tariff(self.db_session, group=group, tariff=tariff, actor=actor)
        )

    @expose("/attach/", methods=("GET", "POST"))
    def attach_view(self) -> Any:
        """The dialog that attaches tariffs, at the end of the list."""
        self.require("edit")
        group = self._group(lock=False)
        form = AttachForm(request.form if request.method == "POST" else None)
        offered = self._attachable(group)
        form.tariffs.choices = [(tariff.id, tariff.name) for tariff in offered]
        if request.method == "POST" and form.validate() and self._attach(form, group, offered):
            return self._tariffs(group)
        html = self.render("tariffs/_attach.html", form=form, group=group, offered=bool(offered))
        return html, 422 if request.method == "POST" else 200

    def _attach(self, form: AttachForm, group: TariffGroup, offered: list[Tariff]) -> bool:
        chosen = [tariff for tariff in offered if tariff.id in form.tariffs.data]
        if not chosen:
            form.tariffs.errors = ["Choose at least one tariff."]
            return False
        actor = current_user._get_current_object()
        try:
            for tariff in chosen:
                groups.attach_tariff(self.db_session, group=group, tariff=tariff, actor=actor)
            self.db_session.commit()
        except self.refusals as refusal:
            self.db_session.rollback()
            form.tariffs.errors = [f"{str(refusal)[:1].upper()}{str(refusal)[1:]}."]
            return False
        return True

    def _attachable(self, group: TariffGroup) -> list[Tariff]:
        """Tariffs that are not in the group and no other group's base."""
        attached = select(TariffGroupTariff.tariff_id).where(TariffGroupTariff.tariff_group_id == group.id)
        query = select(Tariff).where(~Tariff.is_base, Tariff.id.not_in(attached)).order_by(Tariff.name, Tariff.id)
        return list(self.db_session.scalars(query.limit(MAX_OFFERED)))

    def _group(self, *, lock: bool) -> TariffGroup:
        group: TariffGroup = self.get_one(request.args.get("id"), options=self.details_options(), lock=lock)
        return group

    def _change(self, change: Any) -> Any:
        """Do something to one tariff of the group and show the list again."""
        self.require("edit")
        group = self._group(lock=False)
        key = decode_key(Tariff, request.form.get("tariff", ""))
        tariff = next((found for found in group.tariffs if key is not None and found.id == key[0]), None)
        if tariff is None:
            abort(409, description="This tariff is no longer in the group. Reload the page.")
        try:
            change(group, tariff, current_user._get_current_object())
            self.db_session.commit()
        except self.refusals as refusal:
            self.db_session.rollback()
            abort(409, description=f"{str(refusal)[:1].upper()}{str(refusal)[1:]}.")
        return self._tariffs(group)

    def _tariffs(self, group: TariffGroup) -> Any:
        """The card of tariffs for htmx, else the page it stands on."""
        if request.method == "POST" and not is_htmx():
            return redirect(self.get_url(f"{self.endpoint}.details_view", id=group.id), code=303)
        fresh = self.get_one(str(group.id), options=[*self.details_options()])
        return self.render("tariffs/_group_tariffs.html", model=fresh, **self.details_context(fresh))
