"""The door: sign in and out, one's own account. Throttled, with sessions that can be ended from elsewhere."""

from __future__ import annotations

import hashlib
import math
import time
from datetime import UTC, datetime
from typing import Any

from flask import (
    Blueprint,
    Flask,
    abort,
    current_app,
    flash,
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
from wtforms import PasswordField, StringField, validators

from admin_views import formats, login_cli
from admin_views.base import safe_next
from admin_views.widgets.access import refuse_anonymous
from admin_views.widgets.fields import ChoiceField, TimezoneField
from app.core import sign_in
from app.core.clock import utcnow
from app.core.db import db
from app.core.i18n import LANGUAGES
from app.core.models import Admin
from app.core.passwords import MINIMUM_LENGTH, WeakPassword

ATTEMPTS = "10 per minute; 50 per hour"
REFUSED = "The e-mail or the password is wrong, or the account is disabled."

blueprint = Blueprint("auth", __name__)
manager = LoginManager()
manager.login_view = "auth.login"
manager.session_protection = None  # admins in the field change their address all the time
manager.unauthorized_handler(refuse_anonymous)


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
def load_admin(text: str) -> Admin | None:
    """The admin of a session; None ends it: when the account is disabled or gone, or its epoch was raised."""
    number, _, epoch = text.partition(".")
    if not (number.isdigit() and epoch.isdigit()) or len(number) > 18:
        return None
    admin = db.session.get(Admin, int(number))
    return admin if admin is not None and admin.is_active and str(admin.session_epoch) == epoch else None


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
    """Start a session that carries nothing of the one before."""
    session.clear()
    session.permanent = True
    login_user(admin)


def _refused(error: str, email: str, target: str) -> str:
    # in the body's colour: red on pink is hard to read
    words = Markup('<span class="text-body">{}</span>').format(error)
    return render_template("login.html", error=words, email=email, next_url=target if target != "/" else "")


@blueprint.post("/logout")
def logout() -> Any:
    """Sign out and forget everything of the session."""
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
            sign_in.change_own_password(db.session(), admin=admin, old=form.old.data, new=form.new.data)
        except sign_in.WrongPassword as refusal:
            form.old.errors = [str(refusal)]
        except WeakPassword as refusal:
            form.new.errors = [f"Choose another one: {refusal}."]
        else:
            db.session.commit()
            begin_session(admin)
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


def init_app(app: Flask) -> None:
    """Sessions, the throttle, the door's pages and the command that makes an admin."""
    manager.init_app(app)
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
