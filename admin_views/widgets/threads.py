"""Work that keeps a processor busy for a while, done so that other requests and stations go on meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from gevent import get_hub, monkey

T = TypeVar("T")


def beside(function: Callable[..., T], *arguments: Any, **more: Any) -> T:
    """Call a function that needs neither request nor database, under gevent in a thread of its pool."""
    if not monkey.is_module_patched("threading"):  # served by threads: a hub in each would outlive it
        return function(*arguments, **more)
    found: T = get_hub().threadpool.apply(function, arguments, more)
    return found
