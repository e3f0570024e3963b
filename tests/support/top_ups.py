"""Cards of the Test processor, top-up packages and their payments, for tests of vouchers and top-ups."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.billing import packages
from app.billing.models import PaymentMethod, TopUpPackage, TransactionStatus, Voucher
from app.billing.payments import methods, perform, test_processor
from app.core import settings
from app.crm.models import User

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def card(session: Session, user: User, alias: str = "approve") -> PaymentMethod:
    """A card that behaves as its alias says."""
    return methods.add_method(session, user=user, processor="test", card=test_processor.card_of(alias), now=NOW)


def package(session: Session, price: str = "50", bonus: str = "2", **values: Any) -> TopUpPackage:
    """A package, last in the list."""
    made = TopUpPackage(
        price=Decimal(price),
        bonus=Decimal(bonus),
        **{"currency": "EUR", "enabled": True, "position": packages.next_position(session), **values},
    )
    session.add(made)
    session.flush()
    return made


def set_up(session: Session, **values: Any) -> None:
    """Settings of User billing: ``set_up(session, auto_top_up_enabled=True)``."""
    for name, value in values.items():
        settings.change_setting(session, key=f"billing.{name}", value=value, actor=None)


def transactor(engine: Engine) -> Callable[[], AbstractContextManager[Session]]:
    """Database transactions beside the test's own session."""

    @contextmanager
    def transact() -> Iterator[Session]:
        with Session(engine) as own:
            yield own
            own.commit()

    return transact


def pay(engine: Engine, voucher: Voucher, now: datetime = NOW) -> TransactionStatus:
    """Let the processor be asked about a top-up that is committed."""
    assert voucher.transaction_id is not None
    return perform.perform(transactor(engine), transaction_id=voucher.transaction_id, clock=lambda: now)
