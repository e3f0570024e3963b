"""Who may charge: every check on its own, every pair in order, and the billing strategies of the manual."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.charging.authorize import (
    AuthorizationFacts,
    BillingFacts,
    BillingStrategy,
    CorporateFacts,
    Decision,
    DriverKind,
    EvseFacts,
    PaidFrom,
    RejectReason,
    StationFacts,
    TokenFacts,
    UserFacts,
    decide,
    normalise_id_tag,
)

NOW = datetime(2026, 6, 10, 9, 0, tzinfo=UTC)
OWNER, OTHER_PARTNER, ME, SOMEBODY = 10, 20, 7, 8
R = RejectReason


def good(strategy="none", **billing):
    """Everything is in order: an active tag of an active, invited user at a private station."""
    return AuthorizationFacts(
        now=NOW,
        station=StationFacts(status="active", is_private=True, owner_partner_id=OWNER),
        evse=EvseFacts(status="active", has_tariff_group=True, reserved_for_user_id=ME),
        token=TokenFacts(known=True, expires_at=NOW + timedelta(seconds=1)),
        user=UserFacts(user_id=ME, active=True, private_access_partner_ids=frozenset({OWNER})),
        billing=BillingFacts(strategy=BillingStrategy(strategy), **billing),
        concurrent_sessions_allowed=False,
    )


def change(facts, part, **changes):
    return replace(facts, **{part: replace(getattr(facts, part), **changes)})


def reason(facts):
    decision = decide(facts)
    assert decision.accepted is (decision.reason is None)
    return decision.reason


def test_when_everything_is_in_order_charging_is_allowed():
    assert decide(good()) == Decision(accepted=True, reason=None)


# Each way to fail, in the order of the product's rule. Later ones are found only if no earlier one holds.
FAILURES = [
    (R.CHARGE_POINT_NOT_IN_SERVICE, lambda f: change(f, "station", status="out_of_order")),
    (R.ZONE_NOT_IN_SERVICE, lambda f: change(f, "station", zone_active=False)),
    (R.EVSE_NOT_IN_SERVICE, lambda f: change(f, "evse", status="disabled")),
    (R.CONNECTORS_NOT_IN_SERVICE, lambda f: change(f, "evse", connector_active=False)),
    (R.TAG_UNKNOWN, lambda f: change(f, "token", known=False)),
    (R.TAG_DISABLED, lambda f: change(f, "token", active=False)),
    (R.TAG_EXPIRED, lambda f: change(f, "token", expires_at=NOW)),
    (R.USER_DISABLED, lambda f: change(f, "user", active=False)),
    (R.NOT_INVITED, lambda f: change(f, "user", private_access_partner_ids=frozenset({OTHER_PARTNER}))),
    (R.ALREADY_CHARGING, lambda f: change(f, "user", running_sessions=1)),
    (R.RESERVED_FOR_ANOTHER, lambda f: change(f, "evse", reserved_for_user_id=SOMEBODY)),
    (R.OUTSTANDING_AMOUNT, lambda f: change(f, "user", outstanding_amount=D("0.01"))),
    (R.NO_TARIFF_GROUP, lambda f: change(f, "evse", has_tariff_group=False)),
]
BY_STRATEGY = [
    (R.PAYMENT_METHOD_REQUIRED, {"strategy": BillingStrategy.AFTER_SESSION}),
    (R.PAYMENT_METHOD_REQUIRED, {"strategy": BillingStrategy.PREAUTHORIZE}),
    (
        R.PREAUTHORIZATION_MISSING,
        {"strategy": BillingStrategy.PREAUTHORIZE, "has_payment_method": True},
    ),
    (
        R.PREAUTHORIZATION_DECLINED,
        {"strategy": BillingStrategy.PREAUTHORIZE, "has_payment_method": True, "preauthorized": False},
    ),
    (R.PAYMENT_METHOD_OR_BALANCE_REQUIRED, {"strategy": BillingStrategy.BALANCE_OR_PAYMENT_METHOD}),
    (
        R.BALANCE_BELOW_MINIMUM,
        {
            "strategy": BillingStrategy.BALANCE_OR_PAYMENT_METHOD,
            "has_payment_method": True,
            "payment_method_not_for_sessions": True,
        },
    ),
    (R.CORPORATE_BILLING_NOT_ALLOWED, {"paid_from": PaidFrom.CORPORATE}),
]


@pytest.mark.parametrize(("expected", "fail"), FAILURES, ids=lambda v: getattr(v, "value", ""))
def test_each_check_rejects_on_its_own(expected, fail):
    assert reason(fail(good())) is expected


@pytest.mark.parametrize(("first", "second"), list(combinations(range(len(FAILURES)), 2)))
def test_of_two_failing_checks_the_first_gives_the_reason(first, second):
    both = FAILURES[second][1](FAILURES[first][1](good()))
    assert reason(both) is FAILURES[first][0]


@pytest.mark.parametrize(("expected", "billing"), BY_STRATEGY)
def test_each_billing_failure_on_its_own_and_after_all_others(expected, billing):
    facts = change(good(), "billing", **billing)
    assert reason(facts) is expected
    for earlier, fail in FAILURES:
        assert reason(fail(facts)) is earlier


@settings(deadline=None)
@given(st.sets(st.sampled_from(range(len(FAILURES)))), st.none() | st.sampled_from(BY_STRATEGY))
def test_the_first_of_any_failing_checks_gives_the_reason(failing, billing):
    facts = good() if billing is None else change(good(), "billing", **billing[1])
    for index in failing:
        facts = FAILURES[index][1](facts)
    if failing:
        assert reason(facts) is FAILURES[min(failing)][0]
    else:
        assert reason(facts) is (billing and billing[0])


# Charge point, EVSE, token ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "usable"), [("active", True), ("demo", True), ("disabled", False), ("out_of_order", False)]
)
def test_only_active_and_demo_stations_charge(status, usable):
    assert decide(change(good(), "station", status=status)).accepted is usable
    assert decide(change(good(), "evse", status=status)).accepted is usable


def test_a_tag_expires_at_its_time_and_not_before():
    assert reason(change(good(), "token", expires_at=NOW + timedelta(microseconds=1))) is None
    assert reason(change(good(), "token", expires_at=NOW)) is R.TAG_EXPIRED
    assert reason(change(good(), "token", expires_at=None)) is None


def test_from_the_app_no_token_is_shown():
    assert reason(replace(good(), token=None)) is None


def test_an_unknown_tag_is_told_before_its_missing_user():
    assert reason(replace(good(), token=TokenFacts(known=False), user=None)) is R.TAG_UNKNOWN
    assert reason(replace(good(), user=None)) is R.USER_UNKNOWN


def test_tags_are_compared_without_regard_to_case():
    assert normalise_id_tag(" 04a2b3C4 ") == normalise_id_tag("04A2B3c4") == "04A2B3C4"
    assert normalise_id_tag("04A2B3C5") != normalise_id_tag("04A2B3C4")


def test_before_the_station_says_which_evse_its_checks_wait():
    assert reason(replace(good(), evse=None)) is None


# Private stations, sessions at once, reservations ---------------------------------------------------------


@pytest.mark.parametrize(
    ("is_private", "owner", "invited_by", "expected"),
    [
        (True, OWNER, {OWNER}, None),
        (True, OWNER, {OWNER, OTHER_PARTNER}, None),
        (True, OWNER, set(), R.NOT_INVITED),
        (True, OWNER, {OTHER_PARTNER}, R.NOT_INVITED),
        (True, None, {OWNER}, R.NOT_INVITED),
        (False, OWNER, set(), None),
        (False, None, set(), None),
    ],
)
def test_a_private_station_needs_its_owners_invitation(is_private, owner, invited_by, expected):
    facts = change(good(), "station", is_private=is_private, owner_partner_id=owner)
    facts = change(facts, "user", private_access_partner_ids=frozenset(invited_by))
    assert reason(facts) is expected


@pytest.mark.parametrize(
    ("running", "allowed", "expected"),
    [(0, False, None), (1, False, R.ALREADY_CHARGING), (1, True, None), (5, True, None)],
)
def test_several_sessions_at_once(running, allowed, expected):
    facts = replace(change(good(), "user", running_sessions=running), concurrent_sessions_allowed=allowed)
    assert reason(facts) is expected


@pytest.mark.parametrize(("reserved_for", "expected"), [(None, None), (ME, None), (SOMEBODY, R.RESERVED_FOR_ANOTHER)])
def test_reservations(reserved_for, expected):
    assert reason(change(good(), "evse", reserved_for_user_id=reserved_for)) is expected


def test_a_reservation_keeps_out_drivers_without_account():
    facts = change(replace(good(), user=None, token=None), "station", is_private=False)
    for driver in (DriverKind.AD_HOC, DriverKind.ROAMING, DriverKind.ANONYMOUS):
        assert reason(replace(facts, driver=driver)) is R.RESERVED_FOR_ANOTHER


@pytest.mark.parametrize(("amount", "expected"), [("0", None), ("-5", None), ("0.01", R.OUTSTANDING_AMOUNT)])
def test_outstanding_amounts(amount, expected):
    assert reason(change(good(), "user", outstanding_amount=D(amount))) is expected


# Billing strategies (manual, "User billing settings") ------------------------------------------------------


@pytest.mark.parametrize(
    ("has_method", "balance", "expected"),
    [(True, "0", None), (True, "-3", None), (False, "100", R.PAYMENT_METHOD_REQUIRED)],
)
def test_strategy_1_needs_a_payment_method_only(has_method, balance, expected):
    facts = good("after_session", has_payment_method=has_method, balance=D(balance))
    assert reason(facts) is expected


@pytest.mark.parametrize(
    ("has_method", "preauthorized", "expected"),
    [
        (True, True, None),
        (True, False, R.PREAUTHORIZATION_DECLINED),
        (True, None, R.PREAUTHORIZATION_MISSING),
        (False, None, R.PAYMENT_METHOD_REQUIRED),
    ],
)
def test_strategy_2_needs_the_amount_authorised_first(has_method, preauthorized, expected):
    facts = good("preauthorize", has_payment_method=has_method, preauthorized=preauthorized, balance=D(100))
    assert reason(facts) is expected


@pytest.mark.parametrize(
    ("has_method", "not_direct", "balance", "minimum", "tariff_minimum", "expected"),
    [
        # a payment method is enough, unless it may not be used directly
        (True, False, "0", "5", None, None),
        (True, False, "-1", "5", "9", None),
        (True, True, "0", "5", None, R.BALANCE_BELOW_MINIMUM),
        (True, True, "5", "5", None, None),
        (False, True, "4.99", "5", None, R.BALANCE_BELOW_MINIMUM),
        # without one, the balance reaches the minimum
        (False, False, "5.00", "5", None, None),
        (False, False, "4.99", "5", None, R.PAYMENT_METHOD_OR_BALANCE_REQUIRED),
        # of the two minima the higher applies, whichever it is
        (False, False, "7", "5", "8", R.PAYMENT_METHOD_OR_BALANCE_REQUIRED),
        (False, False, "8", "5", "8", None),
        (False, False, "7", "8", "5", R.PAYMENT_METHOD_OR_BALANCE_REQUIRED),
        (False, False, "7", None, "8", R.PAYMENT_METHOD_OR_BALANCE_REQUIRED),
        (False, False, "8", None, "8", None),
        # no minimum: there must be something; a minimum of 0: nothing is enough, a debt is not
        (False, False, "0", None, None, R.PAYMENT_METHOD_OR_BALANCE_REQUIRED),
        (False, False, "0.01", None, None, None),
        (False, False, "0", "0", None, None),
        (False, False, "-0.01", "0", None, R.PAYMENT_METHOD_OR_BALANCE_REQUIRED),
    ],
)
def test_strategy_3_needs_a_payment_method_or_a_balance(
    has_method, not_direct, balance, minimum, tariff_minimum, expected
):
    facts = good(
        "balance_or_payment_method",
        has_payment_method=has_method,
        payment_method_not_for_sessions=not_direct,
        balance=D(balance),
        minimum_balance=None if minimum is None else D(minimum),
        tariff_minimum_balance=None if tariff_minimum is None else D(tariff_minimum),
    )
    assert reason(facts) is expected


def test_strategy_4_needs_nothing():
    assert reason(good("none", balance=D(-100), minimum_balance=D(50))) is None


def test_an_operator_can_always_make_a_session_free():
    for strategy in BillingStrategy:
        facts = change(good(strategy, made_free_by_operator=True), "evse", has_tariff_group=False)
        assert reason(facts) is None
        assert reason(change(facts, "user", outstanding_amount=D(1))) is R.OUTSTANDING_AMOUNT


# Corporate accounts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("corporate", "expected"),
    [
        (None, R.CORPORATE_BILLING_NOT_ALLOWED),
        (CorporateFacts(allowed=False, limit=D(100)), R.CORPORATE_BILLING_NOT_ALLOWED),
        (CorporateFacts(allowed=True), None),
        (CorporateFacts(allowed=True, used=D(10**6)), None),
        (CorporateFacts(allowed=True, limit=D(100), used=D("99.99")), None),
        (CorporateFacts(allowed=True, limit=D(100), used=D(100)), R.CORPORATE_LIMIT_REACHED),
        (CorporateFacts(allowed=True, limit=D(0)), R.CORPORATE_LIMIT_REACHED),
    ],
)
@pytest.mark.parametrize("strategy", list(BillingStrategy))
def test_the_corporate_limit_counts_when_that_is_how_it_is_paid(strategy, corporate, expected):
    facts = replace(good(strategy, paid_from=PaidFrom.CORPORATE), corporate=corporate)
    assert reason(facts) is expected
    if expected is not None:
        assert reason(change(facts, "billing", made_free_by_operator=True)) is None


def test_a_used_up_corporate_limit_does_not_matter_to_who_pays_otherwise():
    used_up = CorporateFacts(allowed=True, limit=D(1), used=D(1))
    for paid_from in (PaidFrom.BALANCE, PaidFrom.PAYMENT_METHOD):
        assert reason(replace(good("none", paid_from=paid_from), corporate=used_up)) is None


# Drivers without account ----------------------------------------------------------------------------------


def outsider(kind, strategy="none", **billing):
    facts = replace(good(strategy, **billing), driver=kind, user=None, token=None)
    facts = change(facts, "evse", reserved_for_user_id=None)
    return change(facts, "station", is_private=False)


@pytest.mark.parametrize(
    ("kind", "strategy", "has_method", "expected"),
    [
        (DriverKind.AD_HOC, "none", False, None),
        (DriverKind.AD_HOC, "after_session", False, R.PAYMENT_METHOD_REQUIRED),
        (DriverKind.AD_HOC, "after_session", True, None),
        (DriverKind.AD_HOC, "balance_or_payment_method", True, None),
        (DriverKind.AD_HOC, "balance_or_payment_method", False, R.PAYMENT_METHOD_OR_BALANCE_REQUIRED),
        (DriverKind.ROAMING, "after_session", False, None),
        (DriverKind.ROAMING, "preauthorize", False, None),
        (DriverKind.ANONYMOUS, "after_session", False, None),
        (DriverKind.ANONYMOUS, "balance_or_payment_method", False, None),
    ],
)
def test_drivers_without_account_and_the_billing_strategy(kind, strategy, has_method, expected):
    assert reason(outsider(kind, strategy, has_payment_method=has_method)) is expected


def test_forbidding_direct_use_does_not_concern_ad_hoc_drivers():
    facts = outsider(
        DriverKind.AD_HOC,
        "balance_or_payment_method",
        has_payment_method=True,
        payment_method_not_for_sessions=True,
    )
    assert reason(facts) is None


@pytest.mark.parametrize(
    ("kind", "private", "no_tariff"),
    [
        (DriverKind.AD_HOC, R.NOT_INVITED, R.NO_TARIFF_GROUP),
        (DriverKind.ROAMING, R.NOT_INVITED, R.NO_TARIFF_GROUP),
        (DriverKind.ANONYMOUS, None, None),
    ],
)
def test_drivers_without_account_at_private_and_unpriced_places(kind, private, no_tariff):
    assert reason(change(outsider(kind), "station", is_private=True)) is private
    assert reason(change(outsider(kind), "evse", has_tariff_group=False)) is no_tariff


# Reasons --------------------------------------------------------------------------------------------------


def test_a_decision_has_a_reason_exactly_when_it_rejects():
    with pytest.raises(ValueError, match="reason"):
        Decision(accepted=False)
    with pytest.raises(ValueError, match="reason"):
        Decision(accepted=True, reason=R.TAG_UNKNOWN)


def test_every_reason_has_words_and_fits_where_it_is_stored():
    labels = [each.label for each in R]
    assert len(set(labels)) == len(labels)
    assert all(label[0].isupper() and not label.endswith(".") for label in labels)
    assert max(len(each.value) for each in R) <= 60


def test_every_reason_is_given_by_some_check():
    given_above = {each for each, _ in FAILURES} | {each for each, _ in BY_STRATEGY}
    assert set(R) - given_above == {R.USER_UNKNOWN, R.CORPORATE_LIMIT_REACHED}
