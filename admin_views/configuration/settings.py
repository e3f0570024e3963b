"""CONFIGURATION > Settings: every setting of app.core.settings, by group, typed. Manual, "Settings"."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from zoneinfo import available_timezones

from flask import flash, redirect, request
from flask_admin import expose
from flask_login import current_user
from sqlalchemy import true

from admin_views.assets.address import PickerWidget
from admin_views.base import PageView
from admin_views.configuration.admins import SECTION
from admin_views.configuration.anchors import group_anchor
from admin_views.configuration.integration_list import GROUP_TESTS, offered
from admin_views.widgets.fields import zone_label
from app.core import rates, settings
from app.core.db import db
from app.core.models import AuditEntry, Setting
from app.core.settings import Definition, InvalidSetting, Kind
from app.core.vault import VaultLocked

HISTORY_ROWS = 30
#: groups that are not on the page of all settings but on one of their own
PAGES_OF_THEIR_OWN = frozenset({settings.BY_KEY["company.name"].group})
#: how admins sign in is set by whoever may change their accounts
ADMINS = settings.BY_KEY["admin.second_step_for"].group
#: the group whose settings are a place, picked on a map
PLACE = settings.BY_KEY["map.default_latitude"].group
#: posted beside each value: what stood there when the page was drawn
BEFORE = "was:"
#: posted for a secret that shall be forgotten; an empty input keeps it
REMOVE = "remove:"
YES, NO = "true", "false"


def as_text(definition: Definition, value: Any) -> str:
    """A typed value as its input holds it."""
    if value is None:
        return ""
    if definition.kind is Kind.BOOLEAN:
        return YES if value else NO
    if definition.kind in (Kind.EMAILS, Kind.LANGUAGES):
        return ", ".join(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value)


@dataclass
class Line:
    """One setting as the page shows it."""

    definition: Definition
    text: str
    default_text: str
    stored: str
    choices: list[tuple[str, str]] = field(default_factory=list)
    unit: str = ""
    error: str = ""
    #: of a secret: "not set", "set", or "locked" when it was stored under another SECRET_KEY
    kept: str = ""
    remove: bool = False

    @property
    def id(self) -> str:
        """The input's id."""
        return "setting-" + self.definition.key.replace(".", "-").replace("_", "-")

    @property
    def chosen(self) -> list[str]:
        """The values of a list of which several may be chosen."""
        return self.text.split(", ")

    @property
    def differs(self) -> bool:
        """Whether it is set to something else than its default."""
        return self.stored != self.default_text


class SettingsView(PageView):
    """One page, one form; only what the admin changed is saved."""

    resource, title, section, icon = "configuration.setting", "Settings", SECTION, "settings"
    description = ""
    #: the one group that the page is about; every group when empty
    group = ""
    template = "configuration/settings.html"

    @property
    def definitions(self) -> tuple[Definition, ...]:
        """The settings on this page."""
        if self.group:
            return tuple(each for each in settings.DEFINITIONS if each.group == self.group)
        hidden = PAGES_OF_THEIR_OWN if self.may("configuration.admin.edit") else PAGES_OF_THEIR_OWN | {ADMINS}
        shown = (found for name, found in settings.groups().items() if name not in hidden)
        return tuple(each for found in shown for each in found)

    @expose("/", methods=("GET", "POST"))
    def index(self) -> Any:
        """The page; POST saves what was changed, all of it or nothing."""
        self.require("view")
        if request.method == "GET":
            return self._page(self._lines())
        self.require("edit")
        lines = self._lines(posted=True)
        changed = self._save(lines)
        if changed is None:
            db.session.rollback()
            settings.forget()
            return self._page(lines), 422
        db.session.commit()
        if changed:
            names = ", ".join(f"“{label}”" for label in changed)
            flash(f"Saved: {names}. In force at once.", "success")
        else:
            flash("Nothing was changed.", "info")
        return redirect(self.get_url(".index"), code=303)

    def _lines(self, *, posted: bool = False) -> list[Line]:
        session = db.session()
        base = rates.base_currency(session)
        lines = []
        for definition in self.definitions:
            if definition.kind is Kind.SECRET:
                lines.append(self._secret(definition, posted=posted))
                continue
            stored = as_text(definition, settings.get(session, definition.key))
            text = self._posted(definition, stored) if posted else stored
            line = Line(definition, text, as_text(definition, definition.default), stored)
            line.choices = self._choices(definition, text)
            line.unit = base.symbol if definition.kind is Kind.AMOUNT else definition.unit
            lines.append(line)
        return lines

    @staticmethod
    def _secret(definition: Definition, *, posted: bool) -> Line:
        """A secret: what was entered, never what is stored."""
        entered = request.form.get(definition.key, "") if posted else ""
        line = Line(definition, entered, "", "", kept="not set")
        if settings.has_secret(db.session(), definition.key):
            try:
                settings.get_secret(db.session(), definition.key)
                line.kept = "set"
            except VaultLocked:
                line.kept = "locked"
        line.remove = posted and bool(request.form.get(REMOVE + definition.key)) and line.kept != "not set"
        return line

    @staticmethod
    def _posted(definition: Definition, stored: str) -> str:
        """What the admin wants; what they left as it was drawn stays as it is stored now."""
        if BEFORE + definition.key not in request.form:
            return stored
        wanted = request.form.get(definition.key, "").strip()
        if definition.kind in (Kind.LINES, Kind.PARAGRAPH):
            wanted = wanted.replace("\r\n", "\n")
        if definition.kind is Kind.BOOLEAN:
            wanted = YES if wanted else NO
        if definition.kind is Kind.LANGUAGES:
            wanted = ", ".join(request.form.getlist(definition.key))
        before = request.form[BEFORE + definition.key].replace("\r\n", "\n")
        return stored if wanted == before else wanted

    @staticmethod
    def _choices(definition: Definition, text: str) -> list[tuple[str, str]]:
        session = db.session()
        if definition.kind in (Kind.CHOICE, Kind.LANGUAGES):
            return offered(session, definition, text)
        if definition.kind is Kind.CURRENCY:
            found = [(row.code, f"{row.code} – {row.name} ({row.symbol})") for row in rates.currencies(session)]
        elif definition.kind is Kind.VAT:
            found = [(name, name) for name in rates.vat_names(session)]
        elif definition.kind is Kind.TIMEZONE:
            names = sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/"))
            found = [(name, zone_label(name)) for name in ("UTC", *names)]
        else:
            return []
        # a value that is no longer on offer is shown, not silently replaced by the first of the list
        return found if text in dict(found) else [(text, f"{text} (missing)"), *found]

    def _save(self, lines: list[Line]) -> list[str] | None:
        """Labels of what changed; None when a value does not fit."""
        actor = current_user._get_current_object()
        changed = []
        for line in lines:
            if line.text == line.stored and not line.remove:
                continue
            try:
                if line.definition.kind in (Kind.CURRENCY, Kind.VAT) and line.choices[0][1].endswith(" (missing)"):
                    raise InvalidSetting("one of the list is expected")
                if line.remove and line.text:
                    raise InvalidSetting("either enter a new one or remove the stored one")
                if settings.change_setting(db.session(), key=line.definition.key, value=line.text, actor=actor):
                    changed.append(line.definition.label)
            except InvalidSetting as error:
                line.error = f"{str(error)[:1].upper()}{str(error)[1:]}."
        return None if any(line.error for line in lines) else changed

    def _page(self, lines: list[Line]) -> str:
        groups: dict[str, list[Line]] = {}
        for line in lines:
            groups.setdefault(line.definition.group, []).append(line)
        return self.render(
            self.template,
            groups=groups,
            slug=group_anchor,
            failing=sum(bool(line.error) for line in lines),
            description=self.description,
            picker=self._picker(lines) if PLACE in groups else "",
            place_group=PLACE,
            may_edit=self.may(f"{self.resource}.edit"),
            tests=GROUP_TESTS if self.may("configuration.integration.view") else {},
        )

    def _picker(self, lines: list[Line]) -> Any:
        """The map of the default location, with the address search of locations for who may use it."""
        ids = {line.definition.key: line.id for line in lines}
        field = SimpleNamespace(id="default-location")
        return PickerWidget()(
            field,
            searchable=self.may("assets.location.edit") or self.may("assets.location.create"),
            latitude_field=ids["map.default_latitude"],
            longitude_field=ids["map.default_longitude"],
        )

    @expose("/history/")
    def history(self) -> str:
        """Who changed which setting from what to what, newest first."""
        page = max(0, min(request.args.get("page", 0, type=int), 10_000))
        query = (
            db.session.query(AuditEntry)
            .filter(AuditEntry.object_type == Setting.__tablename__)
            .filter(AuditEntry.object_id.in_([each.key for each in self.definitions]) if self.group else true())
            .order_by(AuditEntry.id.desc())
        )
        entries = query.offset(page * HISTORY_ROWS).limit(HISTORY_ROWS + 1).all()
        return self.render(
            "configuration/_settings_history.html",
            entries=entries[:HISTORY_ROWS],
            said=self._said,
            number=page,
            more=len(entries) > HISTORY_ROWS,
        )

    @staticmethod
    def _said(entry: AuditEntry, values: dict[str, Any]) -> str:
        """A value of the audit as the page would show it."""
        value = values.get("value")
        definition = settings.BY_KEY.get(entry.object_id)
        if value is None or value == "" or value == []:
            return "—"
        if isinstance(value, bool):
            return "Yes" if value else "No"
        if isinstance(value, list):
            return ", ".join(map(str, value))
        if definition is not None and definition.choices:
            return dict(definition.choices).get(str(value), str(value))
        return f"{value} {definition.unit}".strip() if definition is not None else str(value)
