"""Who follows up the outcome of commands (``commands.follow_up``) and payments: these modules register themselves."""

from __future__ import annotations

from importlib import import_module

MODULES: tuple[str, ...] = (
    "app.charging.upkeep.configuration",
    "app.charging.upkeep.device_model",
    "app.charging.upkeep.monitors",
    "app.charging.upkeep.displays",
    "app.charging.upkeep.customer_information",
    "app.charging.upkeep.boot_recipe",
    "app.charging.session_status",
    "app.charging.reservations.reservations",
    "app.charging.plans.smart_charging",
    "app.charging.plans.station_limits",
    "app.charging.plans.local_list_sync",
    "app.charging.upkeep.diagnostics",
    "app.charging.upkeep.firmware",
    "app.charging.security.outcomes",
    "app.charging.security.passwords",
    "app.charging.payments.following",
)


def load() -> None:
    """Import them all. Called once by every process."""
    for name in MODULES:
        import_module(name)
