"""Who asks to charge, and what they are told: facts from the database, the decision, and its record.

Manual, "Authorizations". Unknown cards are recorded too, so that they can be registered from the list.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.assets.models import AccessType, ChargePoint, Evse, EvseStatus, ZoneStatus
from app.billing import ledger
from app.charging.authorize import (
    AuthorizationFacts,
    BillingFacts,
    BillingStrategy,
    Decision,
    DriverKind,
    EvseFacts,
    RejectReason,
    StationFacts,
    TokenFacts,
    UserFacts,
    decide,
    normalise_id_tag,
)
from app.charging.lifecycle import OVERDUE, RUNNING, SessionStatus
from app.charging.models import Authorization, AuthorizationResult, AuthorizationSource, ChargingSession
from app.charging.reservations import reserved
from app.charging.station import Station
from app.core import events, settings
from app.core.clock import zone
from app.crm.models import RfidTag, RfidTagStatus, User, UserStatus

#: id tokens of sessions an operator starts remotely; the number is the pending session's
REMOTE_PREFIX = "SYNC-"

_REMOTE_TOKEN = re.compile(rf"{REMOTE_PREFIX}(\d{{1,15}})", re.ASCII)
#: a station's clock may be behind ours
REMOTE_CLOCK_SLACK = timedelta(minutes=1)

#: a start follows its authorization within this time, and then shares its record
REUSE_WITHIN = timedelta(minutes=15)


@dataclass(frozen=True)
class Answer:
    """The outcome for the station and for the session to come.

    ``parent`` is the token that all tags of the user have in common, while an EVSE of the station is kept for the user.
    """

    authorization_id: int
    decision: Decision
    user_id: int | None
    expires_at: datetime | None
    parent: str | None = None

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
    facts, user_id, expires_at = _load_facts(
        session, station, id_tag, source, now, evse_id, started_at, except_session_id
    )
    decision = decide(facts)
    result = AuthorizationResult.ACCEPTED if decision.accepted else AuthorizationResult.REJECTED
    row = None
    if evse_id is not None and id_tag is not None:
        row = _recent(session, station, id_tag, result, now)
    if row is None:
        row = Authorization(
            partner_id=station.partner_id,
            happened_at=now,
            source=source,
            id_tag=id_tag[:64] if id_tag else None,
            result=result,
            reason=str(decision.reason) if decision.reason else None,
            user_id=user_id,
            charge_point_id=station.id,
            evse_id=evse_id,
        )
        session.add(row)
    else:
        row.evse_id = evse_id
    session.flush()
    events.announce(
        session,
        "authorization.recorded",
        partner_id=station.partner_id,
        authorization_id=row.id,
        charge_point_id=station.id,
    )
    return Answer(row.id, decision, user_id, expires_at, parent=_parent(session, station, decision, user_id, now))


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


def decide_for_user(
    session: Session,
    *,
    charge_point: ChargePoint,
    evse: Evse,
    user: User,
    free: bool,
    now: datetime,
) -> Decision:
    """Whether an operator may start a session here on behalf of a user. Records nothing."""
    return decide(
        AuthorizationFacts(
            now=now,
            station=_station_facts(charge_point),
            evse=_evse_facts(session, evse, now),
            user=_user_facts(session, user, None),
            billing=_billing_facts(session, user.id, free=free),
            concurrent_sessions_allowed=bool(settings.get(session, "session.allow_concurrent")),
        )
    )


def decide_reservation(
    session: Session, *, charge_point: ChargePoint, evse: Evse, user: User, now: datetime
) -> Decision:
    """Whether an EVSE could be kept for a user: what holds about the place and the account, not about money.

    What the user owes, or still charges elsewhere, may be put right on the way. Records nothing.
    """
    facts = _user_facts(session, user, None)
    return decide(
        AuthorizationFacts(
            now=now,
            station=_station_facts(charge_point),
            evse=_evse_facts(session, evse, now),
            user=replace(facts, running_sessions=0, outstanding_amount=Decimal(0)),
            billing=BillingFacts(strategy=BillingStrategy.NONE, made_free_by_operator=True),
        )
    )


def is_registered(session: Session, id_tag: str) -> bool:
    """Whether a token is somebody's RFID tag."""
    normal = normalise_id_tag(id_tag)
    return session.scalar(select(RfidTag.id).where(func.upper(RfidTag.tag_id) == normal)) is not None


def remote_token(session_id: int) -> str:
    """The id token of a session that is started remotely: at most 20 characters, as OCPP 1.6 has it."""
    return f"{REMOTE_PREFIX}{session_id}"


def _recent(
    session: Session, station: Station, id_tag: str, result: AuthorizationResult, now: datetime
) -> Authorization | None:
    used = select(ChargingSession.id).where(ChargingSession.authorization_id == Authorization.id).exists()
    return session.scalars(
        select(Authorization)
        .where(
            Authorization.charge_point_id == station.id,
            Authorization.result == result,
            Authorization.happened_at > now - REUSE_WITHIN,
            func.upper(Authorization.id_tag) == normalise_id_tag(id_tag),
            ~used,
        )
        .order_by(Authorization.id.desc())
        .limit(1)
    ).one_or_none()


def _load_facts(
    session: Session,
    station: Station,
    id_tag: str | None,
    source: AuthorizationSource,
    now: datetime,
    evse_id: int | None,
    started_at: datetime | None,
    except_session_id: int | None,
) -> tuple[AuthorizationFacts, int | None, datetime | None]:
    charge_point = session.get_one(ChargePoint, station.id)
    evse = session.get(Evse, evse_id) if evse_id is not None else None
    at = reserved.moment_of_start(at=started_at or now, now=now)
    anonymous = source is AuthorizationSource.PLUG_AND_CHARGE
    token, user, expires_at, free = _token_facts(session, station, None if anonymous else id_tag, started_at or now)
    facts = AuthorizationFacts(
        now=now,
        station=_station_facts(charge_point),
        driver=DriverKind.ANONYMOUS if anonymous else DriverKind.USER,
        evse=_evse_facts(session, evse, at) if evse else None,
        token=None if anonymous else token,
        user=_user_facts(session, user, except_session_id) if user else None,
        billing=_billing_facts(session, user.id if user else None, free=free),
        concurrent_sessions_allowed=bool(settings.get(session, "session.allow_concurrent")),
    )
    return facts, user.id if user else None, expires_at


def _station_facts(charge_point: ChargePoint) -> StationFacts:
    return StationFacts(
        status=charge_point.status.value,
        zone_active=charge_point.zone.status is ZoneStatus.ACTIVE,
        is_private=charge_point.access_type is AccessType.PRIVATE,
        owner_partner_id=charge_point.partner_id,
    )


def _evse_facts(session: Session, evse: Evse, at: datetime) -> EvseFacts:
    kept = reserved.open_on(session, evse_id=evse.id, at=at)
    return EvseFacts(
        status=evse.status.value,
        has_tariff_group=evse.tariff_group_id is not None,
        connector_active=not evse.connectors or any(each.status is EvseStatus.ACTIVE for each in evse.connectors),
        reserved_for_user_id=kept.user_id if kept else None,
    )


def _token_facts(
    session: Session, station: Station, id_tag: str | None, at: datetime
) -> tuple[TokenFacts, User | None, datetime | None, bool]:
    """What a token is: an RFID tag's, a reservation's, or of a session an operator is starting (then maybe free)."""
    if not id_tag:
        return TokenFacts(known=False), None, None, False
    remote = remote_session(session, charge_point_id=station.id, id_tag=id_tag, at=at)
    if remote is not None:
        free = (remote.tariff_snapshot or {}).get("type") == "free"
        return TokenFacts(known=True), session.get(User, remote.user_id), None, free
    kept = reserved.by_token(session, charge_point_id=station.id, id_tag=id_tag, at=at)
    if kept is not None:
        return TokenFacts(known=True), kept.user, None, False
    tag = session.scalars(select(RfidTag).where(func.upper(RfidTag.tag_id) == normalise_id_tag(id_tag))).one_or_none()
    if tag is None:
        return TokenFacts(known=False), None, None, False
    expires_at = None
    if tag.expires_on is not None:
        # the tag works until the end of that day, in the system's time zone
        system_zone: ZoneInfo = zone(settings.get_text(session, "system.timezone"))
        expires_at = datetime.combine(tag.expires_on + timedelta(days=1), time(), tzinfo=system_zone)
    token = TokenFacts(known=True, active=tag.status is RfidTagStatus.ACTIVE, expires_at=expires_at)
    return token, tag.user, expires_at, False


def remote_session(
    session: Session, *, charge_point_id: int, id_tag: str | None, at: datetime
) -> ChargingSession | None:
    """The session that an operator started at this station and whose token this is; None when it is no such token.

    The token ends with the session. One that failed only because nothing was heard in time counts as long as the
    station started (``at``, by its own clock) within the time: its message came late, the car did not. At an EVSE
    that is reserved for the user, the session waits for the reservation's token instead of one of its own.
    """
    normal = normalise_id_tag(id_tag or "")
    found = _REMOTE_TOKEN.fullmatch(normal)
    if found is None:
        return _awaited(session, charge_point_id, normal) if normal else None
    row = session.get(ChargingSession, int(found[1]))
    if row is None or row.charge_point_id != charge_point_id or row.user_id is None:
        return None
    if row.status in RUNNING:
        return row
    limit = timedelta(seconds=settings.get_int(session, "session.fail_starting_after_seconds"))
    in_time = row.created_at - REMOTE_CLOCK_SLACK <= at <= row.created_at + limit
    return row if row.failure_reason in OVERDUE and in_time else None


def _awaited(session: Session, charge_point_id: int, normal: str) -> ChargingSession | None:
    """The session an operator has started that waits for this token, an RFID tag's or a reservation's."""
    return session.scalars(
        select(ChargingSession)
        .where(
            ChargingSession.charge_point_id == charge_point_id,
            ChargingSession.status == SessionStatus.PENDING,
            ChargingSession.source == AuthorizationSource.OPERATOR,
            func.upper(ChargingSession.id_tag) == normal,
        )
        .order_by(ChargingSession.id.desc())
        .limit(1)
    ).one_or_none()


def _user_facts(session: Session, user: User, except_session_id: int | None) -> UserFacts:
    running = session.scalar(
        select(func.count())
        .select_from(ChargingSession)
        .where(
            ChargingSession.user_id == user.id,
            ChargingSession.status.in_(RUNNING),
            ChargingSession.id != (except_session_id or 0),
        )
    )
    return UserFacts(
        user_id=user.id,
        active=user.status is UserStatus.ACTIVE,
        running_sessions=running or 0,
        outstanding_amount=ledger.outstanding(
            session, user_id=user.id, currency=settings.get_text(session, "system.currency")
        ),
    )


def _billing_facts(session: Session, user_id: int | None, *, free: bool) -> BillingFacts:
    currency = settings.get_text(session, "system.currency")
    balance = ledger.balance(session, user_id=user_id, currency=currency) if user_id else Decimal(0)
    return BillingFacts(
        strategy=BillingStrategy(settings.get_text(session, "billing.strategy")),
        payment_method_not_for_sessions=bool(settings.get(session, "billing.payment_method_not_for_sessions")),
        balance=balance,
        minimum_balance=settings.get_amount(session, "billing.minimum_balance_to_start"),
        made_free_by_operator=free,
    )


def reason_label(reason: str | None) -> str:
    """A stored reject reason in words; empty for none."""
    if not reason:
        return ""
    return RejectReason(reason).label if reason in set(RejectReason) else reason
