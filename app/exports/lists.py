"""The lists that can be exported, by the names of ``flask export``.

Headers are a contract with other programs: they never change, and columns are only ever added at the end.
"""

from __future__ import annotations

from typing import Any

from app.exports import activity, content, crm, house, money, sites, upkeep
from app.exports.columns import ExportList

LISTS: dict[str, ExportList] = {
    "sessions": activity.SESSIONS,
    "authorizations": activity.AUTHORIZATIONS,
    "reservations": activity.RESERVATIONS,
    "actions": activity.ACTIONS,
    "meter-readings": activity.METER_READINGS,
    "transactions": money.TRANSACTIONS,
    "users": crm.USERS,
    "user-groups": crm.USER_GROUPS,
    "rfid-tags": crm.RFID_TAGS,
    "payment-methods": crm.PAYMENT_METHODS,
    "ledger": crm.LEDGER,
    "receipts": money.RECEIPTS,
    "partners": crm.PARTNERS,
    "charge-points": sites.CHARGE_POINTS,
    "evses": sites.EVSES,
    "charging-zones": sites.CHARGING_ZONES,
    "locations": sites.LOCATIONS,
    "location-images": sites.LOCATION_IMAGES,
    "cp-templates": sites.TEMPLATES,
    "cp-notices": sites.NOTICES,
    "tags": sites.TAGS,
    "unknown-stations": sites.UNKNOWN_STATIONS,
    "station-models": sites.STATION_MODELS,
    "configuration": sites.CONFIGURATION,
    "firmware": upkeep.FIRMWARE,
    "firmware-updates": upkeep.FIRMWARE_UPDATES,
    "diagnostics": upkeep.DIAGNOSTICS,
    "quirks": upkeep.DEVIATIONS,
    "station-certificates": upkeep.CERTIFICATES,
    "security-events": upkeep.SECURITY_EVENTS,
    "hardware-status-logs": upkeep.HARDWARE_STATUS_LOGS,
    "network-status-logs": upkeep.NETWORK_STATUS_LOGS,
    "communication-logs": upkeep.COMMUNICATION_LOGS,
    "stray-messages": upkeep.STRAY_MESSAGES,
    "device-events": upkeep.DEVICE_EVENTS,
    "outages": upkeep.OUTAGES,
    "tariffs": money.TARIFFS,
    "tariff-groups": money.TARIFF_GROUPS,
    "top-up-packages": money.TOP_UP_PACKAGES,
    "vouchers": money.VOUCHERS,
    "terms": content.TERMS,
    "faq": content.FAQ,
    "faq-categories": content.FAQ_CATEGORIES,
    "admins": house.ADMINS,
    "roles": house.ROLES,
    "audit": house.AUDIT,
    "mails": house.MAILS,
    "sms": house.SMS,
    "vat": house.VAT_RATES,
    "currencies": house.CURRENCIES,
}


def of_model(model: type[Any]) -> ExportList | None:
    """The list of a model's rows, if there is one."""
    return next((found for found in LISTS.values() if found.model is model), None)


def offer(name: str, found: ExportList) -> None:
    """Have a page's own list on the command line too; a name that exists keeps its list."""
    if all(known is not found for known in LISTS.values()):
        LISTS.setdefault(name, found)
