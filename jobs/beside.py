"""Work that waits for somebody outside (a mail server) or takes long, beside the worker's jobs and not in their way.

There may be one worker only; were it to wait for a mail server that hangs, sessions would not be ended meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog
from flask import Flask

log = structlog.get_logger(__name__)

_running: dict[str, threading.Thread] = {}
_lock = threading.Lock()


def run_beside(app: Flask, function: Callable[..., object], *arguments: object) -> bool:
    """Call a function in a thread of its own with an application context; False while its last call is not over.

    With other arguments it is another call, which may run at the same time.

    It must survive being killed at any point, as when the worker is stopped.
    """
    name = "-".join((function.__name__, *map(str, arguments)))
    with _lock:
        for over in [known for known, thread in _running.items() if not thread.is_alive()]:
            del _running[over]
        if name in _running:
            return False
        thread = threading.Thread(target=_call, args=(app, function, arguments), name=name, daemon=True)
        _running[name] = thread
        thread.start()
        return True


def _call(app: Flask, function: Callable[..., object], arguments: tuple[object, ...]) -> None:
    try:
        with app.app_context():
            function(*arguments)
    except Exception:  # nobody waits for the outcome: the next tick calls it again, and the log says what happened
        log.exception("beside.failed", function=function.__name__)
