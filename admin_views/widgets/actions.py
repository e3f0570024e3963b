"""Actions on records: a dialog with a mandatory reason, a handler, and its outcome shown live.

    RemoteAction("reset", "Reset", form=ResetForm, permission="command", handler=reset, icon="refresh")

``handler(obj, form, *, reason, actor)`` flushes, never commits, and returns the action's row(s), an
``Outcome``, a text, or None. A ``Refused`` (or one of ``refusals``) it raises is shown to the admin, and
nothing of that record is kept. product.md, "Actions".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import abort, current_app, g, make_response, request
from flask_admin import expose
from flask_admin.form import BaseForm
from flask_login import current_user
from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy import inspect
from werkzeug.exceptions import Conflict
from wtforms import TextAreaField, validators

from admin_views.widgets.keys import decode_key, encode_key, has_any_key
from admin_views.widgets.outcomes import Outcome as Outcome
from admin_views.widgets.outcomes import Run as Run
from admin_views.widgets.outcomes import outcome_of as outcome_of
from admin_views.widgets.outcomes import outcomes_of as outcomes_of
from app.core import actions as actions_log
from app.core import principal
from app.core.clock import utcnow
from app.core.models import Action, ActionStatus

MAX_SHOWN = 25
CHUNK = 200

#: what admins of partners may ask of their stations, where their role has remote control. The rest of what stations can
#: be asked configures them, or changes their firmware and keys: that is the operator's. Manual, "Partner Roles"
PARTNER_COMMANDS = frozenset(
    {
        "availability",
        "clear_cache",
        "composite_schedule",
        "get_diagnostics",
        "get_log",
        "reset",
        "start",
        "stop",
        "trigger",
        "unlock",
    }
)


class Refused(Exception):
    """An action that cannot be done; the message is for the admin."""


class SelectionChanged(Conflict):
    """ "All matching" now selects another number of records than the admin saw."""

    def __init__(self, seen: int, now: int) -> None:
        super().__init__(
            f"You selected {seen:,} matching records, but {now:,} match now. Reload the list and select again."
        )
        self.now = now


class NotBlank:
    """A validator: something visible must be entered; spaces alone are nothing."""

    field_flags = {"required": True}

    def __init__(self, message: str) -> None:
        self.message = message

    def __call__(self, form: Any, bound: Any) -> None:
        """Refuse what is empty."""
        if not (bound.data or "").strip():
            raise validators.StopValidation(self.message)


class ReasonForm(BaseForm):
    """Base of every action's form; fields of subclasses stand above the reason."""

    reason = TextAreaField(
        "Reason",
        [NotBlank("Enter a reason."), validators.Length(max=400)],
        description="Kept in the Actions log for further reference.",
        render_kw={"rows": 3, "maxlength": 400},
    )

    def ordered(self) -> list[Any]:
        """The fields as shown: the reason last."""
        return [*(bound for bound in self if bound.name != "reason"), self["reason"]]


Handler = Callable[..., Any]


@dataclass(frozen=True)
class RecordAction:
    """Something that can be done to records of a list.

    ``permission`` is a verb of the view's resource, or a whole permission.

    ``row`` offers it on details pages, ``bulk`` on lists; ``available(obj)`` may hide it for a record.
    ``shows_response``: the station's answer stands with the outcome, word for word.
    """

    name: str
    title: str
    handler: Handler
    permission: str = "edit"
    form: type[ReasonForm] = ReasonForm
    icon: str = "bolt"
    danger: bool = False
    bulk: bool = True
    row: bool = True
    help: str = ""
    button: str = ""
    group: str = ""
    available: Callable[[Any], bool] | None = None
    refusals: tuple[type[Exception], ...] = ()
    remote: bool = False
    shows_response: bool = False


@dataclass(frozen=True)
class RemoteAction(RecordAction):
    """An action that a station must answer: its rows start Pending and are followed until they end."""

    permission: str = "command"
    remote: bool = True


def after_commit(work: Callable[[], Any]) -> None:
    """For handlers: have something done once all is committed, outside any database transaction of the request.

    A payment processor is asked so: the row comes first. What the action came to is read anew afterwards.
    """
    _waiting_works().append(work)


def _waiting_works() -> list[Callable[[], Any]]:
    if "after_commit" not in g:
        g.after_commit = []
    works: list[Callable[[], Any]] = g.after_commit
    return works


class ActionMixin:
    """Dialogs, runs and outcomes. Joined into ``BaseView``; declare ``actions = (RecordAction(…), …)``."""

    def action_permission(self, action: RecordAction) -> str:
        """The whole permission of an action."""
        return action.permission if "." in action.permission else f"{self.resource}.{action.permission}"

    def may_run(self, action: RecordAction) -> bool:
        """Whether the admin may start an action at all; a partner's only what partners may ask of stations."""
        closed = action.remote and action.name not in PARTNER_COMMANDS and principal.current().is_partner
        return self.may(self.action_permission(action)) and not closed

    def actions_for(self, kind: str, obj: Any = None) -> list[RecordAction]:
        """The actions the admin may start from a ``row`` (details page) or in ``bulk``."""
        return [
            action
            for action in self.actions
            if getattr(action, kind)
            and self.may_run(action)
            and (obj is None or action.available is None or action.available(obj))
        ]

    def selected_query(self, matching: Any) -> Any:
        """The rows a form selects: the ids ticked, or all of ``matching`` if still as many as the admin saw.

        Raises SelectionChanged (409); 400 without a selection; 404 for records that are not there.
        """
        source = request.values
        if source.get("all_matching") == "1":
            seen = source.get("expected_count", type=int)
            if seen is None:
                abort(400, description="The request does not say how many records were selected.")
            now = int(matching.order_by(None).count())
            if now != seen:
                raise SelectionChanged(seen, now)
            return matching
        keys = [decode_key(self.model, text) for text in dict.fromkeys(source.getlist("rowid"))]
        if not keys:
            abort(400, description="No record is selected.")
        if None in keys:
            abort(404)
        query = self.get_query().filter(has_any_key(self.model, [key for key in keys if key is not None]))
        if query.count() != len(keys):
            abort(404, description="A selected record does not exist any more.")
        return query

    def selection(self) -> Any:
        """The rows selected in this request."""
        if request.values.get("all_matching") == "1":
            return self.selected_query(self.sorted_query(self.list_args()))
        return self.selected_query(None)

    @expose("/run/<action_name>/", methods=("GET", "POST"))
    def run_action(self, action_name: str) -> Any:
        """GET: the dialog. POST: do it, commit, show the outcome; 422 with the dialog if the form is wrong."""
        action = next((found for found in self.actions if found.name == action_name), None)
        if action is None:
            abort(404)
        self.require(self.action_permission(action))
        if not self.may_run(action):
            abort(403)
        chosen = self.selection()
        count = chosen.order_by(None).count()
        form = action.form(request.form if request.method == "POST" else None, obj=self._single(chosen, count))
        if request.method == "POST" and form.validate():
            return self._outcome_response(action, self._run(action, form, chosen))
        html = self.render(
            "action/_dialog.html",
            action=action,
            form=form,
            count=count,
            single=self._single(chosen, count),
            values=request.values,
            post_url=self.get_url(f"{self.endpoint}.run_action", action_name=action.name, **self._filters_only()),
        )
        return html, 422 if request.method == "POST" else 200

    def _filters_only(self) -> dict[str, str]:
        own = ("rowid", "all_matching", "expected_count")
        return {key: value for key, value in request.args.items() if key not in own}

    def _single(self, chosen: Any, count: int) -> Any:
        return chosen.first() if count == 1 else None

    def _run(self, action: RecordAction, form: Any, chosen: Any) -> Run:
        """Call the handler for each record, each in its own savepoint, and commit once.

        The records are chosen as the admin may see them; what was found so is then done on its behalf.
        """
        keys = [decode_key(self.model, encode_key(self.model, obj)) for obj in chosen.yield_per(CHUNK)]
        with principal.on_behalf():
            return self._do(action, form, keys)

    def _do(self, action: RecordAction, form: Any, keys: Sequence[Any]) -> Run:
        session = self.db_session
        actor = current_user._get_current_object()
        run = Run()
        for start in range(0, len(keys), CHUNK):
            part = self.get_query().filter(has_any_key(self.model, keys[start : start + CHUNK]))
            for obj in part.options(*self.details_options()).all():
                label = str(obj)
                works = len(_waiting_works())
                try:
                    with session.begin_nested():
                        logged = actions_log.opened(session)
                        result = action.handler(obj, form, reason=form.reason.data.strip(), actor=actor)
                        session.flush()
                        outcomes = outcomes_of(result, label)
                        if actions_log.opened(session) == logged:
                            self._log(action, obj, label, outcomes, form.reason.data, actor)
                    run.outcomes += outcomes
                except (Refused, *action.refusals) as refusal:
                    del _waiting_works()[works:]
                    run.outcomes.append(Outcome(label, "Refused", str(refusal)))
        session.commit()
        self._work_afterwards(run)
        return run

    def _log(
        self, action: RecordAction, obj: Any, label: str, outcomes: Sequence[Outcome], reason: str, actor: Any
    ) -> None:
        """Write down what a handler did without a row of its own: nothing is missing in the Actions log."""
        if current_app.extensions["screens"].action_model is not Action:
            return
        if all(outcome.status == "Refused" for outcome in outcomes) or not reason.strip():
            return  # an action that asks for no reason changes nothing that anybody would look up
        key = inspect(obj).identity or (0,)
        own = obj.id if obj.__tablename__ == "charge_point" else getattr(obj, "charge_point_id", None)
        actions_log.open_action(
            inspect(obj).session,
            name=action.title,
            target_type=obj.__tablename__,
            target_id=key[0] if isinstance(key[0], int) else 0,
            target_label=label,
            reason=reason,
            actor=actor,
            status=ActionStatus.FINISHED,
            charge_point_id=own if isinstance(own, int) else None,
            info="; ".join(outcome.detail for outcome in outcomes if outcome.detail) or None,
            now=utcnow(),
        )

    def _work_afterwards(self, run: Run) -> None:
        """Do what had to wait for the commit, and read again what became of the actions."""
        works = list(_waiting_works())
        if not works:
            return
        _waiting_works().clear()
        for work in works:
            work()
        fresh = {row.id: outcome_of(row) for row in self.action_rows([line.id for line in run.outcomes if line.id])}
        run.outcomes = [fresh.get(line.id, line) if line.id else line for line in run.outcomes]

    def _outcome_response(self, action: RecordAction, run: Run) -> Any:
        ids = [outcome.id for outcome in run.outcomes if outcome.id is not None]
        token = self._signer().dumps([str(current_user.get_id()), action.name, ids[: MAX_SHOWN * 40]])
        html = self.render(
            "action/_outcome.html",
            action=action,
            run=Run([outcome for outcome in run.outcomes if outcome.id is not None]),
            settled=[outcome for outcome in run.outcomes if outcome.id is None],
            token=token,
            most=MAX_SHOWN,
        )
        response = make_response(html)
        response.headers["HX-Trigger"] = "record-changed"
        return response

    def _signer(self) -> URLSafeSerializer:
        return URLSafeSerializer(current_app.secret_key or "", salt=f"outcome:{self.endpoint}")

    @expose("/outcome/<token>/")
    def outcome_view(self, token: str) -> Any:
        """How the actions of one's own run stand now; the token that the run was given names them."""
        try:
            admin, name, ids = self._signer().loads(token)
        except BadSignature:
            abort(404)
        action = next((found for found in self.actions if found.name == name), None)
        if action is None or admin != str(current_user.get_id()):
            abort(404)
        run = Run([outcome_of(row) for row in self.action_rows(ids)])
        html = self.render("action/_outcome_live.html", action=action, run=run, token=token, most=MAX_SHOWN)
        response = make_response(html)
        if not run.waiting:
            response.headers["HX-Trigger"] = "record-changed"
        return response

    def action_rows(self, ids: Sequence[int]) -> Iterable[Any]:
        """The rows of the Actions log with these numbers, fresh from the database."""
        model = current_app.extensions["screens"].action_model
        if model is None or not ids:
            return []
        return list(self.db_session.query(model).filter(model.id.in_(ids)).order_by(model.id))
