"""Tariff groups: the base tariff that stays, the order of the others, and what deleting respects."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, ChargingZone, Evse, EvseType, Location
from app.core.db import db
from app.core.models import AuditEntry
from app.crm.models import UserGroup
from app.partners.models import Partner
from app.tariffs import groups, queries
from app.tariffs.models import Tariff, TariffGroup, TariffGroupTariff, TariffType
from app.tariffs.selection import DriverFacts, Restrictions, select_tariff


@pytest.fixture
def group(session: Session) -> TariffGroup:
    return groups.create_group(session, name="AC public", actor=None)


def _tariff(session: Session, name: str, **fields: object) -> Tariff:
    tariff = Tariff(name=name, type=TariffType.FREE, **fields)
    session.add(tariff)
    session.flush()
    return tariff


def _three(session: Session, group: TariffGroup) -> list[Tariff]:
    tariffs = [_tariff(session, name) for name in ("A", "B", "C")]
    for tariff in tariffs:
        groups.attach_tariff(session, group=group, tariff=tariff, actor=None)
    return tariffs


def _order(session: Session, group: TariffGroup) -> list[tuple[int, str]]:
    """As the database has it, not as the objects remember it."""
    rows = session.execute(
        select(TariffGroupTariff.position, Tariff.name)
        .join(Tariff)
        .where(TariffGroupTariff.tariff_group_id == group.id)
        .order_by(TariffGroupTariff.position)
    )
    return [(position, name) for position, name in rows]


def test_a_new_group_has_a_free_base_tariff(session: Session, group: TariffGroup) -> None:
    base = groups.base_tariff(group)
    assert (base.name, base.type, base.is_base) == ("AC public: Base tariff", TariffType.FREE, True)
    assert _order(session, group) == [(0, "AC public: Base tariff")]
    entry = session.scalars(select(AuditEntry)).one()
    assert (entry.event, entry.object_type, entry.after) == (
        "create",
        "tariff_group",
        {"name": "AC public", "tariffs": ["AC public: Base tariff"]},
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("  ", "a name is required"),
        ("x" * 250, "too long"),
        (" AC public ", "there is a tariff group “AC public” already"),
    ],
)
def test_names_that_cannot_be(session: Session, group: TariffGroup, name: str, message: str) -> None:
    other = groups.create_group(session, name="Other", actor=None)
    with pytest.raises(groups.TariffGroupNameInvalid, match=message):
        groups.create_group(session, name=name, actor=None)
    with pytest.raises(groups.TariffGroupNameInvalid, match=message):
        groups.rename_group(session, group=other, name=name, actor=None)


def test_renaming_takes_the_base_tariff_along(session: Session, group: TariffGroup) -> None:
    groups.rename_group(session, group=group, name="AC everywhere", actor=None)
    assert (group.name, groups.base_tariff(group).name) == ("AC everywhere", "AC everywhere: Base tariff")
    groups.rename_group(session, group=group, name="AC everywhere", actor=None)
    session.flush()
    changes = session.scalars(select(AuditEntry).where(AuditEntry.event == "change")).all()
    assert [(c.before, c.after) for c in changes] == [({"name": "AC public"}, {"name": "AC everywhere"})]


def test_tariffs_are_attached_at_the_end_and_once(session: Session, group: TariffGroup) -> None:
    a, _b, _c = _three(session, group)
    assert _order(session, group) == [(0, "AC public: Base tariff"), (1, "A"), (2, "B"), (3, "C")]
    with pytest.raises(groups.TariffAlreadyAttached, match="“A” is in “AC public” already"):
        groups.attach_tariff(session, group=group, tariff=a, actor=None)


def test_a_tariff_may_be_in_several_groups_but_a_base_tariff_in_one(session: Session, group: TariffGroup) -> None:
    a = _three(session, group)[0]
    other = groups.create_group(session, name="DC public", actor=None)
    groups.attach_tariff(session, group=other, tariff=a, actor=None)
    with pytest.raises(groups.BaseTariffOfAnotherGroup):
        groups.attach_tariff(session, group=group, tariff=groups.base_tariff(other), actor=None)
    with pytest.raises(groups.BaseTariffOfAnotherGroup):
        groups.set_tariffs(session, group=group, tariffs=[groups.base_tariff(other)], actor=None)


def test_moving_changes_places_but_never_with_the_base(session: Session, group: TariffGroup) -> None:
    a, b, c = _three(session, group)
    assert groups.move_tariff_up(session, group=group, tariff=c, actor=None) is True
    assert [name for _, name in _order(session, group)][1:] == ["A", "C", "B"]
    assert groups.move_tariff_down(session, group=group, tariff=a, actor=None) is True
    assert [name for _, name in _order(session, group)][1:] == ["C", "A", "B"]
    assert groups.move_tariff_up(session, group=group, tariff=c, actor=None) is False
    assert groups.move_tariff_down(session, group=group, tariff=b, actor=None) is False
    assert _order(session, group) == [(0, "AC public: Base tariff"), (1, "C"), (2, "A"), (3, "B")]
    last = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert last is not None
    assert last.after["tariffs"] == ["AC public: Base tariff", "C", "A", "B"]


def test_the_base_tariff_stays_where_it_is(session: Session, group: TariffGroup) -> None:
    _three(session, group)
    base = groups.base_tariff(group)
    for verb in (groups.detach_tariff, groups.move_tariff_up, groups.move_tariff_down):
        with pytest.raises(groups.BaseTariffFixed):
            verb(session, group=group, tariff=base, actor=None)
    assert _order(session, group)[0] == (0, "AC public: Base tariff")


def test_detaching_closes_the_gap(session: Session, group: TariffGroup) -> None:
    a, b, _c = _three(session, group)
    groups.detach_tariff(session, group=group, tariff=a, actor=None)
    assert _order(session, group) == [(0, "AC public: Base tariff"), (1, "B"), (2, "C")]
    with pytest.raises(groups.TariffNotAttached):
        groups.detach_tariff(session, group=group, tariff=a, actor=None)
    with pytest.raises(groups.TariffNotAttached):
        groups.move_tariff_up(session, group=group, tariff=a, actor=None)
    assert session.get(Tariff, a.id) is a, "the tariff itself stays"
    assert groups.move_tariff_down(session, group=group, tariff=b, actor=None) is True


def test_a_whole_order_is_set_at_once(session: Session, group: TariffGroup) -> None:
    a, b, c = _three(session, group)
    d = _tariff(session, "D")
    assert groups.set_tariffs(session, group=group, tariffs=[c, d, a], actor=None) is True
    assert [name for _, name in _order(session, group)][1:] == ["C", "D", "A"]
    assert groups.set_tariffs(session, group=group, tariffs=[c, d, a], actor=None) is False
    with pytest.raises(groups.TariffAlreadyAttached, match="“B” is named twice"):
        groups.set_tariffs(session, group=group, tariffs=[b, b], actor=None)


def test_two_admins_who_reorder_at_once_get_one_of_their_orders(
    clean: Flask, session: Session, group: TariffGroup
) -> None:
    _three(session, group)
    session.commit()
    start, errors = threading.Barrier(2), []

    def move(name: str) -> None:
        with Session(engine) as own:
            mine = own.scalars(select(TariffGroup)).one()
            tariff = next(t for t in mine.tariffs if t.name == name)
            start.wait()
            try:
                groups.move_tariff_up(own, group=mine, tariff=tariff, actor=None)
                own.commit()
            except Exception as error:  # handed to the test
                errors.append(error)

    engine = db.engine
    threads = [threading.Thread(target=move, args=(name,)) for name in ("B", "C")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert [place for place, _ in _order(session, group)] == [0, 1, 2, 3]
    # B first: B A C, then B C A; C first: A C B, then A B C. Whoever came second saw what the first had done.
    assert "".join(name for _, name in _order(session, group)[1:]) in ("BCA", "ABC")


def _evse(session: Session, group: TariffGroup, code: str) -> Evse:
    location = Location(name={"en": "Here"}, latitude=Decimal(1), longitude=Decimal(2), country="BG")
    zone = ChargingZone(name="Zone", location=location)
    station = ChargePoint(name=code, identifier=code, zone=zone)
    evse = Evse(network_id=1, code=code, type=EvseType.AC, tariff_group_id=group.id)
    station.evses.append(evse)
    session.add_all([location, station])
    session.flush()
    return evse


def test_a_group_in_use_cannot_be_deleted(session: Session, group: TariffGroup) -> None:
    evses = [_evse(session, group, code) for code in ("1112", "0007")]
    with pytest.raises(groups.TariffGroupInUse, match="used by EVSE 0007, 1112;") as refused:
        groups.delete_group(session, group=group, actor=None)
    assert refused.value.evse_codes == ("0007", "1112")
    for evse in evses:
        evse.tariff_group_id = None
    groups.delete_group(session, group=group, actor=None)
    assert session.scalar(select(func.count()).select_from(TariffGroup)) == 0


def test_many_evses_are_counted_not_listed() -> None:
    error = groups.TariffGroupInUse("G", [str(number) for number in range(13)])
    assert "9 and 3 more" in str(error)
    assert len(error.evse_codes) == 13


def test_deleting_removes_the_base_tariff_and_nothing_else(session: Session, group: TariffGroup) -> None:
    _three(session, group)
    groups.delete_group(session, group=group, actor=None)
    session.commit()
    assert session.scalars(select(Tariff.name).order_by(Tariff.name)).all() == ["A", "B", "C"]
    assert session.scalar(select(func.count()).select_from(TariffGroupTariff)) == 0


def test_what_selection_gets_of_a_group(session: Session, group: TariffGroup) -> None:
    staff = UserGroup(name="Staff")
    host = Partner(name="Host")
    session.add_all([staff, host])
    session.flush()
    free = _tariff(session, "Staff", user_groups=[staff])
    hosts = _tariff(session, "Hosts", partners=[host], for_owner_users=True)
    everybody = _tariff(session, "Everybody")
    groups.set_tariffs(session, group=group, tariffs=[everybody, hosts, free], actor=None)
    session.expire_all()
    attached = queries.attached_tariffs(session, tariff_group_id=group.id)
    assert [(t.position, t.name, t.is_base) for t in attached] == [
        (0, "AC public: Base tariff", True),
        (1, "Everybody", False),
        (2, "Hosts", False),
        (3, "Staff", False),
    ]
    assert attached[1].restrictions == Restrictions()
    assert attached[2].restrictions == Restrictions(
        owner_users=True, partner_ids=frozenset({host.id}), partner_names={host.id: "Host"}
    )
    driver = DriverFacts(user_id=5, user_group_ids=frozenset({staff.id}))
    assert select_tariff(attached, driver)[0].tariff_id == free.id
    assert select_tariff(attached, DriverFacts(user_id=6))[0].tariff_id == everybody.id
