"""Which tariff: the lowest in the list that applies to the driver, and an explanation in plain words."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.tariffs.selection import (
    AttachedTariff,
    DriverFacts,
    InvalidTariffGroup,
    NoTariff,
    RestrictionKind,
    Restrictions,
    explanation_to_json,
    select_tariff,
)

OWNER, FLEET = 10, 20
STAFF, GUESTS = 100, 200
EVERYBODY = Restrictions()
BASE = AttachedTariff(1, 0, True, EVERYBODY, "Base tariff")


def group(*restrictions):
    """A tariff group: the base tariff (id 1), then one tariff (id 2, 3, …) per set of restrictions."""
    return [BASE, *(AttachedTariff(n + 2, n + 1, False, r, f"T{n + 2}") for n, r in enumerate(restrictions))]


def chosen(tariffs, driver):
    return select_tariff(tariffs, driver)[0].tariff_id


REGISTERED = DriverFacts(user_id=7, owner_partner_id=OWNER)
OWNERS_USER = DriverFacts(user_id=7, partner_ids=frozenset({OWNER}), owner_partner_id=OWNER)
FLEET_USER = DriverFacts(user_id=7, partner_ids=frozenset({FLEET}), owner_partner_id=OWNER)
STAFF_USER = DriverFacts(user_id=7, user_group_ids=frozenset({STAFF}), owner_partner_id=OWNER)
ROAMER = DriverFacts(user_id=None, roaming=True, owner_partner_id=OWNER)
PASSER_BY = DriverFacts(user_id=None, owner_partner_id=OWNER)
DRIVERS = {
    "registered": REGISTERED,
    "owner's user": OWNERS_USER,
    "fleet user": FLEET_USER,
    "staff": STAFF_USER,
    "roamer": ROAMER,
    "passer-by": PASSER_BY,
}


@pytest.mark.parametrize(
    ("restrictions", "matching"),
    [
        (EVERYBODY, set(DRIVERS)),
        (Restrictions(owner_users=True), {"owner's user"}),
        (Restrictions(roaming_users=True), {"roamer"}),
        (Restrictions(ad_hoc_users=True), {"passer-by"}),
        (Restrictions(partner_ids=frozenset({FLEET})), {"fleet user"}),
        (Restrictions(partner_ids=frozenset({FLEET, OWNER})), {"fleet user", "owner's user"}),
        (Restrictions(partner_ids=frozenset({99})), set()),
        (Restrictions(user_group_ids=frozenset({STAFF, GUESTS})), {"staff"}),
        (Restrictions(user_group_ids=frozenset({GUESTS})), set()),
        # Several restrictions on one tariff mean any of them.
        (Restrictions(owner_users=True, user_group_ids=frozenset({STAFF})), {"owner's user", "staff"}),
        (Restrictions(roaming_users=True, ad_hoc_users=True), {"roamer", "passer-by"}),
    ],
)
def test_restrictions(restrictions, matching):
    found = {name for name, driver in DRIVERS.items() if chosen(group(restrictions), driver) == 2}
    assert found == matching


def test_a_charge_point_without_owner_has_no_users_of_its_owner():
    nobodys = DriverFacts(user_id=7, partner_ids=frozenset({OWNER}), owner_partner_id=None)
    assert chosen(group(Restrictions(owner_users=True)), nobodys) == 1


def test_the_manuals_example_of_three_tariffs():
    example = group(Restrictions(user_group_ids=frozenset({STAFF})), Restrictions(partner_ids=frozenset({OWNER})))
    both = DriverFacts(
        user_id=7,
        user_group_ids=frozenset({STAFF}),
        partner_ids=frozenset({OWNER}),
        owner_partner_id=OWNER,
    )
    assert [chosen(example, d) for d in (REGISTERED, STAFF_USER, OWNERS_USER, both)] == [1, 2, 3, 3]


def test_an_unrestricted_tariff_hides_everything_above_it():
    example = group(Restrictions(user_group_ids=frozenset({STAFF})), EVERYBODY)
    assert {chosen(example, driver) for driver in DRIVERS.values()} == {3}


def test_the_explanation_tells_each_tariff_and_why():
    staff = Restrictions(owner_users=True, user_group_ids=frozenset({STAFF}), user_group_names={STAFF: "Staff"})
    fleets = Restrictions(
        roaming_users=True,
        ad_hoc_users=True,
        partner_ids=frozenset({FLEET, OWNER}),
        partner_names={FLEET: "Fleet Ltd", OWNER: "Host Ltd"},
    )
    unnamed = Restrictions(user_group_ids=frozenset({GUESTS}))
    _, explanation = select_tariff(group(staff, fleets, unnamed), STAFF_USER)
    assert [(v.name, v.matched, v.chosen, v.reason) for v in explanation] == [
        ("Base tariff", True, False, "The base tariff applies to everybody"),
        ("T2", True, True, "Applies, because the driver is in user group Staff"),
        (
            "T3",
            False,
            False,
            "Does not apply: only for users of roaming partners or ad-hoc users or users of partners "
            "Host Ltd, Fleet Ltd",
        ),
        ("T4", False, False, "Does not apply: only for user group #200"),
    ]
    assert [v.matched_by for v in explanation] == [
        (RestrictionKind.BASE,),
        (RestrictionKind.USER_GROUPS,),
        (),
        (),
    ]


def test_every_restriction_that_is_met_is_named():
    rules = Restrictions(
        owner_users=True,
        partner_ids=frozenset({OWNER}),
        partner_names={OWNER: "Host Ltd"},
        user_group_ids=frozenset({STAFF}),
    )
    driver = DriverFacts(7, frozenset({STAFF}), frozenset({OWNER}), OWNER)
    verdict = select_tariff(group(rules), driver)[1][1]
    assert verdict.matched_by == (
        RestrictionKind.OWNER_USERS,
        RestrictionKind.PARTNERS,
        RestrictionKind.USER_GROUPS,
    )
    assert verdict.reason == (
        "Applies, because the driver is a user of the charge point's owner and is a user of partner Host Ltd "
        "and is in user group #100"
    )


@pytest.mark.parametrize(
    ("driver", "words"),
    [
        (ROAMER, "Applies, because the driver is a user of a roaming partner"),
        (PASSER_BY, "Applies, because the driver is not registered (ad-hoc)"),
        (REGISTERED, "Does not apply: only for users of roaming partners or ad-hoc users"),
    ],
)
def test_words_for_drivers_from_outside(driver, words):
    rules = Restrictions(roaming_users=True, ad_hoc_users=True)
    assert select_tariff(group(rules), driver)[1][1].reason == words


def test_words_for_no_restriction():
    verdict = select_tariff(group(EVERYBODY), REGISTERED)[1][1]
    assert verdict.reason == "Applies to everybody: the tariff has no restrictions"
    assert verdict.matched_by == (RestrictionKind.EVERYBODY,)


def test_the_explanation_as_json():
    stored = explanation_to_json(select_tariff(group(), REGISTERED)[1])
    assert json.loads(json.dumps(stored)) == [
        {
            "tariff_id": 1,
            "name": "Base tariff",
            "position": 0,
            "is_base": True,
            "matched": True,
            "matched_by": ["base"],
            "reason": "The base tariff applies to everybody",
            "chosen": True,
        }
    ]


def test_an_empty_group_has_no_tariff():
    with pytest.raises(NoTariff):
        select_tariff([], REGISTERED)


@pytest.mark.parametrize(
    "tariffs",
    [
        [AttachedTariff(2, 0, False, EVERYBODY)],
        [AttachedTariff(2, 0, False, EVERYBODY), AttachedTariff(1, 1, True, EVERYBODY)],
        [BASE, AttachedTariff(2, 1, True, EVERYBODY)],
        [AttachedTariff(1, 0, True, Restrictions(roaming_users=True))],
        [BASE, AttachedTariff(2, 2, False, EVERYBODY), AttachedTariff(3, 1, False, EVERYBODY)],
        [BASE, AttachedTariff(2, 1, False, EVERYBODY), AttachedTariff(3, 1, False, EVERYBODY)],
    ],
    ids=["no base", "base last", "two bases", "restricted base", "out of order", "same place"],
)
def test_a_list_that_is_no_tariff_group_is_refused(tariffs):
    with pytest.raises(InvalidTariffGroup):
        select_tariff(tariffs, REGISTERED)


ids = st.frozensets(st.integers(1, 4), max_size=3)
restrictions = st.builds(
    Restrictions,
    owner_users=st.booleans(),
    roaming_users=st.booleans(),
    ad_hoc_users=st.booleans(),
    partner_ids=ids,
    user_group_ids=ids,
)
drivers = st.builds(
    DriverFacts,
    user_id=st.none() | st.just(7),
    user_group_ids=ids,
    partner_ids=ids,
    owner_partner_id=st.none() | st.integers(1, 4),
    roaming=st.booleans(),
)


@settings(deadline=None)
@given(st.lists(restrictions, max_size=6), drivers)
def test_the_choice_is_the_last_that_matches(rules, driver):
    tariffs = group(*rules)
    tariff, explanation = select_tariff(tariffs, driver)
    assert [v.tariff_id for v in explanation] == [t.tariff_id for t in tariffs]
    assert explanation[0].matched
    assert [v.tariff_id for v in explanation if v.matched][-1] == tariff.tariff_id
    assert [v.tariff_id for v in explanation if v.chosen] == [tariff.tariff_id]
    for verdict, attached in zip(explanation, tariffs, strict=True):
        alone = chosen([BASE, attached], driver) if not attached.is_base else 1
        assert verdict.matched is (alone == attached.tariff_id)


@settings(deadline=None)
@given(restrictions, restrictions, drivers)
def test_more_restrictions_admit_more_drivers_unless_there_were_none(one, other, driver):
    both = Restrictions(
        owner_users=one.owner_users or other.owner_users,
        roaming_users=one.roaming_users or other.roaming_users,
        ad_hoc_users=one.ad_hoc_users or other.ad_hoc_users,
        partner_ids=one.partner_ids | other.partner_ids,
        user_group_ids=one.user_group_ids | other.user_group_ids,
    )
    if not one.is_empty and chosen(group(one), driver) == 2:
        assert chosen(group(both), driver) == 2
