"""Who asks to charge, and what they are told: the decision over the facts, and its record.

Manual, "Authorizations". Unknown cards are recorded too, so that they can be registered from the list. Where an amount
must be held on the driver's payment method first (strategy 2), the answer names the hold that is to be asked about
(``Answer.hold_id``); ``decide_again`` then gives the answer for the station.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, Evse
from app.billing.models import PaymentMethod, Transaction, TransactionStatus
from app.charging import authorization_facts as loading
from app.charging.authorization_facts import Found, Question
from app.charging.authorize import (
    AuthorizationFacts,
    BillingFacts,
    BillingStrategy,
    Decision,
    RejectReason,
    decide,
    normalise_id_tag,
)
from app.charging.models import Authorization, AuthorizationResult, AuthorizationSource, ChargingSession
from app.charging.payments import holds, paying
from app.charging.payments.payer import Payer, Wish, choose_payer
from app.charging.reservations import reserved
from app.charging.station import Station
from app.core import events, settings
from app.crm.models import RfidTag, User

#: a start follows its authorization within this time, and then shares its record
REUSE_WITHIN = timedelta(minutes=15)

#: what waits for, or has had, a processor's answer about a hold
_HELD_UP = (str(RejectReason.PREAUTHORIZATION_MISSING), str(RejectReason.PREAUTHORIZATION_DECLINED))


@dataclass(frozen=True)
class Answer:
    """The outcome for the station and for the session to come.

    ``parent`` is the token that all tags of the user have in common, while an EVSE of the station is kept for the user.
    ``hold_id``: this pre-authorization must be performed, and then decided again. ``payer`` pays for the session.
    """

    authorization_id: int
    decision: Decision
    user_id: int | None
    expires_at: datetime | None
    parent: str | None = None
    hold_id: int | None = None
    payer: Payer | None = None

    @property
    def accepted(self) -> bool:
        """Whether charging is allowed."""
        return self.decision.accepted


def authorize(
    session: Session,
    *,
    station: Station,
    id_tag: str | None,
    source: AuthorizationSource,
    now: datetime,
    evse_id: int | None = None,
    started_at: datetime | None = None,
    except_session_id: int | None = None,
) -> Answer:
    """Decide whether a token (or a plugged-in car, ``id_tag`` None) may charge, and record it. Flushes.

    A start (at ``started_at`` by the station) within 15 minutes of an authorization with the same outcome shares its
    record. ``except_session_id`` is not counted as another running session.
    """
    question = Question(
        station=station,
        id_tag=id_tag,
        source=source,
        now=now,
        evse_id=evse_id,
        started_at=started_at,
        except_session_id=except_session_id,
    )
    found = loading.load(session, question)
    decision = decide(found.facts)
    row = None
    if evse_id is not None and id_tag is not None:
        row = _recent(session, station, id_tag, decision, now)
    if row is None:
        row = Authorization(
            partner_id=station.partner_id,
            happened_at=now,
            source=source,
            id_tag=id_tag[:64] if id_tag else None,
            result=_result(decision),
            reason=_reason(decision),
            user_id=found.asker.user.id if found.asker.user else None,
            charge_point_id=station.id,
            evse_id=evse_id,
        )
        session.add(row)
    else:
        row.evse_id = evse_id
    session.flush()
    _announce(session, row)
    hold_id = None
    if decision.reason is RejectReason.PREAUTHORIZATION_MISSING:
        hold_id = _open_hold(session, row, found, now)
    return _answer(session, question, row, found, decision, hold_id=hold_id)


def decide_again(
    session: Session,
    *,
    station: Station,
    authorization_id: int,
    hold_id: int,
    now: datetime,
    started_at: datetime | None = None,
    except_session_id: int | None = None,
) -> Answer:
    """Decide once more, now that the processor was asked about the hold, and write it over the record. Flushes.

    Without an answer of the processor it stays rejected, because it was not confirmed in time. Everything else is
    decided anew too: whoever was disabled meanwhile does not charge.
    """
    row = session.get_one(Authorization, authorization_id, with_for_update=True)
    question = Question(
        station=station,
        id_tag=row.id_tag,
        source=row.source,
        now=now,
        evse_id=row.evse_id,
        started_at=started_at,
        except_session_id=except_session_id,
    )
    found = loading.load(session, question, preauthorized=_granted(session, hold_id, now))
    decision = decide(found.facts)
    row.result, row.reason = _result(decision), _reason(decision)
    session.flush()
    _announce(session, row)
    return _answer(session, question, row, found, decision)


def _granted(session: Session, hold_id: int, now: datetime) -> bool | None:
    """The processor's answer about a hold; None while there is none. One that asks the driver in is given up."""
    hold = session.get_one(Transaction, hold_id, with_for_update=True, populate_existing=True)
    if hold.status is TransactionStatus.PENDING:
        return None
    if hold.status is TransactionStatus.AUTHENTICATION_REQUIRED:
        holds.let_go(session, hold, why="The driver would have had to authenticate", now=now)
    return hold.status is TransactionStatus.SUCCEEDED


def _open_hold(session: Session, row: Authorization, found: Found, now: datetime) -> int:
    assert found.asker.user is not None
    return holds.open_hold(
        session,
        method=session.get_one(PaymentMethod, found.payer.payment_method_id),
        partner_id=row.partner_id,
        user_id=found.asker.user.id,
        authorization_id=row.id,
        now=now,
    ).id


def _answer(
    session: Session,
    question: Question,
    row: Authorization,
    found: Found,
    decision: Decision,
    *,
    hold_id: int | None = None,
) -> Answer:
    user_id = found.asker.user.id if found.asker.user else None
    payer = found.payer
    if decision.reason in (RejectReason.CORPORATE_BILLING_NOT_ALLOWED, RejectReason.CORPORATE_LIMIT_REACHED):
        payer = choose_payer(paying.without_partner(found.payer_facts))
    return Answer(
        row.id,
        decision,
        user_id,
        found.asker.expires_at,
        parent=_parent(session, question.station, decision, user_id, question.now),
        hold_id=hold_id,
        payer=payer if user_id is not None else None,
    )


def _result(decision: Decision) -> AuthorizationResult:
    return AuthorizationResult.ACCEPTED if decision.accepted else AuthorizationResult.REJECTED


def _reason(decision: Decision) -> str | None:
    return str(decision.reason) if decision.reason else None


def _announce(session: Session, row: Authorization) -> None:
    events.announce(
        session,
        "authorization.recorded",
        partner_id=row.partner_id,
        authorization_id=row.id,
        charge_point_id=row.charge_point_id,
    )


def source_of(station: Station) -> AuthorizationSource:
    """As what a token shown at a station counts: where nobody is asked, as a plugged-in car, whatever it is.

    Manual, "Plug-n-charge without authorization": all sessions in this case are anonymous.
    """
    return AuthorizationSource.PLUG_AND_CHARGE if station.plug_and_charge else AuthorizationSource.RFID_TAG


def _parent(session: Session, station: Station, decision: Decision, user_id: int | None, now: datetime) -> str | None:
    if not decision.accepted or user_id is None:
        return None
    if not reserved.holds_one_at(session, user_id=user_id, charge_point_id=station.id, now=now):
        return None
    return reserved.parent_token(user_id)


def refuse(session: Session, answer: Answer, reason: RejectReason) -> Answer:
    """Turn an acceptance into a refusal, for what only the start itself could find; the first reason stays. Flushes."""
    if not answer.accepted:
        return answer
    row = session.get_one(Authorization, answer.authorization_id)
    row.result, row.reason = AuthorizationResult.REJECTED, str(reason)
    session.flush()
    return replace(answer, decision=Decision(accepted=False, reason=reason))


@dataclass(frozen=True)
class RemoteDecision:
    """Whether an operator may start a session for a user, and who is to pay for it."""

    decision: Decision
    payer: Payer


def decide_for_user(
    session: Session,
    *,
    charge_point: ChargePoint,
    evse: Evse,
    user: User,
    free: bool,
    now: datetime,
    wish: Wish | None = None,
    tariff_id: int | None = None,
    preauthorized: bool | None = None,
    except_session_id: int | None = None,
) -> RemoteDecision:
    """Whether an operator may start a session here on behalf of a user. Records nothing.

    ``wish`` is what the operator chose to pay with, ``preauthorized`` what the processor has said about the hold.
    """
    payer_facts = paying.payer_facts(session, user_id=user.id, now=now, choice=wish)
    payer = choose_payer(payer_facts)
    decision = decide(
        AuthorizationFacts(
            now=now,
            station=loading.station_facts(charge_point),
            evse=loading.evse_facts(session, evse, now),
            user=loading.user_facts(session, user, except_session_id),
            billing=loading.billing_facts(
                session,
                user=user,
                evse=evse,
                payer_facts=payer_facts,
                payer=payer,
                free=free,
                tariff_id=tariff_id,
                preauthorized=preauthorized,
            ),
            corporate=loading.corporate_facts(session, user_id=user.id, payer=payer),
            concurrent_sessions_allowed=bool(settings.get(session, "session.allow_concurrent")),
        )
    )
    return RemoteDecision(decision, payer)


def decide_reservation(
    session: Session, *, charge_point: ChargePoint, evse: Evse, user: User, now: datetime
) -> Decision:
    """Whether an EVSE could be kept for a user: what holds about the place and the account, not about money.

    What the user owes, or still charges elsewhere, may be put right on the way. Records nothing.
    """
    facts = loading.user_facts(session, user, None)
    return decide(
        AuthorizationFacts(
            now=now,
            station=loading.station_facts(charge_point),
            evse=loading.evse_facts(session, evse, now),
            user=replace(facts, running_sessions=0, outstanding_amount=Decimal(0)),
            billing=BillingFacts(strategy=BillingStrategy.NONE, made_free_by_operator=True),
        )
    )


def find_tag(session: Session, id_tag: str) -> RfidTag | None:
    """The RFID tag that a token is, whoever's; None when it is nobody's."""
    return session.scalars(select(RfidTag).where(func.upper(RfidTag.tag_id) == normalise_id_tag(id_tag))).one_or_none()


def is_registered(session: Session, id_tag: str) -> bool:
    """Whether a token is somebody's RFID tag."""
    normal = normalise_id_tag(id_tag)
    return session.scalar(select(RfidTag.id).where(func.upper(RfidTag.tag_id) == normal)) is not None


def _recent(session: Session, station: Station, id_tag: str, decision: Decision, now: datetime) -> Authorization | None:
    """The record that a start shares. One that waits for a hold shares only such a one, and with it the hold."""
    used = select(ChargingSession.id).where(ChargingSession.authorization_id == Authorization.id).exists()
    held_up = decision.reason is RejectReason.PREAUTHORIZATION_MISSING
    return session.scalars(
        select(Authorization)
        .where(
            Authorization.charge_point_id == station.id,
            Authorization.result == _result(decision),
            *([Authorization.reason.in_(_HELD_UP)] if held_up else []),
            Authorization.happened_at > now - REUSE_WITHIN,
            func.upper(Authorization.id_tag) == normalise_id_tag(id_tag),
            ~used,
        )
        .order_by(Authorization.id.desc())
        .limit(1)
    ).one_or_none()


def reason_label(reason: str | None) -> str:
    """A stored reject reason in words; empty for none."""
    if not reason:
        return ""
    return RejectReason(reason).label if reason in set(RejectReason) else reason
