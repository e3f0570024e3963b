"""Who may charge: one function over plain facts, and its checks as a list whose order is the rule.

The order is the product's ("Who may charge"): charge point and EVSE, id token, user, private station,
sessions at once, reservation, outstanding amount, billing strategy, corporate limit. The first that
fails gives the reason that is stored and shown.

What the texts leave open, decided here:
- A Disabled charging zone takes its charge points out of service (manual, "Adding a Charging Zone"), and an EVSE all of
  whose connectors are Disabled or Out of order has nothing to charge with.
- No tariff group stands between outstanding amount and billing strategy, because the strategy's minimum
  balance may come from the tariff; without tariff the later reason would mislead the operator.
- Without an EVSE (a station may ask before it knows which one) the EVSE's own checks wait for the start.
- Anonymous plug-and-charge cannot be paid (manual, "OCPP", 5), so it needs no invitation, tariff or
  payment; a roaming driver's platform pays, so the billing strategy is not asked.
- An operator may always make a session free (manual, "Starting a Session"): then tariff, strategy and
  corporate limit are not asked, everything before them is.
- The corporate account is a payment method that is never pre-authorised and always used directly.
- Forbidding the direct use of payment methods concerns users, who have a balance, not ad-hoc drivers.
- No minimum balance set anywhere means that there must be some balance; one of 0 means that 0 is enough.
- A corporate limit is exceeded when nothing of it is left for another session.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

_USABLE_STATUSES = frozenset({"active", "demo"})


class RejectReason(StrEnum):
    """Why somebody may not charge, in the order of the checks."""

    CHARGE_POINT_NOT_IN_SERVICE = "charge_point_not_in_service"
    ZONE_NOT_IN_SERVICE = "zone_not_in_service"
    EVSE_NOT_IN_SERVICE = "evse_not_in_service"
    CONNECTORS_NOT_IN_SERVICE = "connectors_not_in_service"
    TAG_UNKNOWN = "tag_unknown"
    TAG_DISABLED = "tag_disabled"
    TAG_EXPIRED = "tag_expired"
    USER_UNKNOWN = "user_unknown"
    USER_DISABLED = "user_disabled"
    NOT_INVITED = "not_invited"
    ALREADY_CHARGING = "already_charging"
    RESERVED_FOR_ANOTHER = "reserved_for_another"
    OUTSTANDING_AMOUNT = "outstanding_amount"
    NO_TARIFF_GROUP = "no_tariff_group"
    PAYMENT_METHOD_REQUIRED = "payment_method_required"
    PREAUTHORIZATION_MISSING = "preauthorization_missing"
    PREAUTHORIZATION_DECLINED = "preauthorization_declined"
    PAYMENT_METHOD_OR_BALANCE_REQUIRED = "payment_method_or_balance_required"
    BALANCE_BELOW_MINIMUM = "balance_below_minimum"
    CORPORATE_BILLING_NOT_ALLOWED = "corporate_billing_not_allowed"
    CORPORATE_LIMIT_REACHED = "corporate_limit_reached"

    @property
    def label(self) -> str:
        """The reason in words an operator can act on."""
        return _REASON_LABELS[self]


_REASON_LABELS = {
    RejectReason.CHARGE_POINT_NOT_IN_SERVICE: "The charge point's status is not Active or Demo",
    RejectReason.ZONE_NOT_IN_SERVICE: "The charging zone is Disabled",
    RejectReason.EVSE_NOT_IN_SERVICE: "The EVSE's status is not Active",
    RejectReason.CONNECTORS_NOT_IN_SERVICE: "No connector of the EVSE is Active",
    RejectReason.TAG_UNKNOWN: "The RFID tag is not registered",
    RejectReason.TAG_DISABLED: "The RFID tag is disabled",
    RejectReason.TAG_EXPIRED: "The RFID tag has expired",
    RejectReason.USER_UNKNOWN: "There is no such user",
    RejectReason.USER_DISABLED: "The user account is disabled",
    RejectReason.NOT_INVITED: "The charge point is private and its owner has not invited the user",
    RejectReason.ALREADY_CHARGING: "The user is already charging elsewhere",
    RejectReason.RESERVED_FOR_ANOTHER: "The EVSE is reserved for somebody else",
    RejectReason.OUTSTANDING_AMOUNT: "The user has an outstanding amount to pay",
    RejectReason.NO_TARIFF_GROUP: "The EVSE has no tariff group",
    RejectReason.PAYMENT_METHOD_REQUIRED: "The user has no payment method",
    RejectReason.PREAUTHORIZATION_MISSING: "The pre-authorisation of the payment method was not confirmed in time",
    RejectReason.PREAUTHORIZATION_DECLINED: "The pre-authorisation of the payment method was declined",
    RejectReason.PAYMENT_METHOD_OR_BALANCE_REQUIRED: "The user has neither a payment method nor enough balance",
    RejectReason.BALANCE_BELOW_MINIMUM: "The user's balance is below the minimum to start",
    RejectReason.CORPORATE_BILLING_NOT_ALLOWED: "The partner has not allowed the user to bill its account",
    RejectReason.CORPORATE_LIMIT_REACHED: "The partner's corporate limit is used up",
}


class DriverKind(StrEnum):
    """As whom somebody wants to charge."""

    USER = "user"
    AD_HOC = "ad_hoc"
    ROAMING = "roaming"
    ANONYMOUS = "anonymous"


class BillingStrategy(StrEnum):
    """The four strategies of the manual's "User billing settings", by their names in settings."""

    AFTER_SESSION = "after_session"
    PREAUTHORIZE = "preauthorize"
    BALANCE_OR_PAYMENT_METHOD = "balance_or_payment_method"
    NONE = "none"


class PaidFrom(StrEnum):
    """Who pays: the choice at the start, else the tag's setting, else the last used (product, "Money")."""

    BALANCE = "balance"
    PAYMENT_METHOD = "payment_method"
    CORPORATE = "corporate"


@dataclass(frozen=True, slots=True, kw_only=True)
class StationFacts:
    """The charge point: the operator's system status, its zone's, its access and its owner."""

    status: str
    zone_active: bool = True
    is_private: bool = False
    owner_partner_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseFacts:
    """The EVSE: the operator's status, whether it can be priced, for whom it is reserved (None: nobody).

    ``connector_active`` is False when it has connectors, and none of them is Active.
    """

    status: str
    has_tariff_group: bool
    connector_active: bool = True
    reserved_for_user_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFacts:
    """What is known of the id token that was shown. From expires_at on (UTC) it is expired."""

    known: bool
    active: bool = True
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFacts:
    """The driver's account. The outstanding amount is in the currency of the balance."""

    user_id: int
    active: bool
    private_access_partner_ids: frozenset[int] = frozenset()
    running_sessions: int = 0
    outstanding_amount: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingFacts:
    """The strategy and what the driver has for it; all amounts in the currency of the balance.

    preauthorized: True or False is the processor's answer, None that it has not been asked. It is asked
    when this is the one thing missing, and then decided again.
    """

    strategy: BillingStrategy
    paid_from: PaidFrom = PaidFrom.BALANCE
    has_payment_method: bool = False
    payment_method_not_for_sessions: bool = False
    balance: Decimal = Decimal(0)
    minimum_balance: Decimal | None = None
    tariff_minimum_balance: Decimal | None = None
    preauthorized: bool | None = None
    made_free_by_operator: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CorporateFacts:
    """The partner's account the session would be billed to: limit None is no limit."""

    allowed: bool
    limit: Decimal | None = None
    used: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationFacts:
    """Everything the decision needs.

    token is None when nothing was shown to the station (app, operator, plug-and-charge); user is None for
    drivers without account; evse is None when the station has not said which; corporate is needed when
    the session is paid from there.
    """

    now: datetime
    station: StationFacts
    billing: BillingFacts
    driver: DriverKind = DriverKind.USER
    evse: EvseFacts | None = None
    token: TokenFacts | None = None
    user: UserFacts | None = None
    corporate: CorporateFacts | None = None
    concurrent_sessions_allowed: bool = True


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether charging is allowed, and if not, why."""

    accepted: bool
    reason: RejectReason | None = None

    def __post_init__(self) -> None:
        if self.accepted is not (self.reason is None):
            raise ValueError("A rejection has a reason, and nothing else has")


def decide(facts: AuthorizationFacts) -> Decision:
    """Whether the driver may charge; the first check that fails gives the reason."""
    for check in CHECKS:
        reason = check(facts)
        if reason is not None:
            return Decision(accepted=False, reason=reason)
    return Decision(accepted=True)


def normalise_id_tag(id_tag: str) -> str:
    """The form in which id tokens are compared: without regard to case or surrounding blanks."""
    return id_tag.strip().upper()


def _station(facts: AuthorizationFacts) -> RejectReason | None:
    if facts.station.status not in _USABLE_STATUSES:
        return RejectReason.CHARGE_POINT_NOT_IN_SERVICE
    if not facts.station.zone_active:
        return RejectReason.ZONE_NOT_IN_SERVICE
    if facts.evse is not None and facts.evse.status not in _USABLE_STATUSES:
        return RejectReason.EVSE_NOT_IN_SERVICE
    if facts.evse is not None and not facts.evse.connector_active:
        return RejectReason.CONNECTORS_NOT_IN_SERVICE
    return None


def _token(facts: AuthorizationFacts) -> RejectReason | None:
    token = facts.token
    if token is None:
        return None
    if not token.known:
        return RejectReason.TAG_UNKNOWN
    if not token.active:
        return RejectReason.TAG_DISABLED
    if token.expires_at is not None and facts.now >= token.expires_at:
        return RejectReason.TAG_EXPIRED
    return None


def _user(facts: AuthorizationFacts) -> RejectReason | None:
    if facts.user is None:
        return RejectReason.USER_UNKNOWN if facts.driver is DriverKind.USER else None
    return None if facts.user.active else RejectReason.USER_DISABLED


def _private_station(facts: AuthorizationFacts) -> RejectReason | None:
    if not facts.station.is_private or facts.driver is DriverKind.ANONYMOUS:
        return None
    owner = facts.station.owner_partner_id
    invited = facts.user is not None and owner in facts.user.private_access_partner_ids
    return None if invited else RejectReason.NOT_INVITED


def _concurrent_sessions(facts: AuthorizationFacts) -> RejectReason | None:
    if facts.concurrent_sessions_allowed or facts.user is None or not facts.user.running_sessions:
        return None
    return RejectReason.ALREADY_CHARGING


def _reservation(facts: AuthorizationFacts) -> RejectReason | None:
    if facts.evse is None or facts.evse.reserved_for_user_id is None:
        return None
    user_id = None if facts.user is None else facts.user.user_id
    return None if facts.evse.reserved_for_user_id == user_id else RejectReason.RESERVED_FOR_ANOTHER


def _outstanding_amount(facts: AuthorizationFacts) -> RejectReason | None:
    if facts.user is None or facts.user.outstanding_amount <= 0:
        return None
    return RejectReason.OUTSTANDING_AMOUNT


def _tariff_group(facts: AuthorizationFacts) -> RejectReason | None:
    if facts.evse is None or facts.evse.has_tariff_group or not _is_billed(facts):
        return None
    return RejectReason.NO_TARIFF_GROUP


def _billing_strategy(facts: AuthorizationFacts) -> RejectReason | None:
    billing = facts.billing
    if not _is_billed(facts) or facts.driver is DriverKind.ROAMING:
        return None
    if billing.paid_from is PaidFrom.CORPORATE or billing.strategy is BillingStrategy.NONE:
        return None
    if billing.strategy is BillingStrategy.BALANCE_OR_PAYMENT_METHOD:
        return _balance_or_payment_method(facts)
    if not billing.has_payment_method:
        return RejectReason.PAYMENT_METHOD_REQUIRED
    if billing.strategy is BillingStrategy.AFTER_SESSION or billing.preauthorized:
        return None
    if billing.preauthorized is None:
        return RejectReason.PREAUTHORIZATION_MISSING
    return RejectReason.PREAUTHORIZATION_DECLINED


def _balance_or_payment_method(facts: AuthorizationFacts) -> RejectReason | None:
    """Strategy 3: a payment method that may be used, or the minimum in the balance; the higher applies."""
    billing = facts.billing
    direct_use = not billing.payment_method_not_for_sessions or facts.driver is DriverKind.AD_HOC
    if direct_use and billing.has_payment_method:
        return None
    minima = [m for m in (billing.minimum_balance, billing.tariff_minimum_balance) if m is not None]
    if billing.balance >= max(minima) if minima else billing.balance > 0:
        return None
    return RejectReason.PAYMENT_METHOD_OR_BALANCE_REQUIRED if direct_use else RejectReason.BALANCE_BELOW_MINIMUM


def _corporate_limit(facts: AuthorizationFacts) -> RejectReason | None:
    if not _is_billed(facts) or facts.billing.paid_from is not PaidFrom.CORPORATE:
        return None
    corporate = facts.corporate
    if corporate is None or not corporate.allowed:
        return RejectReason.CORPORATE_BILLING_NOT_ALLOWED
    if corporate.limit is not None and corporate.used >= corporate.limit:
        return RejectReason.CORPORATE_LIMIT_REACHED
    return None


def _is_billed(facts: AuthorizationFacts) -> bool:
    return facts.driver is not DriverKind.ANONYMOUS and not facts.billing.made_free_by_operator


#: The order is the rule (see the module's docstring).
CHECKS: tuple[Callable[[AuthorizationFacts], RejectReason | None], ...] = (
    _station,
    _token,
    _user,
    _private_station,
    _concurrent_sessions,
    _reservation,
    _outstanding_amount,
    _tariff_group,
    _billing_strategy,
    _corporate_limit,
)
