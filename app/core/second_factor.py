"""The second step of signing in: codes of an authenticator app (TOTP, RFC 6238), and recovery codes for its loss.

The secret is kept encrypted. A code is taken once, within one step of 30 seconds to either side of now. The ten
recovery codes are shown when the second step is set up, stored as hashes, and each is taken once.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime

import pyotp
from flask import current_app
from sqlalchemy import func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.core import settings, vault
from app.core.account_models import SecondFactor
from app.core.audit import record_change
from app.core.models import Admin

STEP_S = 30
DRIFT_STEPS = 1
RECOVERY_CODES = 10
#: without characters that are taken for one another; a code of ten is worth 49 bits
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_RECOVERY_LENGTH = 10


class WrongCode(ValueError):
    """The code does not fit, or has been used."""


class SetUpAlready(ValueError):
    """The second step is set up; it has to be switched off first."""


class NotSetUp(ValueError):
    """There is no second step."""


def find(session: Session, admin_id: int) -> SecondFactor | None:
    """An admin's second step, also one that is not confirmed yet."""
    return session.get(SecondFactor, admin_id, populate_existing=True)


def is_on(session: Session, admin_id: int) -> bool:
    """Whether an admin is asked for a code."""
    row = find(session, admin_id)
    return row is not None and row.confirmed_at is not None


def is_required(session: Session, admin: Admin) -> bool:
    """Whether Settings > Require two-step sign-in for names this admin."""
    wanted = settings.get_text(session, "admin.second_step_for")
    return wanted == "everybody" or (
        wanted == "super_users" and admin.role.built_in and admin.role.name == "Super User"
    )


def begin_set_up(session: Session, *, admin: Admin, now: datetime) -> str:
    """The secret to be put into an authenticator app; the same until it is confirmed. Flushes. Raises SetUpAlready."""
    row = find(session, admin.id)
    if row is not None and row.confirmed_at is not None:
        raise SetUpAlready("Two-step sign-in is set up already.")
    if row is not None:
        try:
            return _secret(row)
        except vault.VaultLocked:
            session.delete(row)
            session.flush()
    secret = pyotp.random_base32()
    kept = vault.lock(secret, current_app.config["SECRET_KEY"])
    session.execute(
        insert(SecondFactor)
        .values(admin_id=admin.id, secret=kept, created_at=now)
        .on_conflict_do_nothing(index_elements=["admin_id"])
    )
    row = find(session, admin.id)  # of whoever was first: two open windows show the same secret
    return _secret(row) if row is not None else secret


def address_for_app(session: Session, *, admin: Admin, secret: str) -> str:
    """What the QR code says: otpauth://totp/…"""
    issuer = settings.get_text(session, "system.company_name") or "SYNC EV.CHARGE"
    return pyotp.TOTP(secret, interval=STEP_S).provisioning_uri(name=admin.email, issuer_name=issuer.replace(":", " "))


def confirm(session: Session, *, admin: Admin, code: str, now: datetime) -> list[str]:
    """Switch the second step on by a code of the app. Flushes. Returns the recovery codes, stored nowhere.

    Raises WrongCode, NotSetUp, SetUpAlready.
    """
    row = find(session, admin.id)
    if row is None:
        raise NotSetUp("Begin again: there is nothing to confirm.")
    if row.confirmed_at is not None:
        raise SetUpAlready("Two-step sign-in is set up already.")
    step = _step_of(_secret(row), code, now)
    if step is None:
        raise WrongCode("This code does not fit. Wait for the next one, and check the clock of your phone.")
    codes, hashes = _new_codes()
    done = session.execute(
        update(SecondFactor)
        .where(SecondFactor.admin_id == admin.id, SecondFactor.confirmed_at.is_(None))
        .values(confirmed_at=now, last_step=step, recovery_hashes=hashes)
        .execution_options(synchronize_session=False)
    )
    if not done.rowcount:  # type: ignore[attr-defined]
        raise SetUpAlready("Two-step sign-in is set up already.")
    _audit(session, admin, admin, "off", "on")
    session.flush()
    return codes


def accept(session: Session, *, admin_id: int, code: str, now: datetime) -> bool:
    """Whether a code of the app or a recovery code is right; it is used up by that. Flushes.

    Of two requests with the same code one is told no: the row decides.
    """
    row = find(session, admin_id)
    if row is None or row.confirmed_at is None:
        return False
    try:
        step = _step_of(_secret(row), code, now)
    except vault.VaultLocked:
        step = None  # only a recovery code helps
    if step is not None:
        taken = session.execute(
            update(SecondFactor)
            .where(
                SecondFactor.admin_id == admin_id,
                SecondFactor.confirmed_at.is_not(None),
                func.coalesce(SecondFactor.last_step, 0) < step,
            )
            .values(last_step=step)
            .execution_options(synchronize_session=False)
        )
        return bool(taken.rowcount)  # type: ignore[attr-defined]
    digest = _recovery_hash(code)
    used = session.execute(
        update(SecondFactor)
        .where(SecondFactor.admin_id == admin_id, SecondFactor.recovery_hashes.any(digest))  # type: ignore[arg-type]
        .values(recovery_hashes=func.array_remove(SecondFactor.recovery_hashes, digest))
        .execution_options(synchronize_session=False)
    )
    return bool(used.rowcount)  # type: ignore[attr-defined]


def renew_recovery_codes(session: Session, *, admin: Admin) -> list[str]:
    """Ten new recovery codes; the old ones hold no more. Flushes. Raises NotSetUp."""
    codes, hashes = _new_codes()
    done = session.execute(
        update(SecondFactor)
        .where(SecondFactor.admin_id == admin.id, SecondFactor.confirmed_at.is_not(None))
        .values(recovery_hashes=hashes)
        .execution_options(synchronize_session=False)
    )
    if not done.rowcount:  # type: ignore[attr-defined]
        raise NotSetUp("Two-step sign-in is off.")
    record_change(
        session, actor=admin, event="change", object_type="admin", object_id=admin.id, label=str(admin),
        before={"recovery_codes": "old"}, after={"recovery_codes": "new"},
    )  # fmt: skip
    return codes


def remove(session: Session, *, admin: Admin, actor: Admin | None) -> None:
    """Switch the second step off. Flushes. Raises NotSetUp."""
    row = find(session, admin.id)
    if row is None or row.confirmed_at is None:
        raise NotSetUp("Two-step sign-in is off.")
    session.delete(row)
    _audit(session, actor, admin, "on", "off")
    session.flush()


def _secret(row: SecondFactor) -> str:
    return vault.unlock(row.secret, current_app.config["SECRET_KEY"])


def _step_of(secret: str, code: str, now: datetime) -> int | None:
    """The step whose code this is, None when it is none's; looked at in the same time whatever is wrong."""
    totp = pyotp.TOTP(secret, interval=STEP_S)
    typed = "".join(code.split()).encode()
    here = int(now.timestamp()) // STEP_S
    fits = [
        step
        for step in range(here - DRIFT_STEPS, here + DRIFT_STEPS + 1)
        if hmac.compare_digest(totp.generate_otp(step).encode(), typed)
    ]
    return fits[-1] if fits else None


def _new_codes() -> tuple[list[str], list[str]]:
    plain = ["".join(secrets.choice(_ALPHABET) for _ in range(_RECOVERY_LENGTH)) for _ in range(RECOVERY_CODES)]
    return [f"{code[:5]}-{code[5:]}" for code in plain], [_recovery_hash(code) for code in plain]


def _recovery_hash(code: str) -> str:
    """Keyed, so that a copy of the database does not give them away to a search."""
    text = "".join(char for char in code.lower() if char.isalnum())
    return hmac.new(f"recovery${current_app.config['SECRET_KEY']}".encode(), text.encode(), hashlib.sha256).hexdigest()


def _audit(session: Session, actor: Admin | None, admin: Admin, before: str, after: str) -> None:
    record_change(
        session, actor=actor, event="change", object_type="admin", object_id=admin.id, label=str(admin),
        before={"two_step_sign_in": before}, after={"two_step_sign_in": after},
    )  # fmt: skip
