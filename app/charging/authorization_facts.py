"""The facts that decide who may charge, from the database: place, token, account, and what the driver pays with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.assets.models import AccessType, ChargePoint, Evse, EvseStatus, ZoneStatus
from app.billing import corporate, ledger, outstanding
from app.charging.authorize import (
    AuthorizationFacts,
    BillingFacts,
    BillingStrategy,
    CorporateFacts,
    DriverKind,
    EvseFacts,
    PaidFrom,
    StationFacts,
    TokenFacts,
    UserFacts,
    normalise_id_tag,
)
from app.charging.driver_tariff import tariff_for
from app.charging.lifecycle import RUNNING
from app.charging.models import AuthorizationSource, ChargingSession
from app.charging.payments import holds, paying
from app.charging.payments.payer import Payer, PayerFacts, Wish, choose_payer
from app.charging.remote_tokens import remote_session
from app.charging.reservations import reserved
from app.charging.station import Station
from app.core import settings
from app.core.clock import zone
from app.crm.models import RfidTag, RfidTagStatus, User, UserStatus
from app.tariffs.models import Tariff
from app.tariffs.selection import InvalidTariffGroup, NoTariff


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Who shows a token: the user, what it is worth, and who is to pay."""

    token: TokenFacts
    user: User | None = None
    expires_at: datetime | None = None
    #: the session an operator has started, whose token it is
    remote: ChargingSession | None = None
    tag_wish: Wish | None = None

    @property
    def free(self) -> bool:
        """Whether an operator has made the session free."""
        return self.remote is not None and (self.remote.tariff_snapshot or {}).get("type") == "free"


@dataclass(frozen=True, kw_only=True)
class Found:
    """Everything the decision needs, and what is kept of it afterwards."""

    facts: AuthorizationFacts
    asker: Asker
    payer_facts: PayerFacts
    payer: Payer


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a station asks: may this token charge here. ``started_at``: by the station, when it has begun already."""

    station: Station
    id_tag: str | None
    source: AuthorizationSource
    now: datetime
    evse_id: int | None = None
    started_at: datetime | None = None
    except_session_id: int | None = None


def load(session: Session, question: Question, *, preauthorized: bool | None = None) -> Found:
    """The facts of a question. ``preauthorized`` is the processor's answer, once it has been asked for this one."""
    now, station = question.now, question.station
    charge_point = session.get_one(ChargePoint, station.id)
    evse = session.get(Evse, question.evse_id) if question.evse_id is not None else None
    moment = question.started_at or now
    anonymous = question.source is AuthorizationSource.PLUG_AND_CHARGE
    asker = asker_of(session, station, None if anonymous else question.id_tag, moment)
    user = asker.user
    payer_facts = paying.payer_facts(
        session,
        user_id=user.id if user else None,
        now=now,
        choice=paying.wish_of_session(asker.remote) if asker.remote else None,
        tag=asker.tag_wish,
    )
    payer = choose_payer(payer_facts)
    billing = billing_facts(
        session,
        user=user,
        evse=evse,
        payer_facts=payer_facts,
        payer=payer,
        free=asker.free,
        tariff_id=asker.remote.tariff_id if asker.remote else None,
        preauthorized=preauthorized,
    )
    if preauthorized is None and needs_hold(billing) and user is not None:
        billing = _with_hold(session, question, asker, billing, payer, user)
    facts = AuthorizationFacts(
        now=now,
        station=station_facts(charge_point),
        driver=DriverKind.ANONYMOUS if anonymous else DriverKind.USER,
        evse=evse_facts(session, evse, reserved.moment_of_start(at=moment, now=now)) if evse else None,
        token=None if anonymous else asker.token,
        user=user_facts(session, user, question.except_session_id) if user else None,
        billing=billing,
        corporate=corporate_facts(session, user_id=user.id if user else None, payer=payer),
        concurrent_sessions_allowed=bool(settings.get(session, "session.allow_concurrent")),
    )
    return Found(facts=facts, asker=asker, payer_facts=payer_facts, payer=payer)


def needs_hold(billing: BillingFacts) -> bool:
    """Whether it is strategy 2, and a payment method pays."""
    return (
        billing.strategy is BillingStrategy.PREAUTHORIZE
        and billing.paid_from is PaidFrom.PAYMENT_METHOD
        and not billing.made_free_by_operator
    )


def _with_hold(
    session: Session, question: Question, asker: Asker, billing: BillingFacts, payer: Payer, user: User
) -> BillingFacts:
    """The facts with what is held already: nobody's card is blocked twice for one charge.

    Who is charging at this station, and shows the card again before the station says for which EVSE, mostly wants
    to stop; should it be another start, that makes a hold of its own.
    """
    held = asker.remote is not None and holds.held_for(session, session_id=asker.remote.id) is not None
    if not held:
        waiting = holds.unused_hold(
            session,
            user_id=user.id,
            charge_point_id=question.station.id,
            payment_method_id=payer.payment_method_id,
            now=question.now,
        )
        held = waiting is not None
    if not held and question.evse_id is None:
        held = _is_charging_at(session, user, question.station.id)
    return replace(billing, preauthorized=True) if held else billing


def _is_charging_at(session: Session, user: User, charge_point_id: int) -> bool:
    found = session.scalar(
        select(ChargingSession.id)
        .where(
            ChargingSession.user_id == user.id,
            ChargingSession.charge_point_id == charge_point_id,
            ChargingSession.status.in_(RUNNING),
        )
        .limit(1)
    )
    return found is not None


def station_facts(charge_point: ChargePoint) -> StationFacts:
    """The charge point's, with its zone's."""
    return StationFacts(
        status=charge_point.status.value,
        zone_active=charge_point.zone.status is ZoneStatus.ACTIVE,
        is_private=charge_point.access_type is AccessType.PRIVATE,
        owner_partner_id=charge_point.partner_id,
    )


def evse_facts(session: Session, evse: Evse, at: datetime) -> EvseFacts:
    """An EVSE's at a moment: whom it is kept for may change."""
    kept = reserved.open_on(session, evse_id=evse.id, at=at)
    return EvseFacts(
        status=evse.status.value,
        has_tariff_group=evse.tariff_group_id is not None,
        connector_active=not evse.connectors or any(each.status is EvseStatus.ACTIVE for each in evse.connectors),
        reserved_for_user_id=kept.user_id if kept else None,
    )


def asker_of(session: Session, station: Station, id_tag: str | None, at: datetime) -> Asker:
    """Whose a token is: an RFID tag's, a reservation's, or of a session an operator is starting (then maybe free)."""
    if not id_tag:
        return Asker(token=TokenFacts(known=False))
    remote = remote_session(session, charge_point_id=station.id, id_tag=id_tag, at=at)
    if remote is not None:
        return Asker(token=TokenFacts(known=True), user=session.get(User, remote.user_id), remote=remote)
    kept = reserved.by_token(session, charge_point_id=station.id, id_tag=id_tag, at=at)
    if kept is not None:
        return Asker(token=TokenFacts(known=True), user=kept.user)
    tag = session.scalars(select(RfidTag).where(func.upper(RfidTag.tag_id) == normalise_id_tag(id_tag))).one_or_none()
    if tag is None:
        return Asker(token=TokenFacts(known=False))
    expires_at = None
    if tag.expires_on is not None:
        # the tag works until the end of that day, in the system's time zone
        system_zone: ZoneInfo = zone(settings.get_text(session, "system.timezone"))
        expires_at = datetime.combine(tag.expires_on + timedelta(days=1), time(), tzinfo=system_zone)
    return Asker(
        token=TokenFacts(known=True, active=tag.status is RfidTagStatus.ACTIVE, expires_at=expires_at),
        user=tag.user,
        expires_at=expires_at,
        tag_wish=paying.wish_of_tag(tag),
    )


def user_facts(session: Session, user: User, except_session_id: int | None) -> UserFacts:
    """The account: what it owes, and what else it is charging."""
    running = session.scalar(
        select(func.count())
        .select_from(ChargingSession)
        .where(
            ChargingSession.user_id == user.id,
            ChargingSession.status.in_(RUNNING),
            ChargingSession.id != (except_session_id or 0),
        )
    )
    currency = settings.get_text(session, "system.currency")
    return UserFacts(
        user_id=user.id,
        active=user.status is UserStatus.ACTIVE,
        running_sessions=running or 0,
        outstanding_amount=outstanding.owed(session, user_id=user.id, currency=currency),
    )


def billing_facts(
    session: Session,
    *,
    user: User | None,
    evse: Evse | None,
    payer_facts: PayerFacts,
    payer: Payer,
    free: bool,
    tariff_id: int | None = None,
    preauthorized: bool | None = None,
) -> BillingFacts:
    """The strategy, and what the driver has for it. ``tariff_id``: the one an operator chose, else the driver's own."""
    currency = settings.get_text(session, "system.currency")
    strategy = payer_facts.strategy
    if strategy is BillingStrategy.PREAUTHORIZE and preauthorized is None and not holds.amount_to_hold(session):
        preauthorized = True  # an amount of 0 is held without asking anybody
    by_tariff = None
    if strategy is BillingStrategy.BALANCE_OR_PAYMENT_METHOD and user is not None and evse is not None:
        by_tariff = _tariff_minimum(session, evse, user, tariff_id)
    return BillingFacts(
        strategy=strategy,
        paid_from=payer.paid_from,
        has_payment_method=bool(payer_facts.usable_methods),
        payment_method_not_for_sessions=payer_facts.methods_not_for_sessions,
        balance=ledger.balance(session, user_id=user.id, currency=currency) if user else Decimal(0),
        minimum_balance=settings.get_amount(session, "billing.minimum_balance_to_start"),
        tariff_minimum_balance=by_tariff,
        preauthorized=preauthorized,
        made_free_by_operator=free,
    )


def _tariff_minimum(session: Session, evse: Evse, user: User, tariff_id: int | None) -> Decimal | None:
    """ "Minimum balance required to start session" of the tariff; a place without tariff is refused for that."""
    if tariff_id is None:
        try:
            tariff_id = tariff_for(session, evse=evse, user=user)[0].tariff_id
        except (NoTariff, InvalidTariffGroup):
            return None
    return session.scalar(select(Tariff.minimum_balance_to_start).where(Tariff.id == tariff_id))


def corporate_facts(session: Session, *, user_id: int | None, payer: Payer) -> CorporateFacts | None:
    """How a user stands with the partner that is to pay; None when none is."""
    if payer.paid_from is not PaidFrom.CORPORATE or payer.partner_id is None or user_id is None:
        return None
    currency = settings.get_text(session, "system.currency")
    standing = corporate.accounts().standing(session, user_id=user_id, partner_id=payer.partner_id, currency=currency)
    return CorporateFacts(allowed=standing.allowed, limit=standing.limit, used=standing.used)
