"""What each permission is called and what it lets somebody do, by page: for the table of a role."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

from flask import current_app

from admin_views import formats
from admin_views.widgets.access import VERBS
from app.core.permissions import Permission

#: the sections as the menu calls them, in its order
SECTIONS = {
    "dashboard": "Dashboard",
    "assets": "Assets",
    "tariffs": "Tariffs & Vouchers",
    "activity": "Activity",
    "payments": "Payments",
    "crm": "CRM",
    "analytics": "Analytics",
    "content": "Content",
    "configuration": "Configuration",
}
#: pages whose permissions no page of the menu carries
RESOURCES = {
    "dashboard.home": "Dashboard",
    "assets.quirk": "Quirk Book",
    "configuration.mail": "Outbox",
    "configuration.setting": "Settings",
}
USUAL = {
    "view": "See the list and each record",
    "create": "Make new ones",
    "edit": "Change them, and run their actions",
    "delete": "Delete them",
    "export": "Download the list as CSV",
}
#: verb, or whole permission → label, what it lets somebody do
OTHER = {
    "command": ("Send commands", "Reset, unlock, start, configure: whatever asks a station to do something"),
    "import": ("Import", "Make and change many at once from a CSV"),
    "raw_command": ("Raw commands", "Send any OCPP call that the station knows, on screen and by the API"),
    "secrets": ("Network passwords", "Set and see the passwords and certificates of stations"),
    "stop": ("Stop sessions", "Stop a running charging session"),
    "assign_user": ("Assign user", "Say afterwards who charged; the session is priced anew"),
    "change_tariff": ("Change tariff", "Price a session anew by another tariff"),
    "credit": ("Give credit", "Give money back for a session"),
    "refund": ("Refund", "Give back what was charged to a payment method"),
    "retry": ("Retry payments", "Ask for an outstanding amount again, or write it off"),
    "change_status": ("Change status", "Block a user, or let them charge again"),
    "add_balance": ("Add balance", "Add to a user’s balance or take from it"),
    "payment_methods": ("Payment methods", "Add a payment method for a user, or remove one"),
    "send": ("Send receipts", "Send a receipt to the driver again"),
    "configuration.admin.edit": ("Edit", "Change accounts, roles they have, passwords, second steps and sessions"),
    "configuration.admin.view": ("View", "See who has access to this back office"),
    "configuration.role.edit": ("Edit", "Change what a role may do, as far as one may do it oneself"),
    "configuration.setting.edit": ("Edit", "Change the settings, also of mail and payment processors"),
    "configuration.integration.edit": ("Edit", "Enter keys of other services, and test them"),
    "configuration.audit.view": ("View", "See who changed what, signed in, and downloaded lists"),
    "configuration.mail.edit": ("Edit", "Send mails again, cancel them, send a test mail"),
    "dashboard.home.view": ("View", "See the dashboard’s figures and faults"),
}


@dataclass(frozen=True)
class Words:
    """What a permission is called in the table, and what it lets somebody do."""

    page: str
    label: str
    help: str


@dataclass(frozen=True)
class ResourceRow:
    """One line of the table: a page, its five usual verbs (None where there is no such permission) and its own."""

    resource: str
    label: str
    usual: tuple[Permission | None, ...]
    other: tuple[Permission, ...]


def page_of(resource: str) -> str:
    """What the menu calls the page of a "section.resource"."""
    if resource in RESOURCES:
        return RESOURCES[resource]
    name = resource.rpartition(".")[2]
    pages = [view for view in current_app.extensions["admin"][0]._views if getattr(view, "resource", "") == resource]
    # several pages may ask for the same permission: the one that is called like it comes first
    pages.sort(key=lambda view: view.endpoint != name)
    if pages:
        return str(getattr(pages[0], "plural", "") or getattr(pages[0], "title", "") or pages[0].name)
    return _plural(name)


@lru_cache(maxsize=200)
def _plural(resource: str) -> str:
    words = formats.words(resource)
    if words.endswith("y"):
        return f"{words[:-1]}ies"
    return words if words.endswith("s") else f"{words}s"


def words_of(permission: Permission) -> Words:
    """The words of one permission. Raises KeyError for a verb that nobody has put into words."""
    resource, _, verb = permission.value.rpartition(".")
    label, said = OTHER.get(permission.value) or OTHER.get(verb) or (verb.capitalize(), USUAL[verb])
    return Words(page_of(resource), label, said)


def permission_table(offered: Collection[Permission] | None = None) -> list[tuple[str, list[ResourceRow]]]:
    """Section by section in the menu's order, resource × verb; of those ``offered``, or of all."""
    by_section: dict[str, dict[str, dict[str, Permission]]] = {section: {} for section in SECTIONS}
    for permission in Permission:
        if offered is None or permission in offered:
            resource, _, verb = permission.value.rpartition(".")
            by_section.setdefault(permission.section, {}).setdefault(resource, {})[verb] = permission
    return [
        (
            SECTIONS.get(section, formats.words(section)),
            [
                ResourceRow(
                    resource,
                    page_of(resource),
                    tuple(verbs.get(verb) for verb in VERBS),
                    tuple(permission for verb, permission in verbs.items() if verb not in VERBS),
                )
                for resource, verbs in resources.items()
            ],
        )
        for section, resources in by_section.items()
        if resources
    ]
