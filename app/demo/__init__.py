"""A demonstration: an empty database is filled with a fleet, its drivers and ninety days of their past.

`SYNC_DEMO=1 make run` fills it once; the simulator then runs the same stations over real sockets.
"""

from app.demo.filling import DatabaseNotEmpty, fill, fill_if_empty, is_empty
from app.demo.stations import DemoEvse, DemoStation, demo_stations, top_up_low_balances

__all__ = [
    "DatabaseNotEmpty",
    "DemoEvse",
    "DemoStation",
    "demo_stations",
    "fill",
    "fill_if_empty",
    "is_empty",
    "top_up_low_balances",
]
