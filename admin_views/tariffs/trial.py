"""Trying a draft of a tariff on sessions that were charged: asked for, followed, looked through.

product.md, "Why this price?": a tariff change can be tried on last month's sessions before it is saved.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from flask import abort, redirect, request
from flask_admin import expose
from flask_login import current_user
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from admin_views import formats
from admin_views.activity.price_words import terms
from admin_views.widgets.access import is_htmx
from admin_views.widgets.tabs import own_errors, walk
from app.charging.trials import asking, results
from app.charging.trials.results import Compared, Order, Which
from app.core import rates
from app.core.clock import utcnow
from app.core.db import allow_minutes
from app.tariffs.models import Tariff, TariffTrial, TrialStatus
from app.tariffs.pricing import InvalidTariffSnapshot
from app.tariffs.trials import draft_of

E = TypeVar("E", Which, Order)

PERIODS = {asking.Period.LAST_MONTH: "Last month", asking.Period.LAST_30_DAYS: "Last 30 days"}
WHICH = {
    Which.ALL: "All",
    Which.DEARER: "Dearer",
    Which.CHEAPER: "Cheaper",
    Which.EQUAL: "Equal",
    Which.NOT_PRICEABLE: "Not priceable",
}
ORDERS = {
    Order.DEARER_FIRST: "Dearer first",
    Order.CHEAPER_FIRST: "Cheaper first",
    Order.BY_TIME: "By number",
}
_RECENT = 5
_LOADED = (
    selectinload(Tariff.levels),
    selectinload(Tariff.user_groups),
    selectinload(Tariff.partners),
)
_CSV = (
    "session_id", "started_at", "stopped_at", "user_email", "evse_id", "energy_kwh", "currency", "billed_gross",
    "draft_gross", "difference", "note",
)  # fmt: skip


class TrialPages:
    """Joined before BaseView: the trials of a tariff. All of it needs the permission to edit tariffs."""

    def recent_trials(self, tariff: Tariff) -> list[TariffTrial]:
        """The latest trials of a tariff, for its page."""
        query = select(TariffTrial).where(TariffTrial.tariff_id == tariff.id).order_by(TariffTrial.id.desc())
        return list(self.db_session.scalars(query.limit(_RECENT)))  # type: ignore[attr-defined]

    @expose("/try/", methods=("POST",))
    def try_view(self) -> Any:
        """Ask for a trial: of what the posted form says, unsaved, or of the tariff as it is stored."""
        self.require("edit")  # type: ignore[attr-defined]
        tariff = self.get_one(request.args.get("id"), options=_LOADED)  # type: ignore[attr-defined]
        try:
            period = asking.Period(request.form.get("trial_period", ""))
        except ValueError:
            abort(400, description="Choose last month or the last 30 days.")
        values = None
        if request.form.get("trial_of") != "stored":
            form = self.edit_form(tariff)  # type: ignore[attr-defined]
            if not form.validate():
                return self._panel(tariff, None, problems=list(_problems(form))), 422
            values = form.terms()
        session = self.db_session()  # type: ignore[attr-defined]
        try:
            with session.no_autoflush:
                draft = draft_of(session, tariff=tariff, values=values)
        except (InvalidTariffSnapshot, rates.MissingRate) as error:
            session.rollback()
            return self._panel(tariff, None, problems=[f"This cannot be priced: {error}"]), 422
        actor = current_user._get_current_object()
        trial = asking.ask_for_trial(session, tariff=tariff, draft=draft, period=period, actor=actor, now=utcnow())
        session.commit()
        if is_htmx():
            return self._panel(tariff, trial)
        return redirect(self.get_url(".trial_view", id=tariff.id, trial=trial.id), code=303)  # type: ignore[attr-defined]

    @expose("/trial/")
    def trial_view(self) -> Any:
        """The page of a trial: totals, and every session with both prices."""
        tariff, trial = self._trial()
        return self.render("tariffs/trial.html", **self._context(tariff, trial, whole=True))  # type: ignore[attr-defined]

    @expose("/trial-panel/")
    def trial_panel_view(self) -> Any:
        """The part that fetches itself while a trial runs; with ``whole`` that of the trial's own page."""
        tariff, trial = self._trial()
        return self._panel(tariff, trial, whole=request.args.get("whole") == "1")

    @expose("/trial-cancel/", methods=("POST",))
    def trial_cancel_view(self) -> Any:
        """Stop a trial that waits or runs."""
        tariff, trial = self._trial()
        session = self.db_session()  # type: ignore[attr-defined]
        asking.cancel_trial(session, trial_id=trial.id, now=utcnow())
        session.commit()
        if is_htmx():
            return self._panel(tariff, trial, whole=request.args.get("whole") == "1")
        return redirect(self.get_url(".trial_view", id=tariff.id, trial=trial.id), code=303)  # type: ignore[attr-defined]

    @expose("/trial-export/")
    def trial_export_view(self) -> Any:
        """The sessions of a trial as CSV: those that the page lists, all of them."""
        _, trial = self._trial()
        if not self.may("tariffs.tariff.export"):  # type: ignore[attr-defined]
            abort(403)
        rows = self._csv_rows(trial.id, trial.currency, _chosen(Which, "which", Which.ALL))
        return self.stream_csv(_CSV, rows, bom=request.args.get("bom") == "1")  # type: ignore[attr-defined]

    def _csv_rows(self, trial_id: int, currency: str, which: Which) -> Iterator[list[Any]]:
        session = self.db_session()  # type: ignore[attr-defined]
        try:
            allow_minutes(session, 15)
            for row in results.all_compared(session, trial_id=trial_id, which=which):
                yield _csv_row(row, currency)
        finally:
            session.close()

    def _trial(self) -> tuple[Tariff, TariffTrial]:
        self.require("edit")  # type: ignore[attr-defined]
        tariff = self.get_one(request.args.get("id"))  # type: ignore[attr-defined]
        number = request.args.get("trial", "")
        if not (number.isascii() and number.isdigit() and len(number) < 19):
            abort(404)
        query = select(TariffTrial).where(TariffTrial.id == int(number), TariffTrial.tariff_id == tariff.id)
        trial = self.db_session.scalars(query).one_or_none()  # type: ignore[attr-defined]
        return tariff, trial or abort(404)

    def _panel(self, tariff: Tariff, trial: TariffTrial | None, **context: Any) -> str:
        return str(self.render("tariffs/_trial.html", **self._context(tariff, trial, **context)))  # type: ignore[attr-defined]

    def _context(
        self, tariff: Tariff, trial: TariffTrial | None, *, whole: bool = False, problems: list[str] | None = None
    ) -> dict[str, Any]:
        context: dict[str, Any] = {"model": tariff, "trial": trial, "problems": problems or [], "whole": whole}
        if trial is None:
            return context
        unfinished = trial.status in asking.UNFINISHED
        context |= {"unfinished": unfinished, "statuses": TrialStatus}
        if unfinished:
            return context
        session = self.db_session()  # type: ignore[attr-defined]
        context["totals"] = totals = results.totals_of(session, trial)
        if not whole:
            return context
        which = _chosen(Which, "which", Which.ALL)
        order = _chosen(Order, "sort", Order.DEARER_FIRST)
        pages = max(1, -(-totals.counts[which] // results.PAGE_ROWS))
        page = min(_page_number(), pages - 1)
        return context | {
            "rows": results.compared(session, trial, which=which, order=order, page=page),
            "which": which,
            "order": order,
            "page": page,
            "pages": pages,
            "kinds": WHICH,
            "orders": ORDERS,
            "draft_terms": [term for term in terms(trial.draft["snapshot"]) if term[0] not in ("Clock", "Revision")],
        }


def _problems(form: Any) -> Iterator[str]:
    """What saving would complain about, each with its field's name."""
    for bound in walk(form):
        for message in own_errors(bound):
            yield f"{bound.label.text}: {message}"


def _chosen(kind: type[E], name: str, default: E) -> E:
    """A choice from the address; anything unknown is a 400, as in lists."""
    try:
        return kind(request.args.get(name, default))
    except ValueError:
        abort(400, description=f"There is no such choice of “{name}”.")


def _page_number() -> int:
    text = request.args.get("page", "0")
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        abort(400, description="A page is a number.")
    return int(text)


def _csv_row(row: Compared, currency: str) -> list[Any]:
    amounts = (row.billed_gross, row.draft_gross, row.difference)
    return [
        row.session_id,
        row.started_at,
        row.stopped_at,
        row.user_email,
        row.evse,
        formats.export_kwh(row.energy_wh),
        currency,
        *(formats.export_amount(amount, currency) for amount in amounts),
        row.note,
    ]
