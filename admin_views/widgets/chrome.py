"""What surrounds every page: menu, icons, assets, security headers, error pages."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Flask, Response, current_app, has_request_context, jsonify, render_template, request, url_for
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from markupsafe import Markup
from werkzeug.exceptions import HTTPException, InternalServerError
from werkzeug.routing import BuildError

from admin_views import formats
from admin_views.widgets import cells
from admin_views.widgets.access import is_htmx, refuse_anonymous, request_cache

#: addresses that answer programs, not people: their errors stay plain
MACHINE_PATHS = ("/api/", "/ocpp/", "/metrics", "/healthz", "/readyz")
SEARCH_ENDPOINTS = ("search", "search.index_view", "search.index", "search.search")
YEAR_SECONDS = 31_536_000
THEME_COOKIE = "theme"

TITLES = {
    400: "That request cannot be understood",
    401: "Please sign in",
    403: "You may not do this",
    404: "There is nothing here",
    405: "That does not work here",
    409: "Something changed in the meantime",
    413: "That is too large",
    422: "Something is missing or wrong",
    429: "Too many attempts",
    500: "Something went wrong on our side",
}
HINTS = {
    400: "Check the address, or start again from the menu.",
    401: "Your session has ended.",
    403: "Your role does not include this. A Super User can change roles.",
    404: "The record may have been deleted, or it is not yours to see.",
    405: "Start again from the menu.",
    409: "Reload the page and try again.",
    413: "Choose a smaller file.",
    422: "Check what you entered.",
    429: "Wait a minute, then try again.",
    500: "It has been recorded. Try again in a moment.",
}


@dataclass
class Screens:
    """What the screens need to know of the rest of the product."""

    system_timezone: Callable[[], str] | None = None
    action_model: type | None = None
    audit_model: type | None = None
    #: which languages a form offers for a text that has some already
    languages: Callable[[Any], dict[str, str]] | None = None


@dataclass(frozen=True)
class MenuEntry:
    """A page in the side menu."""

    name: str
    url: str
    icon: str
    active: bool


def url_if(*endpoints: str, **values: Any) -> str | None:
    """The address of the first of these endpoints that exists."""
    for endpoint in endpoints:
        try:
            return url_for(endpoint, **values)
        except BuildError:
            continue
    return None


def search_url() -> str | None:
    """The universal search, once it exists."""
    return url_if(*SEARCH_ENDPOINTS)


def menu(active_view: Any = None) -> list[tuple[str, list[MenuEntry]]]:
    """Sections of the side menu with the pages the admin may open; the first section has no title."""
    admins = current_app.extensions.get("admin") or []
    if not admins or not current_user.is_authenticated:
        return []
    top: list[MenuEntry] = []
    sections: list[tuple[str, list[MenuEntry]]] = [("", top)]
    for item in admins[0].menu():
        if item.is_category():
            entries = [_entry(child, active_view) for child in item.get_children()]
            if entries:
                sections.append((item.name, entries))
        elif item.is_visible() and item.is_accessible():
            top.append(_entry(item, active_view))
    return sections


def _entry(item: Any, active_view: Any) -> MenuEntry:
    active = active_view is not None and item.is_active(active_view)
    return MenuEntry(str(item.name), item.get_url(), item.get_icon_value() or "point", active)


@lru_cache(maxsize=512)
def _fingerprint(path: str, modified_ns: int) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:10]


def asset(name: str) -> str:
    """The address of a static file, with a fingerprint, so that it may be cached for ever."""
    path = Path(current_app.static_folder or "static") / name
    mark = _fingerprint(str(path), path.stat().st_mtime_ns)
    return url_for("static", filename=name, v=mark)


@lru_cache(maxsize=8)
def _icons(path: str, modified_ns: int) -> frozenset[str]:
    return frozenset(re.findall(r'<symbol id="([^"]+)"', Path(path).read_text()))


def known_icons() -> frozenset[str]:
    """The names in the sprite (static/icons.txt)."""
    path = Path(current_app.static_folder or "static") / "vendor" / "icons" / "sprite.svg"
    return _icons(str(path), path.stat().st_mtime_ns)


def _sprite() -> tuple[str, frozenset[str]]:
    # a page draws a hundred icons: look the file up once per request
    if not has_request_context():
        return asset("vendor/icons/sprite.svg"), known_icons()
    cache = request_cache("sprite")
    if not cache:
        cache.update(url=asset("vendor/icons/sprite.svg"), names=known_icons())
    return cache["url"], cache["names"]


def icon(name: str, css: str = "", label: str = "") -> Markup:
    """An icon of the sprite. Decorative unless it has a ``label``. Raises KeyError for a name not in it."""
    url, names = _sprite()
    if name not in names:
        raise KeyError(f"no icon {name!r}: add it to static/icons.txt and run tools/vendor_assets.py")
    role = Markup('role="img" aria-label="{}"').format(label) if label else Markup('aria-hidden="true"')
    return Markup('<svg class="icon {}" {} width="24" height="24"><use href="{}#{}"></use></svg>').format(
        css, role, url, name
    )


def csp_nonce() -> str:
    """The nonce of this response's one inline script (the map); asking for it puts it into the policy."""
    return str(request_cache("policy").setdefault("nonce", secrets.token_urlsafe(16)))


def allow_source(directive: str, source: str) -> None:
    """Let this response load from elsewhere, e.g. ``allow_source("img-src", tile_server)``."""
    request_cache("policy").setdefault("sources", []).append((directive, source))


def policy() -> str:
    """The Content-Security-Policy of this response."""
    rules: dict[str, list[str]] = {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "object-src": ["'none'"],
    }
    asked = request_cache("policy")
    if "nonce" in asked:
        rules["script-src"] = ["'self'", f"'nonce-{asked['nonce']}'"]
    for directive, source in asked.get("sources", ()):
        rules.setdefault(directive, ["'self'"]).append(source)
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in rules.items())


def add_headers(response: Response) -> Response:
    """Security headers on pages; far-future caching on fingerprinted and vendored files."""
    if request.endpoint == "static":
        if "v" in request.args or request.path.startswith(f"{current_app.static_url_path}/vendor/"):
            response.cache_control.public = True
            response.cache_control.max_age = YEAR_SECONDS
            response.cache_control.immutable = True
            response.cache_control.no_cache = None
        return response
    response.headers.setdefault("Content-Security-Policy", policy())
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "same-origin")
    if response.mimetype == "text/html":
        response.headers.setdefault("Cache-Control", "no-store")
        response.vary.update(["HX-Request", "HX-Request-Type", "Cookie"])
    return response


def api_error(error: HTTPException) -> Response:
    """An HTTP error as the API says it (docs/api.md)."""
    response = jsonify(error={"message": error.description or error.name})
    response.status_code = error.code or 500
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            response.headers[name] = value
    return response


def error_page(error: HTTPException) -> Any:
    """Any HTTP error as a page of ours, as a short message for htmx, or as JSON for programs."""
    if request.path.startswith("/api/") and error.response is None:
        return api_error(error)
    if request.path.startswith(MACHINE_PATHS) or error.response is not None:
        return error
    code = error.code or 500
    if code == 401:
        return refuse_anonymous()
    said = error.description if error.description != type(error).description else None
    if isinstance(error, CSRFError):
        said = "This page was open for too long, or your session has ended. Reload it and try again."
    message = HINTS.get(code, HINTS[400]) if not said or code == 500 else str(said)
    template = "error/_message.html" if is_htmx() else "error/page.html"
    html = render_template(template, code=code, title=TITLES.get(code, error.name), message=message)
    response = current_app.make_response((html, code))
    for name in ("Retry-After", "Allow"):
        for value in (pair[1] for pair in error.get_headers() if pair[0] == name):
            response.headers[name] = value
    return response


def crash_page(error: InternalServerError) -> Any:
    """An unexpected error: nothing of it is told."""
    return error_page(InternalServerError())


def init_screens(
    app: Flask,
    *,
    system_timezone: Callable[[], str] | None = None,
    action_model: type | None = None,
    audit_model: type | None = None,
    languages: Callable[[Any], dict[str, str]] | None = None,
) -> None:
    """Prepare an application for the screens: filters, globals, headers, error pages.

    ``system_timezone`` reads Settings > Timezone; ``action_model`` and ``audit_model`` are the Actions log's and
    the audit's models. Call it before the first request, after CSRFProtect and the login manager.
    """
    app.extensions["screens"] = Screens(system_timezone, action_model, audit_model, languages)
    formats.init_formats(app, system_timezone)
    app.jinja_env.filters["cell"] = cells.cell
    app.jinja_env.globals.update(
        icon=icon,
        asset=asset,
        menu=menu,
        url_if=url_if,
        search_url=search_url,
        csp_nonce=csp_nonce,
        pill=cells.pill,
        record_link=cells.record,
        own_errors=_own_errors,
    )
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.context_processor(_page_defaults)
    app.after_request(add_headers)
    app.register_error_handler(HTTPException, error_page)
    app.register_error_handler(InternalServerError, crash_page)


def _own_errors(bound: Any) -> list[str]:
    from admin_views.widgets.tabs import own_errors

    return own_errors(bound)


def _page_defaults() -> dict[str, Any]:
    theme = request.cookies.get(THEME_COOKIE)
    return {"colour_theme": theme if theme in ("light", "dark") else None}
