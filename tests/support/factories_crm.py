"""Rows for the tests of tariffs, drivers and accounts, and clients that are signed in."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import event, select
from sqlalchemy.orm import Session

from app.billing import ledger
from app.billing.models import LedgerEntryType
from app.core.db import db
from app.core.models import Admin, Role
from app.core.permissions import Permission
from app.crm.models import RfidTag, User, UserGroup
from app.tariffs import groups
from app.tariffs.models import Tariff, TariffGroup, TariffType
from tests.support.factories_dashboard import Visitor, signed_in

#: what the tests of these pages use, beside what is made here
__all__ = [
    "NOW",
    "CountedQueries",
    "Visitor",
    "admin",
    "credited",
    "role",
    "signed_in",
    "tag",
    "tariff",
    "tariff_group",
    "user",
    "user_group",
]

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


def role(session: Session, name: str = "Super User", permissions: Any = None) -> Role:
    """A built-in role, or one of one's own with these permissions."""
    found = session.scalars(select(Role).where(Role.name == name)).one_or_none()
    if found is None:
        names = sorted(Permission(value).value for value in permissions or ())
        found = Role(name=name, built_in=False, permission_names=names)
        session.add(found)
        session.flush()
    return found


def admin(session: Session, name: str = "Olga Operator", role_name: str = "Super User", **values: Any) -> Admin:
    """An admin with an e-mail made from the name."""
    permissions = values.pop("permissions", None)
    email = values.pop("email", f"{name.split()[0].lower()}@operator.example")
    made = Admin(name=name, email=email, role=role(session, role_name, permissions), **values)
    session.add(made)
    session.flush()
    return made


def user(session: Session, email: str = "alex.petkov@example.com", **values: Any) -> User:
    """A driver."""
    values.setdefault("first_name", "Alex")
    values.setdefault("last_name", "Petkov")
    made = User(email=email, **values)
    session.add(made)
    session.flush()
    return made


def user_group(session: Session, name: str = "Fleet", *users: User) -> UserGroup:
    """A user group with these members."""
    made = UserGroup(name=name, users=list(users))
    session.add(made)
    session.flush()
    return made


def tag(session: Session, owner: User, tag_id: str = "04A2B3C4D5", **values: Any) -> RfidTag:
    """A card of a user."""
    made = RfidTag(user=owner, tag_id=tag_id, **values)
    session.add(made)
    session.flush()
    return made


def credited(session: Session, owner: User, amount: str, currency: str = "EUR") -> None:
    """Put money on a user's balance."""
    ledger.credit(
        session,
        user_id=owner.id,
        amount=Decimal(amount),
        currency=currency,
        type=LedgerEntryType.TOP_UP,
        reference=f"test:{owner.id}:{currency}:{amount}",
        now=NOW,
    )


def tariff(session: Session, name: str = "AC, standard", **values: Any) -> Tariff:
    """A tariff of €0.20/min and €0.20/kWh unless told otherwise."""
    if "type" not in values:
        values.update(type=TariffType.DURATION_ENERGY, price_per_minute=Decimal("0.20"), price_per_kwh=Decimal("0.20"))
    made = Tariff(name=name, **values)
    session.add(made)
    session.flush()
    return made


def tariff_group(session: Session, name: str = "AC Charging", *attached: Tariff) -> TariffGroup:
    """A tariff group with these tariffs below its base tariff."""
    made = groups.create_group(session, name=name, actor=None)
    for item in attached:
        groups.attach_tariff(session, group=made, tariff=item, actor=None)
    return made


class CountedQueries:
    """Counts the statements sent to the database: ``with CountedQueries() as counted: …``."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def _note(self, connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        self.statements.append(statement)

    def __enter__(self) -> CountedQueries:
        event.listen(db.engine, "before_cursor_execute", self._note)
        return self

    def __exit__(self, *failure: Any) -> None:
        event.remove(db.engine, "before_cursor_execute", self._note)

    @property
    def count(self) -> int:
        """How many statements there were."""
        return len(self.statements)
