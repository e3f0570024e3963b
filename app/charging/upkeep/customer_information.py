"""What a station keeps about a customer: told and forgotten when asked (OCPP 2.0.1 part 2, N09 and N10).

A question is a row, whose number the station names with each part of its report.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint
from app.charging import commands
from app.charging.commands import CommandName, Outcome, follow_up
from app.charging.models import CustomerInformation
from app.core import events
from app.core.models import Action, ActionStatus, Admin

CHANGED = "charge_point.customer_information_told"

LONGEST_TAG = 36
LONGEST_CUSTOMER = 64
MOST_SHOWN = 50


class InvalidQuestion(ValueError):
    """Nobody can be asked that; the message says why."""


def ask(
    session: Session,
    *,
    charge_point: ChargePoint,
    id_tag: str | None,
    customer: str | None,
    report: bool,
    clear: bool,
    reason: str,
    actor: Admin | None,
    now: datetime,
) -> Action:
    """Ask a station what it keeps about a customer, and to forget it. What it tells comes after its answer. Flushes.

    ``customer``: how the station knows a customer otherwise. Raises InvalidQuestion, NotManaged, ReasonRequired.
    """
    if not id_tag and not customer:
        raise InvalidQuestion("Enter an RFID tag or a customer.")
    if len(id_tag or "") > LONGEST_TAG or len(customer or "") > LONGEST_CUSTOMER:
        raise InvalidQuestion(f"A tag has at most {LONGEST_TAG} characters, a customer {LONGEST_CUSTOMER}.")
    if not report and not clear:
        raise InvalidQuestion("Choose whether it shall tell, forget, or both.")
    commands.check_reachable(charge_point)
    row = CustomerInformation(
        partner_id=charge_point.partner_id,
        charge_point_id=charge_point.id,
        asked_at=now,
        id_tag=id_tag,
        customer=customer,
        report=report,
        clear=clear,
    )
    session.add(row)
    session.flush()
    action = commands.request_command(
        session,
        charge_point=charge_point,
        name=CommandName.CUSTOMER_INFORMATION,
        request={"question": row.id, "id_tag": id_tag, "customer": customer, "report": report, "clear": clear},
        info=" and ".join(word for word, wanted in (("Tell", report), ("forget", clear)) if wanted).capitalize(),
        reason=reason,
        actor=actor,
        now=now,
    )
    row.action_id = action.id
    session.flush()
    return action


@follow_up(CommandName.CUSTOMER_INFORMATION)
def _answered(session: Session, outcome: Outcome) -> None:
    """A station that is only to forget has no more to say."""
    row = session.get(CustomerInformation, int(outcome.request["question"]), with_for_update=True)
    if row is None:
        return
    if outcome.answer.status is ActionStatus.ACCEPTED and not row.report:
        row.complete = True
        row.answered_at = outcome.now
    session.flush()
    events.announce(session, CHANGED, partner_id=outcome.partner_id, charge_point_id=outcome.charge_point_id)


def keep_answer(
    session: Session,
    *,
    charge_point_id: int,
    partner_id: int,
    question: int,
    parts: Sequence[str],
    whole: bool,
    now: datetime,
) -> bool:
    """Keep what a station told; ``whole``: no part is missing. Flushes. False when it was not asked that."""
    asked = select(CustomerInformation).filter_by(id=question, charge_point_id=charge_point_id, report=True)
    row = session.scalars(asked.with_for_update()).one_or_none()
    if row is None:
        return False
    row.content, row.complete, row.answered_at = "".join(parts), whole, now
    session.flush()
    events.announce(session, CHANGED, partner_id=partner_id, charge_point_id=charge_point_id)
    return True


def questions_of(session: Session, *, charge_point_id: int) -> list[tuple[CustomerInformation, Action | None]]:
    """The newest questions, each with the action that asked it."""
    query = (
        select(CustomerInformation, Action)
        .outerjoin(Action, Action.id == CustomerInformation.action_id)
        .where(CustomerInformation.charge_point_id == charge_point_id)
        .order_by(CustomerInformation.id.desc())
        .limit(MOST_SHOWN)
    )
    return [(row, action) for row, action in session.execute(query)]
