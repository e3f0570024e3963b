"""SMS: a message is a row in the transaction that gives rise to it; a job hands it to the processor of Settings.

Manual, "SMS Processor". The numbers are those of ITU-T E.164: +, country code, at most 15 digits.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.core import outbox, settings, vault
from app.core.delivery import BUDGET_S, Delivery, Transaction
from app.core.messages import SmsMessage
from app.core.setting_kinds import InvalidSetting

log = structlog.get_logger(__name__)

PROCESSOR = "sms.processor"
NONE, LOG, TWILIO = "none", "log", "twilio"
#: ten parts of an SMS; Twilio takes no longer text (its error 21617)
MAX_TEXT = 1600
#: what nobody took for so long is not sent any more: the codes in it are no good
OUTDATED_AFTER = timedelta(hours=24)

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_BETWEEN_DIGITS = re.compile(r"[\s().\-/\u00a0\u2010-\u2013]")
_ACCOUNT = re.compile(r"AC[0-9a-fA-F]{32}")
_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")
#: an alphanumeric sender: up to 11 characters, at least one a letter
_SENDER_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}")


class NotAPhoneNumber(ValueError):
    """What was entered is no number that an SMS can be sent to; the message says what would be."""


class SmsNotSetUp(Exception):
    """No SMS can be sent as Settings stand; the message says what is missing. Messages wait."""


def e164(number: str) -> str:
    """A number as it is dialled from anywhere: "+359 88 812-3456" → "+359888123456". Raises NotAPhoneNumber."""
    digits = _BETWEEN_DIGITS.sub("", number.strip())
    if digits.startswith("00"):
        digits = "+" + digits[2:]
    if not digits:
        raise NotAPhoneNumber("Enter a phone number with its country code, such as +359888123456.")
    if not digits.startswith("+"):
        raise NotAPhoneNumber(
            f"“{number.strip()[:40]}” does not say its country: begin with + and the country code, as in +359888123456."
        )
    if not _E164.fullmatch(digits):
        raise NotAPhoneNumber(
            f"“{number.strip()[:40]}” is not a phone number: + and 7 to 15 digits are expected, as in +359888123456."
        )
    return digits


def queue_sms(
    session: Session, *, recipient: str, text: str, key: str, now: datetime, confidential: bool = True
) -> SmsMessage | None:
    """Write an SMS to the outbox; None when one of this key is there for this recipient already. Flushes.

    ``key`` is what it is about (``phone-code:17:3``), at most 120 characters. ``confidential``: it holds a code, which
    the back office hides from those who may not send it again.
    Raises NotAPhoneNumber, and ValueError for an empty text or one of over MAX_TEXT characters.
    """
    text = text.replace("\0", "").strip()
    if not 0 < len(text) <= MAX_TEXT:
        raise ValueError(f"an SMS of 1 to {MAX_TEXT} characters is expected, not of {len(text)}")
    statement = (
        insert(SmsMessage)
        .values(
            key=key, recipient=e164(recipient), text=text, confidential=confidential, created_at=now,
            next_attempt_at=now,
        )
        .on_conflict_do_nothing(constraint="uq_sms_message_key_recipient")
        .returning(SmsMessage)
    )  # fmt: skip
    return session.scalars(statement).one_or_none()


def masked(text: str) -> str:
    """A text whose codes cannot be read: every run of three or more digits, also with blanks between, is dots."""
    return re.sub(r"\d(?:[ -]?\d){2,}", lambda found: re.sub(r"\d", "•", found.group()), text)


# --- processors


class Processor(Protocol):
    """Who brings SMS to phones."""

    @property
    def name(self) -> str:
        """As Settings name it."""
        ...

    def send(self, *, recipient: str, text: str, number: int) -> str:
        """Hand one in; ``number`` is the row's. Returns the processor's reference.

        Raises outbox.ServerAway, outbox.MessageRefused.
        """
        ...

    def check(self) -> str:
        """Ask whether the settings work, without sending anything; what it says. Raises outbox.ServerAway."""
        ...


@dataclass(frozen=True, slots=True)
class LogProcessor:
    """For testing: each message is written to the application's log, and read on CONFIGURATION > SMS."""

    name: str = LOG

    def send(self, *, recipient: str, text: str, number: int) -> str:
        """As Processor.send: always taken."""
        log.info("sms.logged", number=number, recipient=recipient, text=text)
        return f"log-{number}"

    def check(self) -> str:
        """As Processor.check."""
        return "Messages are written to the application's log and to CONFIGURATION > SMS; no phone gets them."


@dataclass(frozen=True, slots=True)
class TwilioAccount:
    """What Settings > SMS (Twilio) say."""

    account_sid: str
    auth_token: str = field(repr=False)
    #: a number, the SID of a messaging service, or a name of up to 11 characters
    sender: str
    api_base: str


def twilio_account(session: Session) -> TwilioAccount:
    """What is set. Raises SmsNotSetUp with what is missing."""
    account, sender = settings.get_text(session, "twilio.account_sid"), settings.get_text(session, "twilio.sender")
    try:
        token = settings.get_secret(session, "twilio.auth_token")
    except vault.VaultLocked:
        raise SmsNotSetUp(
            "Twilio's auth token was stored under another SECRET_KEY: enter it again in CONFIGURATION > Integrations."
        ) from None
    missing = [
        label for label, value in (("account SID", account), ("auth token", token), ("sender", sender)) if not value
    ]
    if missing:
        named = missing[0] if len(missing) == 1 else f"{', '.join(missing[:-1])} and {missing[-1]}"
        raise SmsNotSetUp(f"Twilio's {named} {'is' if len(missing) == 1 else 'are'} not set.")
    return TwilioAccount(account, token, sender, settings.get_text(session, "twilio.api_base"))


def processor(session: Session, name: str | None = None) -> Processor:
    """The processor of that name, the selected one unless named. Raises SmsNotSetUp."""
    from app.core.sms_twilio import TwilioProcessor  # the SDK takes a second to import: only who uses it waits

    name = name or settings.get_text(session, PROCESSOR)
    if name == LOG:
        return LogProcessor()
    if name == TWILIO:
        return TwilioProcessor(twilio_account(session))
    raise SmsNotSetUp("No SMS processor is selected in Settings > SMS: messages wait for a day until there is one.")


# --- settings


def _account_sid(value: str) -> None:
    if value and not _ACCOUNT.fullmatch(value):
        raise InvalidSetting("an account SID is expected: AC and 32 characters of 0-9 and a-f")


def _sender(value: str) -> None:
    if value and not (_E164.fullmatch(value) or _SERVICE.fullmatch(value) or _SENDER_NAME.fullmatch(value)):
        raise InvalidSetting(
            "a number such as +359888123456, the SID of a messaging service (MG…), or a name of at most 11 letters and "
            "digits is expected"
        )


settings.CHECKS["twilio.account_sid"] = _account_sid
settings.CHECKS["twilio.sender"] = _sender


# --- delivery


class SmsCarrier:
    """Hands SMS to the selected processor."""

    def __init__(self, chosen: Processor) -> None:
        self._processor = chosen

    def load(self, session: Session, message: SmsMessage) -> None:
        """The row has all."""

    def send(self, message: SmsMessage, loaded: None, *, now: datetime) -> dict[str, Any]:
        """As Carrier.send; who took it and under what reference is noted."""
        reference = self._processor.send(recipient=message.recipient, text=message.text, number=message.id)
        return {"processor": self._processor.name, "reference": reference[:120]}

    def close(self) -> None:
        """Each message is a request of its own."""


def send_due(transaction: Transaction, *, clock: Callable[[], datetime], budget_s: float = BUDGET_S) -> int:
    """Send the SMS that are due; what waited for a day is given up. Returns how many the processor took."""
    with transaction() as session:
        outbox.give_up_overdue(
            session,
            SmsMessage,
            due_before=clock() - OUTDATED_AFTER,
            why="It waited for over a day: a code in it would be of no use any more. Resend it if it still matters.",
        )
        try:
            chosen = processor(session)
        except SmsNotSetUp:
            return 0
    return Delivery(SmsMessage, SmsCarrier(chosen), transaction, clock).run(budget_s=budget_s)
