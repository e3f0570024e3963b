"""The door: sign in and out, one's own account. Throttled, with sessions that can be ended from elsewhere."""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

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
from flask_admin.form import BaseForm
from flask_limiter import Limiter, RateLimitExceeded
from flask_limiter.util import get_remote_address
from flask_login import LoginManager, current_user, login_required, login_user, logout_user
from markupsafe import Markup
from sqlalchemy.exc import OperationalError
from wtforms import PasswordField, StringField, validators

from admin_views import formats, login_cli
from admin_views.base import safe_next
from admin_views.widgets.access import refuse_anonymous
from admin_views.widgets.fields import ChoiceField, TimezoneField
from app.core import admin_sessions, principal, sign_in
from app.core.clock import utcnow
from app.core.db import db
from app.core.i18n import LANGUAGES
from app.core.models import Admin
from app.core.passwords import MINIMUM_LENGTH, WeakPassword

ATTEMPTS = "10 per minute; 50 per hour"
REFUSED = "The e-mail or the password is wrong, or the account is disabled."

#: pages on which a partner's admin changes what is its own, but no right of the database is given for it: their
#: requests that change something run on behalf of it (``app.core.principal``); what they read, ``scope`` narrows
ON_BEHALF = frozenset({"auth", "admin_account", "api_token", "company"})

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


class AccountForm(BaseForm):
    """What an admin may change of itself."""

    name = StringField("Name", [validators.InputRequired(), validators.Length(max=120)])
    email = StringField(
        "E-mail", [validators.InputRequired(), validators.Length(max=255)], render_kw={"autocomplete": "username"}
    )
    locale = ChoiceField("Language", choices=list(LANGUAGES.items()), description="For texts in several languages.")
    timezone = TimezoneField(
        "Time zone",
        allow_blank=True,
        description="In which times are shown to you. Without one, the system's. Exports are always in the system's.",
    )


class PasswordForm(BaseForm):
    """The old password, and the new one twice."""

    old = PasswordField(
        "Current password", [validators.InputRequired()], render_kw={"autocomplete": "current-password"}
    )
    new = PasswordField(
        "New password",
        [validators.InputRequired(), validators.Length(max=sign_in.MAXIMUM_PASSWORD_LENGTH)],
        description=f"At least {MINIMUM_LENGTH} characters.",
        render_kw={"autocomplete": "new-password"},
    )
    again = PasswordField(
        "New password again",
        [validators.InputRequired(), validators.EqualTo("new", "The two do not match.")],
        render_kw={"autocomplete": "new-password"},
    )


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
    admin = sign_in.sign_in(
        db.session(),
        email=email,
        password=request.form.get("password", ""),
        address=get_remote_address(),
        now=utcnow(),
    )
    db.session.commit()
    if admin is None:
        return _refused(REFUSED, email, target), 401
    begin_session(admin)
    return redirect(target, code=303)


def begin_session(admin: Admin) -> None:
    """Start a session that carries nothing of the one before, and commit its row."""
    row, key = admin_sessions.begin(
        db.session(),
        admin=admin,
        address=get_remote_address(),
        agent=request.headers.get("User-Agent", ""),
        now=utcnow(),
    )
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


@blueprint.route("/account", methods=["GET", "POST"])
@login_required
def profile() -> Any:
    """My account: name, e-mail, language, time zone."""
    admin = _me()
    form = AccountForm(request.form if request.method == "POST" else None, obj=admin)
    if request.method == "POST" and form.validate():
        try:
            sign_in.change_own_account(
                db.session(),
                admin=admin,
                name=form.name.data,
                email=form.email.data,
                locale=form.locale.data,
                timezone=form.timezone.data,
            )
        except (sign_in.EmailTaken, sign_in.InvalidEmail) as refusal:
            db.session.rollback()
            form.email.errors = [str(refusal)]
        else:
            db.session.commit()
            flash("Your account is saved.", "success")
            return redirect(url_for("auth.profile"), code=303)
    return _account_page(form, PasswordForm(), failed=request.method == "POST")


@blueprint.post("/account/password")
@login_required
def password() -> Any:
    """Change one's password: asks for the old one; every other session of this admin ends."""
    admin = _me()
    form = PasswordForm(request.form)
    if form.validate():
        try:
            here = this_sign_in()
            sign_in.change_own_password(
                db.session(),
                admin=admin,
                old=form.old.data,
                new=form.new.data,
                keep=here.id if here else None,
                now=utcnow(),
            )
        except sign_in.WrongPassword as refusal:
            form.old.errors = [str(refusal)]
        except WeakPassword as refusal:
            form.new.errors = [f"Choose another one: {refusal}."]
        else:
            db.session.commit()
            flash("Your password is changed. Your other sessions have ended.", "success")
            return redirect(url_for("auth.profile"), code=303)
    db.session.rollback()
    return _account_page(AccountForm(None, obj=admin), form, failed=True)


def _me() -> Admin:
    admin = current_user._get_current_object()
    if not isinstance(admin, Admin):
        abort(401)
    return admin


def _account_page(account: AccountForm, secret: PasswordForm, *, failed: bool) -> Any:
    html = render_template(
        "login/account.html",
        page_title="My account",
        account=account,
        secret=secret,
        system_zone=formats.system_zone().key,
    )
    return make_response(html, 422 if failed else 200)


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
    if request.endpoint == "static" or not current_user.is_authenticated:
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
    throttled = limiter.limit(ATTEMPTS, methods=["POST"])(
        limiter.limit(ATTEMPTS, key_func=typed_email, methods=["POST"])(login)
    )
    app.register_blueprint(blueprint)
    app.add_url_rule("/login", "auth.login", throttled, methods=["GET", "POST"])
    app.register_error_handler(RateLimitExceeded, too_many)
    login_cli.register(app)
