"""The SMS processor Twilio, by its official SDK: Messages of its REST API, 2010-04-01."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from app.core import outbox
from app.core.mail import one_line
from app.core.sms import TWILIO, TwilioAccount

API_BASE = "https://api.twilio.com"
#: for connecting and for the answer
TIMEOUT_S = 15.0

#: Twilio's codes → what an operator can do about it. https://www.twilio.com/docs/api/errors
_WORDS = {
    21211: "Twilio says that this is not a phone number.",
    21214: "Twilio says that this number cannot be reached.",
    21408: "Twilio's account may not send to this country: allow it there under Messaging > Geo permissions.",
    21606: "The sender in CONFIGURATION > Integrations is not a number of this Twilio account for SMS.",
    21608: "A trial account of Twilio sends only to numbers that were verified there.",
    21610: "The driver has told Twilio (STOP) that they want no messages of this sender.",
    21612: "Twilio cannot send from this sender to that number.",
    21614: "Twilio says that this is not a mobile number.",
    21617: "Twilio says that the text is too long.",
    21703: "The messaging service in CONFIGURATION > Integrations has no sender for that number.",
}


class TwilioProcessor:
    """Sends by Twilio. Twilio knows no key to tell a repetition by: a crash between sending and noting sends twice."""

    name = TWILIO

    def __init__(self, account: TwilioAccount) -> None:
        self._account = account
        self._client = Client(
            account.account_sid,
            account.auth_token,
            http_client=_HttpClient(account.api_base or API_BASE),
            # nothing of it is taken from the environment of the process
            environment={"TWILIO_REGION": "", "TWILIO_EDGE": ""},
        )

    def send(self, *, recipient: str, text: str, number: int) -> str:
        """As Processor.send."""
        sender = self._account.sender
        by: dict[str, Any] = {"messaging_service_sid": sender} if sender.startswith("MG") else {"from_": sender}
        message = self._asked(lambda: self._client.messages.create(to=recipient, body=text, **by))
        if message.status == "failed":
            raise outbox.MessageRefused(f"Twilio failed to send it: {one_line(message.error_message or '')}",
                                        permanent=True)  # fmt: skip
        return str(message.sid)

    def check(self) -> str:
        """As Processor.check: the account is asked for."""
        account = self._asked(lambda: self._client.api.v2010.accounts(self._account.account_sid).fetch())
        status = str(getattr(account.status, "value", account.status))
        if status != "active":
            raise outbox.ServerAway(f"Twilio's account “{one_line(account.friendly_name)}” is {status}.")
        kind = " It is a trial account: only verified numbers get messages." if str(account.type) == "Trial" else ""
        return f"Twilio knows us as “{one_line(account.friendly_name)}”; the account is active.{kind}"

    def _asked(self, question: Any) -> Any:
        try:
            return question()
        except TwilioRestException as error:
            raise _judge(error) from error
        except requests.Timeout as error:
            raise outbox.ServerAway("Twilio does not answer.") from error
        except (requests.RequestException, TwilioException, ValueError, KeyError, TypeError) as error:
            # not reached, or something that is no answer of Twilio's (a proxy's page)
            raise outbox.ServerAway(f"Twilio cannot be reached: {one_line(str(error))[:200]}") from error


def _judge(error: TwilioRestException) -> Exception:
    """What a refusal means: of us or for now, or of this message for ever."""
    if error.status in (401, 403) and error.code not in _WORDS:
        return outbox.ServerAway(
            "Twilio refuses account SID and auth token: check them in CONFIGURATION > Integrations."
        )
    if error.status == 404:
        return outbox.ServerAway("Twilio does not know this account SID: check it in CONFIGURATION > Integrations.")
    if error.status == 429:
        return outbox.ServerAway("Twilio is asked too often (429): it is tried again in a minute.")
    if error.status >= 500:
        return outbox.ServerAway(f"Twilio has a failure of its own ({error.status}).")
    code = f" (error {error.code})" if error.code else ""
    told = one_line(str(error.msg)).removeprefix("Unable to create record: ")  # the SDK's words before Twilio's
    said = _WORDS.get(error.code or 0) or f"Twilio refuses it: {told[:300]}"
    return outbox.MessageRefused(f"{said}{code}", permanent=True)


class _HttpClient(TwilioHttpClient):  # type: ignore[misc]  # the SDK is not wholly typed
    """The SDK's own, asking the server of the settings: another than Twilio's in tests only."""

    def __init__(self, base: str) -> None:
        silent = logging.getLogger("twilio.silent")  # what it would log at the level of debugging holds the codes
        silent.disabled = True
        super().__init__(timeout=TIMEOUT_S, logger=silent)
        self._base = urlsplit(base)

    def request(self, method: str, url: str, *arguments: Any, **more: Any) -> Response:
        """As the SDK's, at the server of the settings."""
        parts = urlsplit(url)
        there = parts._replace(scheme=self._base.scheme, netloc=self._base.netloc)
        return super().request(method, urlunsplit(there), *arguments, **more)
