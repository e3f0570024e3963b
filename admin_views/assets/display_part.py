"""What a charge point shows to drivers: messages on its display, set and cleared with reason (OCPP 2.0.1)."""

from __future__ import annotations

from typing import Any

from flask import request
from flask_admin import expose
from wtforms import StringField, TextAreaField, validators

from admin_views.assets.charging_actions import speaks_newer
from admin_views.base import ChoiceField, ReasonForm, RemoteAction
from admin_views.widgets.fields import LocalDateTimeField
from app.assets.models import ChargePoint
from app.charging.commands import NotManaged
from app.charging.models import DisplayStatus
from app.charging.upkeep import displays
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import Action, Admin

GROUP = "Display"


class SetForm(ReasonForm):
    """What is shown, and when."""

    content = TextAreaField(
        "Text",
        [validators.InputRequired(message="Enter a text."), validators.Length(max=displays.LONGEST_TEXT)],
        render_kw={"rows": 3, "maxlength": displays.LONGEST_TEXT},
    )
    text_format = ChoiceField("Format", choices=list(displays.FORMATS.items()), default="plain")
    language = StringField(
        "Language",
        [validators.Length(max=displays.LONGEST_LANGUAGE)],
        description="As in “en” or “de”; may be left empty.",
    )
    priority = ChoiceField("Priority", choices=list(displays.PRIORITIES.items()), default="normal_cycle")
    state = ChoiceField("Shown", choices=[("always", "Always"), *displays.STATES.items()], default="always")
    starts_at = LocalDateTimeField("From", [validators.Optional()], description="At once, if left empty.")
    ends_at = LocalDateTimeField("Until", [validators.Optional()], description="Until it is cleared, if left empty.")
    during = ChoiceField(
        "Session",
        choices=[("any", "Any or none")],
        default="any",
        description="A message for a session is shown only while it runs.",
    )

    def __init__(self, formdata: Any = None, obj: ChargePoint | None = None, **options: Any) -> None:
        super().__init__(formdata, obj=None, **options)
        if obj is not None:
            running = displays.sessions_to_name(db.session(), charge_point_id=obj.id)
            self.during.choices = [("any", "Any or none"), *((str(each.id), f"Session {each.id}") for each in running)]


class ClearForm(ReasonForm):
    """Which one."""

    message = ChoiceField("Message", choices=[])

    def __init__(self, formdata: Any = None, obj: ChargePoint | None = None, **options: Any) -> None:
        super().__init__(formdata, obj=None, **options)
        if obj is not None:
            self.message.choices = [
                (str(row.number), f"{row.number}: {row.content[:60]}")
                for row in displays.messages_of(db.session(), charge_point_id=obj.id)
                if row.status is not DisplayStatus.CLEARED
            ]


def set_message(obj: ChargePoint, form: SetForm, *, reason: str, actor: Admin) -> Action:
    """Show one."""
    return displays.set_message(
        db.session(),
        charge_point=obj,
        message=displays.Message(
            content=form.content.data,
            text_format=form.text_format.data,
            priority=form.priority.data,
            state=None if form.state.data == "always" else form.state.data,
            language=(form.language.data or "").strip() or None,
            starts_at=form.starts_at.data,
            ends_at=form.ends_at.data,
            session_id=None if form.during.data == "any" else int(form.during.data),
        ),
        reason=reason,
        actor=actor,
        now=utcnow(),
    )


def get_messages(obj: ChargePoint, form: Any, *, reason: str, actor: Admin) -> Action:
    """Ask which there are."""
    return displays.get_messages(db.session(), charge_point=obj, reason=reason, actor=actor, now=utcnow())


def clear_message(obj: ChargePoint, form: ClearForm, *, reason: str, actor: Admin) -> Action:
    """Show it no more."""
    return displays.clear_message(
        db.session(), charge_point=obj, number=int(form.message.data), reason=reason, actor=actor, now=utcnow()
    )


def _action(name: str, title: str, handler: Any, icon: str, **more: Any) -> RemoteAction:
    refusals = (NotManaged, displays.InvalidMessage)
    return RemoteAction(name, title, handler, icon=icon, group=GROUP, available=speaks_newer, refusals=refusals, **more)


ACTIONS = (
    _action(
        "set_display",
        "Set Display Message",
        set_message,
        "message",
        form=SetForm,
        bulk=False,
        help="Shows a text on the charge point's display. Not every charge point has one.",
    ),
    _action(
        "get_displays",
        "Get Display Messages",
        get_messages,
        "list-details",
        help="Asks the charge point which messages it has. They are shown in the tab Display.",
    ),
    _action("clear_display", "Clear Display Message", clear_message, "eraser", form=ClearForm, bulk=False),
)


class DisplayMixin:
    """Joined before BaseView: the tab Display."""

    @expose("/displays/")
    def displays_view(self) -> str:
        """The messages of the charge point."""
        obj = self.get_one(request.args.get("id"))  # type: ignore[attr-defined]
        return self.render(  # type: ignore[attr-defined, no-any-return]
            "assets/_displays.html",
            model=obj,
            messages=displays.messages_of(self.db_session, charge_point_id=obj.id),  # type: ignore[attr-defined]
            words=displays,
            newer=speaks_newer(obj),
        )
