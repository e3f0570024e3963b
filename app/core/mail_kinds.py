"""The mails the product sends, as data: what each is for, who gets it, which placeholders it has."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.core.mail_parts import Block, Value, bullets, facts


class Audience(StrEnum):
    """Who gets a mail, and so in which language."""

    DRIVER = "driver"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Placeholder:
    """Something of the moment in a mail; ``example`` stands in previews."""

    name: str
    about: str
    example: Value
    link: bool = False


@dataclass(frozen=True, slots=True)
class MailKind:
    """One mail of the product. Its own words are ``templates/mail/words/<name>.<language>.txt``."""

    name: str
    title: str
    about: str
    audience: Audience
    placeholders: tuple[Placeholder, ...]

    @property
    def all_placeholders(self) -> tuple[Placeholder, ...]:
        """With those that every mail has."""
        return (*self.placeholders, COMPANY)

    @property
    def known(self) -> dict[str, str]:
        """Placeholders and what they are."""
        return {each.name: each.about for each in self.all_placeholders}

    @property
    def blocks(self) -> frozenset[str]:
        """Placeholders of several lines."""
        return frozenset(each.name for each in self.all_placeholders if isinstance(each.example, Block))

    @property
    def links(self) -> frozenset[str]:
        """Placeholders that are addresses."""
        return frozenset(each.name for each in self.all_placeholders if each.link)

    @property
    def examples(self) -> dict[str, Value]:
        """Values for a preview."""
        return {each.name: each.example for each in self.all_placeholders}


COMPANY = Placeholder("company", "The company's name (Settings > General)", "SYNC EV.CHARGE")
_NAME = Placeholder("name", "The user's name", "Alex Petkov")
_METHOD = Placeholder("method", "The payment method", "Visa •••• 4242")
_PACKAGE = Placeholder("package", "The top-up package", "50 EUR")
_PROBLEM = Placeholder("problem", "What the payment processor says", "The card was declined.")
_STATION = Placeholder("station", "The charge point's name", "MODERA 01")
_STATION_LINK = Placeholder("link", "Address of the charge point's page", "https://charge.example/…", link=True)
_FAULTS_LINK = Placeholder("link", "Address of the list of faults", "https://charge.example/…", link=True)
_DETAILS = Placeholder(
    "details",
    "Charge point, place and times, one a line",
    facts(
        [
            ("Charge point", "MODERA 01 (BG-SOF-0001)"),
            ("Where", "Modera Restaurant parking, Sofia"),
            ("Last sign of life", "2026-11-22 12:00:00 UTC"),
        ]
    ),
)
_STATIONS = Placeholder(
    "stations",
    "The charge points, one a line",
    bullets(
        [("", "MODERA 01 (BG-SOF-0001)", ", Modera Restaurant parking: last sign of life 2026-11-22 12:00:00 UTC")]
    ),
)
_RECEIPT = (
    _NAME,
    Placeholder("number", "Its number", "R-2026-000123"),
    Placeholder("issued", "Date of issue", "1 Dec 2026"),
    Placeholder("total", "Amount with VAT", "€48.20"),
    Placeholder("issuer", "The company's legal name (Company Details)", "SYNC EV.CHARGE Ltd."),
    Placeholder("reach", "Phone and e-mail (Company Details)", "+359 2 123 4567 · receipts@charge.example"),
)
_FAULT = (
    _STATION,
    Placeholder("where", "“, EVSE …” when it is one EVSE only, else empty", ", EVSE BG*SYN*E0001"),
    Placeholder(
        "details",
        "Charge point, place, fault and times, one a line",
        facts([("Charge point", "MODERA 01 (BG-SOF-0001)"), ("Fault", "Ground failure (GroundFailure)")]),
    ),
    Placeholder(
        "tried", "What was tried, one a line", bullets([("", "12:00:31", "  Soft reset: Accepted")], numbered=True)
    ),
    Placeholder("advice", "What to do next", "Have an electrician check the installation."),
    Placeholder("cooldown", "Minutes in which the same fault is not worked on again", "60"),
    _STATION_LINK,
)

_ALL = (
    MailKind(
        "payment_method", "Invitation to add a payment method",
        "A driver is sent the address at which a card is entered.", Audience.DRIVER,
        (_NAME, Placeholder("link", "Address at which the card is entered; works once", "https://charge.example/…",
                            link=True)),
    ),
    MailKind("receipt", "Receipt", "Brings a receipt as PDF.", Audience.DRIVER, _RECEIPT),
    MailKind("credit_note", "Credit note", "Brings a credit note as PDF.", Audience.DRIVER, _RECEIPT),
    MailKind(
        "auto_top_up_declined", "Auto top-up declined", "A package could not be paid; it is tried again later.",
        Audience.DRIVER,
        (_NAME, _PACKAGE, _METHOD, _PROBLEM, Placeholder("again", "When it is tried again", "2026-11-22 13:00:00 UTC")),
    ),
    MailKind(
        "auto_top_up_ended", "Auto top-up switched off", "A package could not be paid for the third time in a row.",
        Audience.DRIVER, (_NAME, _PACKAGE, _METHOD, _PROBLEM),
    ),
    MailKind(
        "reservation_reminder", "Reservation ends soon", "Settings > Reservations > Remaining time notification.",
        Audience.DRIVER,
        (_NAME, Placeholder("location", "The location's name", "Modera Restaurant parking"),
         Placeholder("evse", "The EVSE's ID", "BG*SYN*E0001"),
         Placeholder("until", "End of the reservation, local time", "14:15"),
         Placeholder("minutes", "Minutes that are left", "5")),
    ),
    MailKind("recovered", "Fault cleared", "Auto-recovery has cleared a fault.", Audience.ADMIN, _FAULT),
    MailKind("recovered_again", "Fault keeps coming back", "Auto-recovery has cleared a fault that returns.",
             Audience.ADMIN, _FAULT),
    MailKind("not_recovered", "Fault not cleared", "Auto-recovery could not clear a fault.", Audience.ADMIN, _FAULT),
    MailKind(
        "outage", "Connection lost", "A charge point gives no sign of life.", Audience.ADMIN,
        (_STATION, Placeholder("lasted", "For how long", "6 min"), _DETAILS, _STATION_LINK),
    ),
    MailKind(
        "outages", "Connection lost, many at once", "Many charge points fell silent together.", Audience.ADMIN,
        (Placeholder("count", "How many", "12"), Placeholder("since", "Since when", "2026-11-22 12:00:00 UTC"),
         _STATIONS, _FAULTS_LINK),
    ),
    MailKind(
        "back", "Connected again", "A charge point is connected again.", Audience.ADMIN,
        (_STATION, Placeholder("lasted", "How long it was away", "6 min"), _DETAILS, _STATION_LINK),
    ),
    MailKind(
        "many_back", "Connected again, many at once", "Charge points that fell silent together are connected again.",
        Audience.ADMIN,
        (Placeholder("back", "How many are back", "11"), Placeholder("total", "How many were away", "12"),
         Placeholder("still_away", "“Still away” when some are, else empty", "Still away:"), _STATIONS,
         Placeholder("advice", "What to do about those, or empty",
                     "These are probably away for reasons of their own."), _FAULTS_LINK),
    ),
    MailKind(
        "test", "Test mail", "Sent by “Send a test mail”.", Audience.ADMIN,
        (Placeholder("name", "The admin's name", "Olga Operator"),
         Placeholder("asked_at", "When it was asked for", "2026-11-22 12:00:00 UTC")),
    ),
)  # fmt: skip

KINDS: dict[str, MailKind] = {kind.name: kind for kind in _ALL}
