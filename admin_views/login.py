"""The door: sign in and out, one's own account. Throttled, with sessions that can be ended from elsewhere."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import segno
import structlog
from flask import (
    Blueprint,
    Flask,
    abort,
    current_app,
    flash,
    g,
    has_app_context,
    make_response,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask_limiter import Limiter, RateLimitExceeded
from flask_limiter.util import get_remote_address
from flask_login import LoginManager, current_user, login_user, logout_user
from markupsafe import Markup
from sqlalchemy.exc import OperationalError

from admin_views import formats, login_cli
from admin_views.base import safe_next
from admin_views.widgets.access import refuse_anonymous
from app.core import admin_sessions, principal, second_factor, sign_in
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import Admin

ATTEMPTS = "10 per minute; 50 per hour"
REFUSED = "The e-mail or the password is wrong, or the account is disabled or locked for the moment."
#: between the password and the second step: what the cookie carries, and for how long
BETWEEN, BETWEEN_S = "between_steps", 600

#: pages on which a partner's admin changes what is its own, but no right of the database is given for it: their
#: requests that change something run on behalf of it (``app.core.principal``); what they read, ``scope`` narrows
ON_BEHALF = frozenset({"auth", "admin_account", "api_token", "company"})

#: pages for whoever has their address, key or token, whoever may be signed in beside: nobody's rights are asked there
FOR_ANYBODY = frozenset({"api", "card_entry", "files", "health", "public", "verification", "webhooks"})
DOOR = frozenset(f"auth.{name}" for name in ("forgot", "invitation", "login", "new_password", "second_step", "set_up"))

log = structlog.get_logger(__name__)
#: where a request keeps which sign-in it belongs to
SIGN_IN = "sync.sign_in"
#: what open pages ask by themselves: no sign of an admin who is there
UNATTENDED = frozenset({"live.stream"})

blueprint = Blueprint("auth", __name__)
manager = LoginManager()
manager.login_view = "auth.login"
manager.session_protection = None  # admins in the field change their address all the time
manager.unauthorized_handler(refuse_anonymous)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A sign-in by its key, its number and whose it is."""

    key: str
    id: int
    admin_id: int


@manager.user_loader
def load_admin(key: str) -> Admin | None:
    """The admin of a sign-in by the key its cookie carries; None when it is over: nothing of it is kept in memory.

    Who is bound to a partner afterwards is loaded again, within what that may see (``confine``).
    """
    found: SignedIn | None = request.environ.get(SIGN_IN)
    if found is None or found.key != key:
        now = utcnow()
        row = admin_sessions.find(db.session(), key, now=now)
        if row is None:
            return None
        found = SignedIn(key, row.id, row.admin_id)
        if request.endpoint not in UNATTENDED and admin_sessions.note_seen(db.session(), row, now=now):
            db.session.commit()
        request.environ[SIGN_IN] = found
    return db.session.get(Admin, found.admin_id)


def this_sign_in() -> SignedIn | None:
    """The sign-in that this request belongs to."""
    found: SignedIn | None = request.environ.get(SIGN_IN)
    return found if current_user.is_authenticated else None


def typed_email() -> str:
    """What the throttle counts by: the e-mail of this attempt, as a digest, so that none lies about in Redis."""
    email = request.form.get("email", "").strip().lower()
    return "email:" + hashlib.sha256(email.encode()).hexdigest()[:32]


def tried_account() -> str:
    """Or by the account whose second step is asked."""
    kept = session.get(BETWEEN)
    return f"admin:{kept.get('admin') if isinstance(kept, dict) else get_remote_address()}"


def throttled(view: Callable[[], Any], *keys: Callable[[], str], limit: str = ATTEMPTS) -> Callable[[], Any]:
    """A view whose POSTs are counted by address and by these keys."""
    limiter: Limiter = current_app.extensions["sync_limiter"]
    for key in (get_remote_address, *keys):
        view = limiter.limit(limit, key_func=key, methods=["POST"])(view)
    return view


def limiter_storage(url: str) -> str:
    """The application's Redis in the spelling of the throttle's library."""
    return url.replace("unix://", "redis+unix://", 1) if url.startswith("unix://") else url


def login() -> Any:
    """Sign in. The same words for every mistake; a fresh session on success, so that none can be planted."""
    target = safe_next(request.values.get("next"))
    if request.method == "GET":
        if current_user.is_authenticated:
            return redirect(target)
        return render_template("login.html", next_url=target if target != "/" else "")
    email = request.form.get("email", "")[:255]
    admin = sign_in.check_password(
        db.session(),
        email=email,
        password=request.form.get("password", ""),
        address=get_remote_address(),
        now=utcnow(),
    )
    db.session.commit()
    if admin is None:
        return _refused(REFUSED, email, target), 401
    return after_password(admin, target)


def after_password(admin: Admin, target: str) -> Any:
    """Whose password was right (or was just chosen) goes on to the second step, to setting it up, or in."""
    if second_factor.is_on(db.session(), admin.id):
        _remember(admin, target)
        return redirect(url_for("auth.second_step"), code=303)
    if second_factor.is_required(db.session(), admin):
        _remember(admin, target)
        return redirect(url_for("auth.set_up"), code=303)
    begin_session(admin)
    return redirect(target, code=303)


def _remember(admin: Admin, target: str) -> None:
    """Whose password was right, for the next page: in the signed cookie, for ten minutes, for this password."""
    session.clear()
    session[BETWEEN] = {"admin": admin.id, "at": int(time.time()), "mark": _mark(admin), "next": target}


def _mark(admin: Admin) -> str:
    """What changes with the password, and tells nothing of it."""
    return hashlib.sha256(f"between${admin.password_hash}".encode()).hexdigest()[:32]


def between() -> tuple[Admin, str] | None:
    """Whose password was right a moment ago, and where they want to go; None when that does not hold any more."""
    kept = session.get(BETWEEN)
    if not isinstance(kept, dict) or not 0 <= time.time() - kept.get("at", 0) <= BETWEEN_S:
        return None
    admin = db.session.get(Admin, kept.get("admin"))
    if admin is None or not admin.is_active or admin.is_locked(utcnow()) or _mark(admin) != kept.get("mark"):
        return None
    return admin, safe_next(kept.get("next"))


def second_step() -> Any:
    """The code beside the password. A wrong one counts like a wrong password."""
    here = between()
    if here is None or not second_factor.is_on(db.session(), here[0].id):
        return _begin_again()
    admin, target = here
    if request.method == "GET":
        return render_template("login/second_step.html")
    if second_factor.accept(db.session(), admin_id=admin.id, code=request.form.get("code", "")[:64], now=utcnow()):
        begin_session(admin)
        return redirect(target, code=303)
    return _wrong_code(admin, "login/second_step.html", "This code does not fit, or has been used.")


def set_up() -> Any:
    """Setting the second step up where it is required, before anything else can be seen."""
    here = between()
    if here is None or second_factor.is_on(db.session(), here[0].id):
        return _begin_again()
    admin, target = here
    secret = second_factor.begin_set_up(db.session(), admin=admin, now=utcnow())
    db.session.commit()
    page = {"qr": qr_of(admin, secret), "secret": secret}
    if request.method == "GET":
        return render_template("login/set_up.html", **page)
    try:
        codes = second_factor.confirm(db.session(), admin=admin, code=request.form.get("code", "")[:64], now=utcnow())
    except second_factor.WrongCode as refusal:
        return _wrong_code(admin, "login/set_up.html", str(refusal), **page)
    except (second_factor.NotSetUp, second_factor.SetUpAlready):
        db.session.rollback()
        return _begin_again()
    begin_session(admin)
    return render_template("login/recovery_codes.html", codes=codes, target=target)


def qr_of(admin: Admin, secret: str) -> str:
    """The QR code for an authenticator app, as an address for ``img``."""
    address = second_factor.address_for_app(db.session(), admin=admin, secret=secret)
    return str(segno.make(address, error="m").svg_data_uri(scale=4, border=2))


def _wrong_code(admin: Admin, template: str, words: str, **page: Any) -> Any:
    sign_in.note_failure(db.session(), admin=admin, address=get_remote_address(), now=utcnow(), step="code")
    db.session.commit()
    if between() is None:
        return _begin_again()
    return render_template(template, error=words, **page), 401


def _begin_again() -> Any:
    session.pop(BETWEEN, None)
    if current_user.is_authenticated:
        return redirect("/")
    flash("Please sign in again.", "info")
    return redirect(url_for("auth.login"), code=303)


def begin_session(admin: Admin) -> None:
    """Somebody has come in: start a session that carries nothing of the one before, and commit its row."""
    now = utcnow()
    row, key = admin_sessions.begin(
        db.session(),
        admin=admin,
        address=get_remote_address(),
        agent=request.headers.get("User-Agent", ""),
        now=now,
    )
    sign_in.note_sign_in(db.session(), admin=admin, address=get_remote_address(), now=now)
    found = SignedIn(key, row.id, admin.id)
    db.session.commit()
    session.clear()
    session.permanent = True
    login_user(admin)
    session["_user_id"] = key
    request.environ[SIGN_IN] = found


def _refused(error: str, email: str, target: str) -> str:
    # in the body's colour: red on pink is hard to read
    words = Markup('<span class="text-body">{}</span>').format(error)
    return render_template("login.html", error=words, email=email, next_url=target if target != "/" else "")


@blueprint.post("/logout")
def logout() -> Any:
    """Sign out and forget everything of the session."""
    here = this_sign_in()
    if here is not None:
        with principal.on_behalf():
            admin_sessions.end(
                db.session(), admin_id=here.admin_id, only=[here.id], why=admin_sessions.SIGNED_OUT, now=utcnow()
            )
            db.session.commit()
    logout_user()
    session.clear()
    return redirect(url_for("auth.login"), code=303)


def myself() -> Admin:
    """Who is signed in, as a row; 401 for nobody."""
    admin = current_user._get_current_object()
    if not isinstance(admin, Admin):
        abort(401)
    return admin


def too_many(error: RateLimitExceeded) -> Any:
    """429, with the moment from which it may be tried again."""
    limiter: Limiter = current_app.extensions["sync_limiter"]
    hit = limiter.current_limit
    reset = hit.reset_at if hit is not None else int(time.time()) + 60
    wait_s = max(1, math.ceil(reset - time.time()))
    again = datetime.fromtimestamp(reset, UTC).astimezone(formats.screen_zone())
    message = f"Too many attempts. Try again in {formats.duration(wait_s)}, at {again:%H:%M:%S} ({again.tzname()})."
    if request.endpoint == "auth.login":
        page = _refused(message, request.form.get("email", "")[:255], safe_next(request.form.get("next")))
    else:
        page = render_template("error/page.html", code=429, title="Too many attempts", message=message)
    response = make_response(page, 429)
    response.headers["Retry-After"] = str(wait_s)
    return response


def confine() -> None:
    """Before any view: a partner's admin is bound to its partner, and found again within what that may see."""
    if request.endpoint == "static" or request.endpoint in DOOR or request.blueprint in FOR_ANYBODY:
        return
    if not current_user.is_authenticated:
        return
    partner_id = current_user.partner_id
    if partner_id is None:
        return
    changes = (
        request.method not in ("GET", "HEAD", "OPTIONS")
        and request.blueprint in ON_BEHALF
        and not (request.endpoint or "").endswith(".run_action")
    )
    principal.bind(principal.Principal(partner_id, on_behalf=changes))
    try:
        if not current_user.is_authenticated:
            abort(401)
    except OperationalError:
        log.exception("partners.cannot_connect")
        abort(503, description="Partners cannot sign in: the operator has to set PARTNER_DATABASE_URL.")


def _forget_admin() -> None:
    """Who is signed in is loaded anew, as whoever the request is bound to now may see it."""
    if has_app_context():
        g.pop("_login_user", None)


def init_app(app: Flask) -> None:
    """Sessions, the throttle, the door's pages and the command that makes an admin."""
    manager.init_app(app)
    app.before_request(confine)
    principal.before_change(_forget_admin)
    limiter = Limiter(
        key_func=get_remote_address,
        app=app,
        storage_uri=limiter_storage(app.config["REDIS_URL"]),
        strategy="moving-window",
        in_memory_fallback_enabled=True,
        headers_enabled=False,
    )
    app.extensions["sync_limiter"] = limiter
    app.register_blueprint(blueprint)
    with app.app_context():
        for rule, endpoint, view, key in (
            ("/login", "login", login, typed_email),
            ("/login/code", "second_step", second_step, tried_account),
            ("/login/set-up", "set_up", set_up, tried_account),
        ):
            app.add_url_rule(rule, f"auth.{endpoint}", throttled(view, key), methods=["GET", "POST"])
    app.register_error_handler(RateLimitExceeded, too_many)
    login_cli.register(app)
