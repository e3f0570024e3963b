"""A file, applied: in the order in which its parts refer to one another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text as sql_text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.core import settings
from app.core.models import Admin
from app.provisioning.changes import KINDS, Outcome, Work
from app.provisioning.mistakes import Mistakes, ProvisioningError
from app.provisioning.reading import read
from app.provisioning.sites import apply_sites
from app.provisioning.system import apply_system
from app.provisioning.tariffs import apply_tariffs
from app.provisioning.users import apply_user_groups, apply_users

#: one file at a time: two that make the same thing would trip over each other
_LOCK = 0x5359_5056


@dataclass(frozen=True)
class Provisioned:
    """How many of each kind were created, updated, and found as the file wants them."""

    counts: Mapping[str, Counter[Outcome]]

    def lines(self) -> list[str]:
        """One line per kind, in the order of the file's parts."""
        return [
            f"{kind}: " + ", ".join(f"{counted[outcome]} {outcome}" for outcome in Outcome)
            for kind, counted in sorted(self.counts.items(), key=lambda item: KINDS.index(item[0]))
        ]


def provision(session: Session, *, text: str, secret_key: str, actor: Admin | None, now: datetime) -> Provisioned:
    """Bring the system to what a provisioning file says; flushes, the caller commits or rolls back.

    ``secret_key`` keys the stations' password hashes. Raises ProvisioningError with every mistake that could be
    found; then the caller must roll back, and nothing was changed.
    """
    mistakes = Mistakes()
    source = read(text, mistakes)
    work = Work(session=session, mistakes=mistakes, secret_key=secret_key, actor=actor, now=now)
    session.execute(sql_text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    try:
        apply_system(work, source.document)
        work.flush()
        apply_user_groups(work, source)
        apply_tariffs(work, source)
        apply_sites(work, source)
        apply_users(work, source)
    except IntegrityError as error:
        # what no check foresaw, such as a row somebody else has just made: the database refused it
        detail = str(error.orig).strip().splitlines()
        raise ProvisioningError(mistakes or [f"the database refused it: {'; '.join(detail)}"]) from error
    finally:
        # what was read of settings in here may yet be rolled back
        settings.forget()
    if mistakes:
        raise ProvisioningError(mistakes)
    return Provisioned(work.counts)
