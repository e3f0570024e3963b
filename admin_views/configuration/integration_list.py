"""The integrations there are, and how each is tried: a new one is an entry here."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import requests
from sqlalchemy.orm import Session

from admin_views.widgets.threads import beside
from admin_views.widgets.tiles import default_centre
from app.assets import geocoding, what3words
from app.billing.payments import processors
from app.billing.payments.checks import check_processor
from app.billing.payments.processors import ProcessorMisconfigured, UnknownProcessor
from app.billing.receipts.example import example_document
from app.billing.receipts.typesetting import typeset
from app.core import mail_texts, mail_words, outbox, settings, sms, smtp, vault
from app.core.clock import utcnow
from app.core.db import separate_transaction
from app.core.integrations import Ask, Integration, IntegrationFailed, NotSetUp
from app.core.models import Admin, Mail
from app.core.setting_kinds import Definition

TIMEOUT_S = 10.0
MAX_TILE_BYTES = 2_000_000


# --- mail


def _mail_missing(session: Session) -> str:
    try:
        smtp.server_from_settings(session)
    except smtp.MailNotSetUp as error:
        return str(error)
    return ""


def _mail(session: Session, admin: Admin) -> Ask:
    try:
        server = smtp.server_from_settings(session)
    except smtp.MailNotSetUp as error:
        raise NotSetUp(str(error)) from None
    now = utcnow()
    values: dict[str, mail_words.Value] = {"name": admin.name, "asked_at": mail_texts.moment(session, now)}
    words = mail_words.compose(session, "test", language=admin.locale, values=values)
    mail = Mail(
        key=f"integration-test:{secrets.token_hex(8)}",
        recipient=admin.email,
        subject=words.subject,
        body=words.body,
        html=words.html,
    )

    def ask() -> str:
        try:
            message = smtp.build_message(mail, server, now=now)
            with smtp.Connection(server) as connection:
                connection.send(message)
        except (outbox.ServerAway, outbox.MessageRefused) as error:
            raise IntegrationFailed(str(error)) from None
        signed_in = ", signed in" if server.username else ""
        return f"Connected{signed_in}; {server.host} took a test mail to {mail.recipient}. See whether it arrives."

    return ask


# --- payment processors


def _processor_missing(name: str) -> Callable[[Session], str]:
    def missing(session: Session) -> str:
        try:
            processors.processor(session, name)
        except (ProcessorMisconfigured, UnknownProcessor) as error:
            return str(error)
        return ""

    return missing


def _processor(name: str) -> Callable[[Session, Admin], Ask]:
    def prepare(session: Session, admin: Admin) -> Ask:
        def ask() -> str:
            outcome = check_processor(separate_transaction, name=name)
            if not outcome.works:
                raise IntegrationFailed(outcome.words)
            return outcome.words

        return ask

    return prepare


# --- SMS


def _sms_missing(name: str) -> Callable[[Session], str]:
    def missing(session: Session) -> str:
        try:
            sms.processor(session, name)
        except sms.SmsNotSetUp as error:
            return str(error)
        return ""

    return missing


def _sms(name: str) -> Callable[[Session, Admin], Ask]:
    def prepare(session: Session, admin: Admin) -> Ask:
        try:
            chosen = sms.processor(session, name)
        except sms.SmsNotSetUp as error:
            raise NotSetUp(str(error)) from None

        def ask() -> str:
            try:
                return chosen.check()
            except (outbox.ServerAway, outbox.MessageRefused) as error:
                raise IntegrationFailed(str(error)) from None

        return ask

    return prepare


# --- places and maps


def _geocoder_missing(session: Session) -> str:
    try:
        return "" if geocoding.geocoder(session) else "The geocoder is off in Settings."
    except geocoding.GeocodingFailed as error:
        return str(error)


def _geocoder(session: Session, admin: Admin) -> Ask:
    try:
        found = geocoding.geocoder(session)
    except geocoding.GeocodingFailed as error:
        raise NotSetUp(str(error)) from None
    if found is None:
        raise NotSetUp("The geocoder is off in Settings.")
    geocoder, (latitude, longitude), language = found, default_centre(session), admin.locale

    def ask() -> str:
        try:
            place = geocoder.reverse(latitude, longitude, language=language)
        except geocoding.GeocodingFailed as error:
            raise IntegrationFailed(str(error)) from None
        if place is None:
            return f"It answers, and knows no address at the default location ({latitude:g}, {longitude:g})."
        return f"The default location is at: {place.label}"

    return ask


def _what3words_key(session: Session) -> str:
    try:
        key = settings.get_secret(session, what3words.KEY)
    except vault.VaultLocked:
        raise NotSetUp("The API key was stored under another SECRET_KEY: enter it again in Settings.") from None
    if not key:
        raise NotSetUp("No API key is set.")
    return key


def _what3words_missing(session: Session) -> str:
    try:
        _what3words_key(session)
    except NotSetUp as error:
        return str(error)
    return ""


def _what3words(session: Session, admin: Admin) -> Ask:
    key, (latitude, longitude) = _what3words_key(session), default_centre(session)

    def ask() -> str:
        try:
            return f"The default location is ///{what3words.words_by(key, latitude=latitude, longitude=longitude)}."
        except what3words.What3wordsFailed as error:
            raise IntegrationFailed(str(error)) from None

    return ask


def _tiles_missing(session: Session) -> str:
    url = settings.get_text(session, "map.tile_url")
    if not url:
        return "No tile server is set: maps draw the built-in outline of countries."
    if not url.startswith(("https://", "http://")) or not all(part in url for part in ("{z}", "{x}", "{y}")):
        return "The address has to begin with https:// and hold {z}, {x} and {y}."
    return ""


def _tiles(session: Session, admin: Admin) -> Ask:
    missing, url = _tiles_missing(session), settings.get_text(session, "map.tile_url")
    if missing:
        raise NotSetUp(missing)
    address = url.replace("{s}", "a").replace("{r}", "")
    for name in ("{z}", "{x}", "{y}"):
        address = address.replace(name, "0")
    agent = {"User-Agent": geocoding.USER_AGENT}

    def ask() -> str:
        try:
            with requests.get(address, headers=agent, timeout=TIMEOUT_S, stream=True) as answer:
                kind = answer.headers.get("Content-Type", "").partition(";")[0]
                size = sum(len(part) for part in _at_most(answer, MAX_TILE_BYTES))
        except requests.RequestException:
            raise IntegrationFailed("The tile server cannot be reached, or does not answer.") from None
        if answer.status_code != requests.codes.ok:
            raise IntegrationFailed(f"The tile server answers {answer.status_code} {answer.reason}.")
        if not kind.startswith("image/"):
            raise IntegrationFailed(f"The tile server answers with no picture but with {kind or 'nothing'}.")
        return f"A tile of the whole world came: {kind}, {size:,} bytes."

    return ask


def _at_most(answer: requests.Response, limit: int) -> list[bytes]:
    parts, size = [], 0
    for part in answer.iter_content(64 * 1024):
        parts.append(part)
        size += len(part)
        if size > limit:
            raise IntegrationFailed(f"The tile server sends more than {limit:,} bytes for a tile.")
    return parts


def _receipts(session: Session, admin: Admin) -> Ask:
    document = example_document(session)
    return lambda: f"An example receipt was made: {len(beside(typeset, document)):,} bytes of PDF."


def _nothing_missing(session: Session) -> str:
    return ""


INTEGRATIONS: tuple[Integration, ...] = (
    Integration(
        "smtp", "E-mail (SMTP)", "mail", "Sends the system’s mails.",
        ("mail.host", "mail.port", "mail.security", "mail.username", "mail.password", "mail.sender"),
        _mail_missing, _mail, tries="Connects, signs in, and sends a test mail to you.",
    ),
    Integration(
        "stripe", "Stripe", "brand-stripe", "Payment processor: keeps and charges drivers’ cards.",
        ("stripe.publishable_key", "stripe.secret_key", "stripe.webhook_secret"),
        _processor_missing("stripe"), _processor("stripe"), ("payment.processor", "stripe"),
        "Asks Stripe for the account; no money moves.",
    ),
    Integration(
        "payment_test", "Test processor", "credit-card", "Payment processor for trying things out: no money moves.",
        (), _processor_missing("test"), _processor("test"), ("payment.processor", "test"), "Asks whether it is there.",
    ),
    Integration(
        "twilio", "Twilio", "device-mobile", "SMS processor: sends codes to drivers’ phones.",
        ("twilio.account_sid", "twilio.auth_token", "twilio.sender"),
        _sms_missing(sms.TWILIO), _sms(sms.TWILIO), ("sms.processor", sms.TWILIO),
        "Asks Twilio for the account; no message is sent.",
    ),
    Integration(
        "sms_log", "SMS log", "message", "SMS processor for testing: messages go to the log, to no phone.",
        (), _sms_missing(sms.LOG), _sms(sms.LOG), ("sms.processor", sms.LOG), "Says where messages go.",
    ),
    Integration(
        "receipts", "Built-in receipts", "receipt", "Invoices processor: receipts are made here, as PDF.",
        ("receipt.per", "receipt.prefix", "receipt.send_by_email"), _nothing_missing, _receipts,
        ("receipt.processor", "built_in"), "Makes an example receipt.",
    ),
    Integration(
        "geocoder", "Nominatim", "map-pin", "Geocoder: coordinates of an address, and the address of coordinates.",
        ("geocoding.nominatim_url",), _geocoder_missing, _geocoder, ("geocoding.provider", "nominatim"),
        "Looks up the address of the default location.",
    ),
    Integration(
        "what3words", "what3words", "layout-grid", "Three words for a location’s place.", ("geocoding.what3words_key",),
        _what3words_missing, _what3words, None, "Looks up the three words of the default location.",
    ),
    Integration(
        "tiles", "Map tile server", "map-2", "Pictures of maps.", ("map.tile_url",), _tiles_missing, _tiles, None,
        "Fetches one picture.",
    ),
)  # fmt: skip

BY_NAME = {each.name: each for each in INTEGRATIONS}

#: group of settings → the integration that is tried with them
GROUP_TESTS: dict[str, str] = {
    settings.BY_KEY[key].group: name
    for key, name in (
        ("payment.processor", "payment_test"),
        ("stripe.secret_key", "stripe"),
        ("mail.host", "smtp"),
        ("sms.processor", "sms_log"),
        ("twilio.account_sid", "twilio"),
        ("receipt.processor", "receipts"),
        ("geocoding.provider", "geocoder"),
        ("map.tile_url", "tiles"),
    )
}

#: settings by which one of several integrations is chosen: value → integration. Manual, "Payment Processor" and others:
#: "The only visible options will be … for which you have created an integration"
CHOSEN_BY: dict[str, dict[str, str]] = {
    "payment.processor": {"stripe": "stripe", "test": "payment_test"},
    "payment.testing_processor": {"stripe": "stripe", "test": "payment_test"},
    "sms.processor": {"twilio": "twilio", "log": "sms_log"},
}


def offered(session: Session, definition: Definition, current: str) -> list[tuple[str, str]]:
    """The choices of a setting that can be made now: those whose integration is set up, and the one made already."""
    needed = CHOSEN_BY.get(definition.key, {})
    return [
        (value, label)
        for value, label in definition.choices
        if value == current or value not in needed or not BY_NAME[needed[value]].missing(session)
    ]
