"""Tariff groups: what an EVSE is given, and the order of the tariffs in it. Manual, "Tariff Groups".

Every group has a base tariff of its own, first in the list, made and removed with it. Each verb locks the
group's row, so that two admins who reorder it at once end with an order one of them chose.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.assets.models import Evse
from app.core.audit import record_change
from app.core.models import Admin
from app.tariffs.models import Tariff, TariffGroup, TariffGroupTariff, TariffType

_POSITIONS = "uq_tariff_group_tariff_position"


class TariffGroupNameInvalid(ValueError):
    """The name is empty, too long, or another group's."""


class TariffGroupInUse(ValueError):
    """EVSEs have this tariff group; ``evse_codes`` are their EVSE IDs."""

    def __init__(self, name: str, evse_codes: Sequence[str]) -> None:
        shown = ", ".join(evse_codes[:10]) + (f" and {len(evse_codes) - 10} more" if len(evse_codes) > 10 else "")
        super().__init__(f"tariff group “{name}” is used by EVSE {shown}; give them another group first")
        self.evse_codes = tuple(evse_codes)


class TariffAlreadyAttached(ValueError):
    """The tariff is in the group already."""


class TariffNotAttached(ValueError):
    """The tariff is not in the group."""


class BaseTariffOfAnotherGroup(ValueError):
    """A base tariff belongs to its own group only."""


class BaseTariffFixed(ValueError):
    """The base tariff is first in its group; it can be neither removed nor reordered."""


def base_tariff_name(group_name: str) -> str:
    """How a group's base tariff is called."""
    return f"{group_name}: Base tariff"


def base_tariff(group: TariffGroup) -> Tariff:
    """The group's base tariff."""
    return next(link.tariff for link in group.links if link.is_base)


def create_group(session: Session, *, name: str, actor: Admin | None) -> TariffGroup:
    """Make a group with its base tariff, which is free until it is edited; flushes.

    Raises TariffGroupNameInvalid.
    """
    name = _usable_name(session, name, None)
    base = Tariff(name=base_tariff_name(name), type=TariffType.FREE, is_base=True)
    group = TariffGroup(name=name)
    group.links.append(TariffGroupTariff(tariff=base, position=0, is_base=True))
    session.add(group)
    session.flush()
    _audit(session, actor, "create", group, {}, {"name": name, "tariffs": [base.name]})
    return group


def rename_group(session: Session, *, group: TariffGroup, name: str, actor: Admin | None) -> None:
    """Give the group another name; the base tariff's follows. Flushes. Raises TariffGroupNameInvalid."""
    _lock(session, group)
    name, before = _usable_name(session, name, group), group.name
    if name == before:
        return
    group.name = name
    base_tariff(group).name = base_tariff_name(name)
    session.flush()
    _audit(session, actor, "change", group, {"name": before}, {"name": name})


def attach_tariff(session: Session, *, group: TariffGroup, tariff: Tariff, actor: Admin | None) -> None:
    """Put a tariff at the end of the group's list; flushes.

    Raises TariffAlreadyAttached, BaseTariffOfAnotherGroup.
    """
    _lock(session, group)
    if tariff in group.tariffs:
        raise TariffAlreadyAttached(f"“{tariff.name}” is in “{group.name}” already")
    _require_no_base(tariff)
    before = _names(group)
    group.links.append(TariffGroupTariff(tariff=tariff, position=len(group.links), is_base=False))
    session.flush()
    _audit(session, actor, "change", group, {"tariffs": before}, {"tariffs": _names(group)})


def detach_tariff(session: Session, *, group: TariffGroup, tariff: Tariff, actor: Admin | None) -> None:
    """Take a tariff out of the group; those below it move up. Flushes.

    Raises BaseTariffFixed, TariffNotAttached.
    """
    _lock(session, group)
    _link(group, tariff)
    kept = [other for other in group.tariffs if other is not tariff]
    _arrange(session, group, kept, actor)


def move_tariff_up(session: Session, *, group: TariffGroup, tariff: Tariff, actor: Admin | None) -> bool:
    """Change places with the tariff above; flushes. False when only the base tariff is above it.

    Raises BaseTariffFixed, TariffNotAttached.
    """
    return _move(session, group, tariff, -1, actor)


def move_tariff_down(session: Session, *, group: TariffGroup, tariff: Tariff, actor: Admin | None) -> bool:
    """Change places with the tariff below; flushes. False when it is the last.

    Raises BaseTariffFixed, TariffNotAttached.
    """
    return _move(session, group, tariff, +1, actor)


def set_tariffs(session: Session, *, group: TariffGroup, tariffs: Sequence[Tariff], actor: Admin | None) -> bool:
    """Make these, in this order, the tariffs below the base tariff; flushes. False when they were already.

    Raises BaseTariffOfAnotherGroup, TariffAlreadyAttached for one that is named twice.
    """
    _lock(session, group)
    for index, tariff in enumerate(tariffs):
        _require_no_base(tariff)
        if tariff in tariffs[:index]:
            raise TariffAlreadyAttached(f"“{tariff.name}” is named twice")
    return _arrange(session, group, [base_tariff(group), *tariffs], actor)


def delete_group(session: Session, *, group: TariffGroup, actor: Admin | None) -> None:
    """Delete a group and its base tariff; attached tariffs stay, sessions keep their snapshots. Flushes.

    Raises TariffGroupInUse.
    """
    _lock(session, group)
    codes = session.scalars(select(Evse.code).where(Evse.tariff_group_id == group.id).order_by(Evse.code))
    if in_use := codes.all():
        raise TariffGroupInUse(group.name, in_use)
    base = base_tariff(group)
    _audit(session, actor, "delete", group, {"name": group.name, "tariffs": _names(group)}, {})
    session.delete(group)
    session.flush()
    session.delete(base)
    session.flush()


def _lock(session: Session, group: TariffGroup) -> None:
    """Wait for whoever changes the group, then see it as it is. An EVSE cannot be given it meanwhile."""
    session.flush()
    session.execute(select(TariffGroup.id).where(TariffGroup.id == group.id).with_for_update())
    session.expire(group)
    places = select(TariffGroupTariff).where(TariffGroupTariff.tariff_group_id == group.id)
    session.scalars(places.execution_options(populate_existing=True)).all()


def _usable_name(session: Session, name: str, group: TariffGroup | None) -> str:
    name = name.strip()
    if not name:
        raise TariffGroupNameInvalid("a name is required")
    if len(base_tariff_name(name)) > 255:
        raise TariffGroupNameInvalid("the name is too long")
    taken = session.scalar(select(TariffGroup.id).where(TariffGroup.name == name))
    if taken is not None and (group is None or taken != group.id):
        raise TariffGroupNameInvalid(f"there is a tariff group “{name}” already")
    return name


def _require_no_base(tariff: Tariff) -> None:
    if tariff.is_base:
        raise BaseTariffOfAnotherGroup(f"“{tariff.name}” is a base tariff; it belongs to its own group only")


def _link(group: TariffGroup, tariff: Tariff) -> TariffGroupTariff:
    """The tariff's place, if it may be moved or removed."""
    for link in group.links:
        if link.tariff is tariff:
            if link.is_base:
                raise BaseTariffFixed(f"“{tariff.name}” is the base tariff: always first, and always there")
            return link
    raise TariffNotAttached(f"“{tariff.name}” is not in “{group.name}”")


def _move(session: Session, group: TariffGroup, tariff: Tariff, by: int, actor: Admin | None) -> bool:
    _lock(session, group)
    _link(group, tariff)
    order = group.tariffs
    place = order.index(tariff)
    other = place + by
    if other <= 0 or other >= len(order):
        return False
    order[place], order[other] = order[other], order[place]
    return _arrange(session, group, order, actor)


def _arrange(session: Session, group: TariffGroup, order: Sequence[Tariff], actor: Admin | None) -> bool:
    """Make the list exactly this; the base tariff is its first. Positions count from 0 without gaps."""
    before = _names(group)
    links = {link.tariff: link for link in group.links}
    if [link.tariff for link in group.links] == list(order):
        return False
    # places are exchanged one row at a time, so they are unique again only after the last
    session.execute(text(f"SET CONSTRAINTS {_POSITIONS} DEFERRED"))
    for tariff, link in links.items():
        if tariff not in order:
            group.links.remove(link)
    for position, tariff in enumerate(order):
        if tariff in links:
            links[tariff].position = position
        else:
            group.links.append(TariffGroupTariff(tariff=tariff, position=position, is_base=False))
    session.flush()
    session.execute(text(f"SET CONSTRAINTS {_POSITIONS} IMMEDIATE"))
    session.expire(group, ["links"])
    _audit(session, actor, "change", group, {"tariffs": before}, {"tariffs": _names(group)})
    return True


def _names(group: TariffGroup) -> list[str]:
    return [tariff.name for tariff in group.tariffs]


def _audit(
    session: Session,
    actor: Admin | None,
    event: str,
    group: TariffGroup,
    before: dict[str, object],
    after: dict[str, object],
) -> None:
    record_change(
        session,
        actor=actor,
        event=event,
        object_type=TariffGroup.__tablename__,
        object_id=group.id,
        label=group.name,
        before=before,
        after=after,
    )
