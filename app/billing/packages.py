"""Top-up packages: what drivers can buy, in which order. Manual, "Top-Up Packages"."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.billing.models import AutoTopUp, TopUpPackage
from app.core import rates, settings
from app.core.audit import record_change
from app.core.models import Admin

ENABLED = "billing.top_up_packages_enabled"


class PackageNotSold(ValueError):
    """The package cannot be bought; the message says why."""


class PackageInAutoTopUp(ValueError):
    """Drivers have auto top-up with this package: it may be deleted, but not changed."""


def ordered(session: Session) -> list[TopUpPackage]:
    """All packages in the order of the drivers' app."""
    return list(session.scalars(select(TopUpPackage).order_by(TopUpPackage.position, TopUpPackage.id)))


def on_sale(session: Session) -> list[TopUpPackage]:
    """Those that can be bought now, in order."""
    if not settings.get(session, ENABLED):
        return []
    base = settings.get_text(session, rates.BASE_CURRENCY)
    return [package for package in ordered(session) if package.enabled and package.currency == base]


def require_on_sale(session: Session, package: TopUpPackage) -> None:
    """Hold the package as it is until the transaction ends. Raises PackageNotSold unless it can be bought."""
    session.refresh(package, with_for_update={"read": True})
    if not settings.get(session, ENABLED):
        raise PackageNotSold("Top-up packages are switched off in CONFIGURATION > Settings > User billing.")
    if not package.enabled:
        raise PackageNotSold(f"The package {package} is not enabled.")
    base = settings.get_text(session, rates.BASE_CURRENCY)
    if package.currency != base:
        raise PackageNotSold(f"The package {package} is in {package.currency}, balances are in {base}.")


def next_position(session: Session) -> int:
    """The place of a new package: the last."""
    return (session.scalar(select(func.max(TopUpPackage.position))) or 0) + 1


def auto_top_ups(session: Session, package_ids: list[int]) -> dict[int, int]:
    """How many drivers have auto top-up with each of these packages."""
    column = AutoTopUp.package_id
    query = select(column, func.count()).where(column.in_(package_ids)).group_by(column)
    return {row[0]: row[1] for row in session.execute(query)}


def move(session: Session, *, package: TopUpPackage, up: bool, actor: Admin | None) -> None:
    """Change places with the package above or below; at the end of the list nothing happens. Flushes.

    Manual, "Re-ordering Top-Up Packages". All packages are locked, so that two who move at once do not mix them up.
    """
    locking = select(TopUpPackage).order_by(TopUpPackage.id).with_for_update(key_share=True)
    session.scalars(locking.execution_options(populate_existing=True)).all()
    packages = ordered(session)
    place = packages.index(package)
    other = place - 1 if up else place + 1
    if not 0 <= other < len(packages):
        return
    packages[place], packages[other] = packages[other], packages[place]
    for number, each in enumerate(packages, start=1):
        if each.position != number:
            each.position = number
    record_change(
        session,
        actor=actor,
        event="change",
        object_type=TopUpPackage.__tablename__,
        object_id=package.id,
        label=str(package),
        before={"position": place + 1},
        after={"position": other + 1},
    )
    session.flush()
