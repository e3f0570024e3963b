"""Whether mail and text messages reach a driver. Manual, "User profile fields", 4 (Requires Verification).

An e-mail address is verified by a link that works once, a phone number by a code of six digits. Either is kept as a
hash, holds for a time, and counts only for the address or number it was sent to. A later one takes the place of those
before it. Nothing here asks whether a user may charge.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, joinedload

from app.core.audit import record_change
from app.core.models import Action, Admin
from app.core.types import LabelledEnum
from app.crm import verbs
from app.crm.models import User, UserVerification, VerificationKind

LINK_HOLDS = timedelta(hours=48)
CODE_HOLDS = timedelta(minutes=10)
DIGITS = 6
#: a wrong code more often than this, and another one has to be sent
MAX_ATTEMPTS = 5
#: more questions than this are not sent to one user within an hour
PER_HOUR = 5
VERIFY = "Verify"
MARK_VERIFIED = "Mark as Verified"
_LONGEST_TOKEN = 100


class NothingToVerify(ValueError):
    """There is no address or number, or it is verified already, or the user's data was erased."""


class TooManyQuestions(ValueError):
    """So many were sent within the last hour that another one would be a nuisance."""


class VerificationOver(ValueError):
    """The link or code was used, its time is over, another took its place, or it never was one."""


class Answer(LabelledEnum):
    """What a code that was entered is."""

    RIGHT = "right", "Verified"
    WRONG = "wrong", "Wrong code"
    OVER = "over", "Not valid any more"


def check_open(user: User, kind: VerificationKind) -> str:
    """The address or number to be verified. Raises NothingToVerify."""
    sent_to = getattr(user, kind.value)
    if user.erased_at is not None:
        raise NothingToVerify("The personal data of this user was erased.")
    if not sent_to:
        raise NothingToVerify(f"{user.full_name} has no phone number.")
    if getattr(user, f"{kind.value}_verified_at") is not None:
        raise NothingToVerify(f"{sent_to} is verified already.")
    return str(sent_to)


def ask_by_mail(session: Session, *, user: User, now: datetime) -> tuple[UserVerification, str]:
    """A link's row and its token, which is stored nowhere; earlier ones hold no more. Flushes.

    Raises NothingToVerify, TooManyQuestions.
    """
    token = secrets.token_urlsafe(32)
    return _ask(session, user, VerificationKind.EMAIL, _digest(token), LINK_HOLDS, now), token


def ask_by_sms(session: Session, *, user: User, secret_key: str, now: datetime) -> tuple[UserVerification, str]:
    """A code's row and the code; earlier ones hold no more. Flushes. Raises NothingToVerify, TooManyQuestions."""
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
    hashed = _code_digest(user.id, code, secret_key)
    return _ask(session, user, VerificationKind.PHONE, hashed, CODE_HOLDS, now), code


def _ask(
    session: Session, user: User, kind: VerificationKind, hashed: str, holds: timedelta, now: datetime
) -> UserVerification:
    session.refresh(user, with_for_update={"key_share": True})  # two at once would both count the same
    sent_to = check_open(user, kind)
    mine = (UserVerification.user_id == user.id, UserVerification.kind == kind)
    lately = select(func.count()).where(*mine, UserVerification.created_at > now - timedelta(hours=1))
    if (session.scalar(lately) or 0) >= PER_HOUR:
        raise TooManyQuestions(f"{PER_HOUR} were sent to {sent_to} within the last hour. Try again later.")
    withdraw(session, user=user, kind=kind, now=now)
    row = UserVerification(
        user_id=user.id, kind=kind, sent_to=sent_to, secret_hash=hashed, created_at=now, expires_at=now + holds
    )
    session.add(row)
    session.flush()
    return row


def withdraw(session: Session, *, user: User, kind: VerificationKind, now: datetime) -> None:
    """Let links or codes that are on their way hold no more."""
    session.execute(
        update(UserVerification)
        .where(
            UserVerification.user_id == user.id,
            UserVerification.kind == kind,
            UserVerification.used_at.is_(None),
            UserVerification.replaced_at.is_(None),
        )
        .values(replaced_at=now)
    )


def open_question(
    session: Session, *, user: User, kind: VerificationKind, now: datetime, lock: bool = False
) -> UserVerification | None:
    """The link or code that is on its way to a user's present address or number and still holds."""
    query = (
        select(UserVerification)
        .where(
            UserVerification.user_id == user.id,
            UserVerification.kind == kind,
            UserVerification.sent_to == getattr(user, kind.value),
            UserVerification.used_at.is_(None),
            UserVerification.replaced_at.is_(None),
            UserVerification.expires_at > now,
            UserVerification.attempts < MAX_ATTEMPTS,
        )
        .order_by(UserVerification.id.desc())
        .limit(1)
        .execution_options(populate_existing=True)
    )
    return session.scalars(query.with_for_update() if lock else query).one_or_none()


def find_link(session: Session, *, token: str, now: datetime) -> UserVerification:
    """The row of a link that can be used, with its user. Looking uses nothing: mail servers look at links too.

    Raises VerificationOver.
    """
    row = None
    if 0 < len(token) <= _LONGEST_TOKEN:
        row = session.scalars(
            select(UserVerification)
            .where(UserVerification.secret_hash == _digest(token), UserVerification.kind == VerificationKind.EMAIL)
            .options(joinedload(UserVerification.user))
            .execution_options(populate_existing=True)
        ).one_or_none()
    if row is None or row.used_at or row.replaced_at or row.expires_at <= now or row.sent_to != row.user.email:
        raise VerificationOver("This link holds no more.")
    return row


def use_link(session: Session, *, token: str, now: datetime) -> User:
    """Mark the address that a link was sent to as verified; flushes. Raises VerificationOver, also for a second use."""
    row = find_link(session, token=token, now=now)
    session.refresh(row.user, with_for_update={"key_share": True})
    if row.sent_to != row.user.email or not _use(session, row, now):
        raise VerificationOver("This link holds no more.")
    _verified(session, row.user, VerificationKind.EMAIL, "By the link that was sent to it", None, VERIFY, now)
    return row.user


def try_code(
    session: Session, *, user: User, code: str, secret_key: str, reason: str, actor: Admin | None, now: datetime
) -> tuple[Answer, Action | None]:
    """Verify the phone number by the code that was sent to it; flushes. The Action is of the one that was right.

    Every attempt is counted, so the caller commits also after a wrong one: no error is raised for it.
    Raises ReasonRequired.
    """
    row = open_question(session, user=user, kind=VerificationKind.PHONE, now=now, lock=True)
    if row is None:
        return Answer.OVER, None
    row.attempts += 1
    session.flush()
    digits = "".join(char for char in code if char.isdigit())
    if not hmac.compare_digest(_code_digest(user.id, digits, secret_key), row.secret_hash):
        return (Answer.WRONG if row.attempts < MAX_ATTEMPTS else Answer.OVER), None
    if not _use(session, row, now):
        return Answer.OVER, None
    return Answer.RIGHT, _verified(session, user, VerificationKind.PHONE, reason, actor, VERIFY, now)


def mark_verified(
    session: Session, *, user: User, kind: VerificationKind, reason: str, actor: Admin | None, now: datetime
) -> Action:
    """Take an address or number as verified on somebody's word; flushes. Raises NothingToVerify, ReasonRequired."""
    session.refresh(user, with_for_update={"key_share": True})
    check_open(user, kind)
    withdraw(session, user=user, kind=kind, now=now)
    return _verified(session, user, kind, reason, actor, MARK_VERIFIED, now)


def _use(session: Session, row: UserVerification, now: datetime) -> bool:
    """Of two at the same time one is refused: the row decides."""
    used = session.execute(
        update(UserVerification)
        .where(
            UserVerification.id == row.id,
            UserVerification.used_at.is_(None),
            UserVerification.replaced_at.is_(None),
            UserVerification.expires_at > now,
        )
        .values(used_at=now)
        .returning(UserVerification.id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    return used is not None


def _verified(
    session: Session, user: User, kind: VerificationKind, reason: str, actor: Admin | None, name: str, now: datetime
) -> Action:
    attribute = f"{kind.value}_verified_at"
    info = f"{kind.label} {getattr(user, kind.value)}"
    action = verbs.log_action(session, name, user, user.email, info, reason, actor, now)
    record_change(
        session, actor=actor, event="change", object_type=User.__tablename__, object_id=user.id, label=str(user),
        before={attribute: getattr(user, attribute)}, after={attribute: now},
    )  # fmt: skip
    setattr(user, attribute, now)
    session.flush()
    return action


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _code_digest(user_id: int, code: str, secret_key: str) -> str:
    """Keyed: a million codes are soon tried by whoever has a copy of the database only."""
    return hmac.new(secret_key.encode(), f"phone:{user_id}:{code}".encode(), hashlib.sha256).hexdigest()
