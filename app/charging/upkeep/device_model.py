"""The device model: what a charge point says about its variables, kept beside their values.

A variable's value, and what was asked of it, is a row of ``configuration_key`` under the same name
(``app.charging.upkeep.configuration``); a row here says where it belongs, what it may be, and what else is known of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.charging.commands import CommandName, Outcome
from app.charging.models import DeviceMonitor, DeviceVariable
from app.charging.upkeep.configuration import ConfigurationLine, lines, next_step

MOST_VARIABLES = 10_000
_BATCH = 500
_LONGEST_VALUE = 10_000


@dataclass(frozen=True, slots=True)
class Described:
    """A variable as its station describes it. ``attributes`` as in DeviceVariable; numbers without unit are plain."""

    key: str
    component: str
    variable: str
    component_instance: str | None = None
    network_id: int | None = None
    connector_number: int | None = None
    variable_instance: str | None = None
    data_type: str | None = None
    unit: str | None = None
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    allowed_values: str | None = None
    supports_monitoring: bool = False
    attributes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def keep_descriptions(
    session: Session,
    *,
    charge_point_id: int,
    partner_id: int,
    described: Iterable[Described],
    whole: bool,
    now: datetime,
) -> int:
    """Make the rows what the station describes. ``whole``: variables that are not described have gone. Flushes.

    Returns how many there are. More than MOST_VARIABLES are not kept.
    """
    by_key = {each.key: each for each in described}
    rows = [
        {
            "charge_point_id": charge_point_id,
            "partner_id": partner_id,
            "reported_at": now,
            **{name: getattr(each, name) for name in Described.__dataclass_fields__ if name != "attributes"},
            "attributes": {kind: _short(values) for kind, values in each.attributes.items()},
        }
        for each in list(by_key.values())[:MOST_VARIABLES]
    ]
    for start in range(0, len(rows), _BATCH):
        statement = insert(DeviceVariable).values(rows[start : start + _BATCH])
        replaced = {
            column.name: statement.excluded[column.name]
            for column in DeviceVariable.__table__.columns
            if not column.primary_key
        }
        session.execute(statement.on_conflict_do_update(index_elements=["charge_point_id", "key"], set_=replaced))
    if whole:
        session.execute(
            delete(DeviceVariable).where(
                DeviceVariable.charge_point_id == charge_point_id, DeviceVariable.key.not_in(list(by_key))
            )
        )
    return len(rows)


def _short(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value[:_LONGEST_VALUE] if isinstance(value, str) else value for name, value in values.items()}


def keep_attribute(session: Session, *, charge_point_id: int, key: str, attribute: str, value: str | None) -> None:
    """What one attribute is now, as the station has said it or taken it. Flushes; unknown variables are left out."""
    row = session.get(DeviceVariable, (charge_point_id, key), with_for_update=True)
    if row is None:
        return
    kept = dict(row.attributes)
    kept[attribute] = {**kept.get(attribute, {}), "value": value}
    row.attributes = kept
    session.flush()


@next_step
def _keep_changed_attribute(session: Session, outcome: Outcome) -> None:
    """What a station has taken for another attribute than the actual value is known without asking again."""
    attribute = outcome.request.get("attribute")
    taken = outcome.answer.facts.get("result") == "accepted"
    if outcome.name is CommandName.CHANGE_CONFIGURATION and attribute and taken:
        keep_attribute(
            session,
            charge_point_id=outcome.charge_point_id,
            key=str(outcome.request["key"]),
            attribute=str(attribute),
            value=str(outcome.request["value"]),
        )


# --- what may be set


class BadVariableValue(ValueError):
    """The variable cannot have this value; the message says what it takes."""


def check_variable_value(variable: DeviceVariable, value: str) -> str:
    """The value as the station takes it. Raises BadVariableValue by data type, limits and the list of values."""
    value = value.strip()
    kind = variable.data_type or "string"
    if kind in ("decimal", "integer"):
        return _checked_number(variable, value, whole=kind == "integer")
    if kind == "boolean":
        if value.lower() not in ("true", "false"):
            raise BadVariableValue(f"{variable.key} takes true or false.")
        return value.lower()
    choices = [each.strip() for each in (variable.allowed_values or "").split(",") if each.strip()]
    if choices and kind == "OptionList" and value not in choices:
        raise BadVariableValue(f"{variable.key} takes one of: {', '.join(choices)}.")
    if choices and kind in ("MemberList", "SequenceList"):
        unknown = [each for each in map(str.strip, value.split(",")) if each and each not in choices]
        if unknown:
            raise BadVariableValue(f"{variable.key} takes any of: {', '.join(choices)}; not {unknown[0]}.")
    if kind == "string" and variable.maximum is not None and len(value) > variable.maximum:
        raise BadVariableValue(f"{variable.key} takes at most {int(variable.maximum)} characters.")
    return value


def _checked_number(variable: DeviceVariable, value: str, *, whole: bool) -> str:
    try:
        number = Decimal(value)
    except ArithmeticError:
        number = None
    if number is None or not number.is_finite() or (whole and number != number.to_integral_value()):
        raise BadVariableValue(f"{variable.key} takes a {'whole ' if whole else ''}number.")
    unit = f" {variable.unit}" if variable.unit else ""
    if variable.minimum is not None and number < variable.minimum:
        raise BadVariableValue(f"{variable.key} takes at least {variable.minimum.normalize():f}{unit}.")
    if variable.maximum is not None and number > variable.maximum:
        raise BadVariableValue(f"{variable.key} takes at most {variable.maximum.normalize():f}{unit}.")
    return value


def is_settable(variable: DeviceVariable, attribute: str = "actual") -> bool:
    """Whether the station lets an attribute be set at all."""
    known = variable.attributes.get(attribute)
    return known is not None and known.get("mutability") != "read_only" and not known.get("constant")


# --- what is shown


@dataclass(frozen=True, slots=True)
class Leaf:
    """A variable of the tree: its value with what was asked of it, its description, the monitors on it."""

    line: ConfigurationLine
    variable: DeviceVariable
    monitors: Sequence[DeviceMonitor]

    @property
    def limits(self) -> str:
        """What a number may be: "0 to 32 A"; empty without limits."""
        low, high = self.variable.minimum, self.variable.maximum
        unit = f" {self.variable.unit}" if self.variable.unit else ""
        if low is not None and high is not None:
            return f"{low.normalize():f} to {high.normalize():f}{unit}"
        if low is not None:
            return f"at least {low.normalize():f}{unit}"
        return f"at most {high.normalize():f}{unit}" if high is not None else ""

    @property
    def changeable(self) -> bool:
        """Whether any attribute of it can be set."""
        settable = any(is_settable(self.variable, each) for each in self.variable.attributes)
        return self.line.changeable and (settable or not self.variable.attributes)


@dataclass(frozen=True, slots=True)
class Branch:
    """A component with its variables. ``network_id`` None: of the charge point itself."""

    component: str
    instance: str | None
    network_id: int | None
    connector_number: int | None
    leaves: Sequence[Leaf]


def has_model(session: Session, *, charge_point_id: int) -> bool:
    """Whether the station has described its variables."""
    found = select(DeviceVariable.key).where(DeviceVariable.charge_point_id == charge_point_id).limit(1)
    return session.scalar(found) is not None


def variable(session: Session, *, charge_point_id: int, key: str) -> DeviceVariable | None:
    """What a station says about a variable; None where it has said nothing."""
    return session.get(DeviceVariable, (charge_point_id, key))


def tree(session: Session, *, charge_point_id: int, search: str = "") -> list[Branch]:
    """Components in alphabetical order, the charge point's own before those of its EVSEs. Three queries.

    ``search`` keeps the variables whose name, value, unit or component contains it.
    """
    rows = session.scalars(select(DeviceVariable).where(DeviceVariable.charge_point_id == charge_point_id)).all()
    values = {line.row.key: line for line in lines(session, charge_point_id=charge_point_id)}
    on: dict[str, list[DeviceMonitor]] = {}
    for monitor in session.scalars(
        select(DeviceMonitor).where(DeviceMonitor.charge_point_id == charge_point_id).order_by(DeviceMonitor.id)
    ):
        on.setdefault(monitor.key, []).append(monitor)
    wanted = search.strip().lower()
    leaves = [
        Leaf(values[row.key], row, on.get(row.key, ()))
        for row in rows
        if row.key in values and wanted in f"{row.key}\n{values[row.key].row.value or ''}\n{row.unit or ''}".lower()
    ]

    def place(leaf: Leaf) -> tuple[int, int, str, str]:
        row = leaf.variable
        return (row.network_id or 0, row.connector_number or 0, row.component, row.component_instance or "")

    leaves.sort(key=lambda leaf: (place(leaf), leaf.variable.variable, leaf.variable.variable_instance or ""))
    branches = []
    for _, group in groupby(leaves, key=place):
        found = list(group)
        first = found[0].variable
        branches.append(
            Branch(first.component, first.component_instance, first.network_id, first.connector_number, found)
        )
    return branches
