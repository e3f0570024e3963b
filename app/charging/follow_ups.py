"""Who follows up which command's outcome: each module named here registers its functions (``commands.follow_up``)."""

from __future__ import annotations

from importlib import import_module

MODULES: tuple[str, ...] = (
    "app.charging.configuration",
    "app.charging.boot_recipe",
    "app.charging.reservations",
    "app.charging.smart_charging",
    "app.charging.local_list_sync",
    "app.charging.diagnostics",
    "app.charging.firmware",
    "app.charging.certificate_outcomes",
    "app.charging.station_security",
)


def load() -> None:
    """Import them all. Called once by every process."""
    for name in MODULES:
        import_module(name)
