"""For whom the database is asked: staff, or the admin of one partner. docs/adr/0003 and 0017.

Outside a request the product works for itself: jobs, the gateway, commands are staff. In a request somebody must have
been bound before the database is touched; what is not bound asks nothing. A partner's admin reads through an engine
whose PostgreSQL role sees rows of that partner only (``app.core.db``). What it was found to be allowed is then done
*on behalf*: with staff's rights, while the database still refuses to write another partner's rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flask import Flask, has_request_context, request

_KEY = "sync.principal"


@dataclass(frozen=True, slots=True)
class Principal:
    """Staff (``partner_id`` None), or a partner's admin; ``on_behalf``: doing what it was found to be allowed."""

    partner_id: int | None = None
    on_behalf: bool = False

    @property
    def is_partner(self) -> bool:
        """Whether it is a partner's admin at all."""
        return self.partner_id is not None

    @property
    def is_confined(self) -> bool:
        """Whether it reads through the partners' engine."""
        return self.partner_id is not None and not self.on_behalf


STAFF = Principal()


class NoPrincipal(RuntimeError):
    """The database was asked in a request before anybody was bound to it."""


_changing: list[Callable[[], None]] = []


def before_change(forget: Callable[[], None]) -> None:
    """Have something done before another principal is bound: what was loaded for the one is not for the other."""
    if forget not in _changing:
        _changing.append(forget)


def current() -> Principal:
    """For whom the database is asked now. Raises NoPrincipal in a request that nobody is bound to."""
    if not has_request_context():
        return STAFF
    bound = request.environ.get(_KEY)
    if not isinstance(bound, Principal):
        raise NoPrincipal("nobody is bound to this request: app.core.principal.bind")
    return bound


def bind(principal: Principal) -> None:
    """Make somebody the principal of this request. What the session has loaded for another is forgotten."""
    bound = request.environ.get(_KEY)
    if bound == principal:
        return
    if bound is not None or principal.is_partner:
        for forget in _changing:
            forget()
    request.environ[_KEY] = principal


@contextmanager
def on_behalf() -> Iterator[None]:
    """Do what a partner's admin was found to be allowed: nothing changes for staff.

    What was loaded before is detached: load again, by the keys that confinement let through.
    """
    before = current() if has_request_context() else STAFF
    if not before.is_confined:
        yield
        return
    bind(Principal(before.partner_id, on_behalf=True))
    try:
        yield
    finally:
        bind(before)


def init_app(app: Flask) -> None:
    """Requests begin as the product's own; whoever knows who has signed in binds them (``bind``)."""
    # before anything of the request is looked at: what limits uploads asks who is signed in
    app.url_value_preprocessors.setdefault(None, []).insert(0, _begin)
    app.teardown_request(_end)


def _begin(_endpoint: str | None, _values: object) -> None:
    bind(STAFF)


def _end(_error: BaseException | None) -> None:
    """The application's context may outlive the request: it keeps nothing that was loaded for a partner."""
    bound = request.environ.get(_KEY)
    if isinstance(bound, Principal) and bound.is_partner:
        for forget in _changing:
            forget()
        request.environ[_KEY] = STAFF
