"""My account: name, language, time zone, theme, password, second step, sessions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, abort, flash, make_response, redirect, render_template, request, url_for
from flask_admin.form import BaseForm
from flask_limiter.util import get_remote_address
from flask_login import login_required
from wtforms import PasswordField, StringField, validators

from admin_views import formats
from admin_views.login import blueprint, myself, qr_of, this_sign_in, throttled
from admin_views.protection import facts_of
from admin_views.widgets.chrome import THEME_COOKIE, YEAR_SECONDS
from admin_views.widgets.fields import ChoiceField, TimezoneField
from app.core import admins, second_factor, sign_in
from app.core.clock import utcnow
from app.core.db import db
from app.core.i18n import LANGUAGES
from app.core.models import Admin
from app.core.passwords import MINIMUM_LENGTH, WeakPassword

THEMES = {"auto": "As the system", "light": "Light", "dark": "Dark"}


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


class CodeForm(BaseForm):
    """A code of the authenticator app."""

    code = StringField(
        "Code",
        [validators.InputRequired(), validators.Length(max=64)],
        description="The six digits that the app shows now.",
        render_kw={"autocomplete": "one-time-code", "inputmode": "numeric"},
    )


class ProofForm(BaseForm):
    """Password and code: nobody at an unlocked desk changes the second step."""

    password = PasswordField(
        "Current password", [validators.InputRequired()], render_kw={"autocomplete": "current-password"}
    )
    code = StringField(
        "Code",
        [validators.InputRequired(), validators.Length(max=64)],
        description="Of the app, or a recovery code.",
        render_kw={"autocomplete": "one-time-code"},
    )


@blueprint.route("/account", methods=["GET", "POST"])
@login_required
def profile() -> Any:
    """My account: name, e-mail, language, time zone."""
    admin = myself()
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
            return _done("Your account is saved.")
    return _page(account=form, failed=request.method == "POST")


def password() -> Any:
    """Change one's password: asks for the old one; every other session of this admin ends."""
    form = PasswordForm(request.form)
    if form.validate():
        here = this_sign_in()
        try:
            sign_in.change_own_password(
                db.session(),
                admin=myself(),
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
            return _done("Your password is changed. Your other sessions have ended.")
    db.session.rollback()
    return _page(secret=form, failed=True)


@blueprint.post("/account/theme")
@login_required
def theme() -> Any:
    """Light, dark, or as the system: kept in this browser."""
    chosen = request.form.get("theme")
    if chosen not in THEMES:
        abort(400, description="There is no such theme.")
    response = redirect(url_for("auth.profile"), code=303)
    if chosen == "auto":
        response.delete_cookie(THEME_COOKIE)
    else:
        response.set_cookie(THEME_COOKIE, chosen, max_age=YEAR_SECONDS, samesite="Lax")
    return response


# --- the second step


@blueprint.post("/account/two-step")
@login_required
def begin_two_step() -> Any:
    """Show the QR code of a new secret."""
    return _set_up_page(CodeForm(None))


def confirm_two_step() -> Any:
    """Switch it on by the first code, and show the recovery codes once."""
    form = CodeForm(request.form)
    if not form.validate():
        return _set_up_page(form)
    try:
        codes = second_factor.confirm(db.session(), admin=myself(), code=form.code.data, now=utcnow())
    except second_factor.WrongCode as refusal:
        form.code.errors = [str(refusal)]
        return _set_up_page(form)
    except (second_factor.NotSetUp, second_factor.SetUpAlready) as refusal:
        db.session.rollback()
        return _done(str(refusal), "danger")
    db.session.commit()
    return _codes_page(codes)


def end_two_step() -> Any:
    """Switch it off, by password and code."""
    admin = myself()

    def switch_off() -> Any:
        second_factor.remove(db.session(), admin=admin, actor=admin)
        db.session.commit()
        return _done("Two-step sign-in is switched off.")

    return _proven(admin, switch_off)


def renew_codes() -> Any:
    """Ten new recovery codes, by password and code."""
    admin = myself()

    def renew() -> Any:
        codes = second_factor.renew_recovery_codes(db.session(), admin=admin)
        db.session.commit()
        return _codes_page(codes)

    return _proven(admin, renew)


def _proven(admin: Admin, then: Callable[[], Any]) -> Any:
    form = ProofForm(request.form)
    if form.validate():
        try:
            sign_in.require_password(admin, form.password.data)
            if not second_factor.accept(db.session(), admin_id=admin.id, code=form.code.data, now=utcnow()):
                form.code.errors = ["This code does not fit, or has been used."]
            else:
                return then()
        except sign_in.WrongPassword as refusal:
            form.password.errors = [str(refusal)]
        except second_factor.NotSetUp as refusal:
            db.session.rollback()
            return _done(str(refusal), "info")
    db.session.commit()  # a code that was right is used up
    return _page(proof=form, failed=True)


def _set_up_page(form: CodeForm) -> Any:
    admin = myself()
    try:
        secret = second_factor.begin_set_up(db.session(), admin=admin, now=utcnow())
    except second_factor.SetUpAlready as refusal:
        db.session.rollback()
        return _done(str(refusal), "info")
    qr = qr_of(admin, secret)
    db.session.commit()
    page = render_template("login/two_step.html", page_title="Two-step sign-in", form=form, qr=qr, secret=secret)
    return page, 422 if form.errors else 200


def _codes_page(codes: list[str]) -> Any:
    return render_template("login/two_step_codes.html", page_title="Recovery codes", codes=codes)


# --- sessions


@blueprint.post("/account/sessions/end")
@login_required
def end_sessions() -> Any:
    """End one's other sessions: the one named, or all of them."""
    admin, here = myself(), this_sign_in()
    number = request.form.get("session", type=int)
    if "session" in request.form:
        if number is None or (here is not None and number == here.id):
            abort(400, description="Sign out to end this session.")
        done = admins.end_one_session(db.session(), admin=admin, number=number, actor=admin, now=utcnow())
        db.session.commit()
        return _done("The session has ended." if done else "The session was over already.")
    count = admins.end_other_sessions(db.session(), admin=admin, keep=here.id if here else 0, now=utcnow())
    db.session.commit()
    return _done(f"Ended: {count} other session{'' if count == 1 else 's'}.")


# --- drawing


def _done(words: str, kind: str = "success") -> Any:
    flash(words, kind)
    return redirect(url_for("auth.profile"), code=303)


def _page(
    *,
    account: AccountForm | None = None,
    secret: PasswordForm | None = None,
    proof: ProofForm | None = None,
    failed: bool = False,
) -> Any:
    facts = facts_of(myself())
    html = render_template(
        "login/account.html",
        page_title="My account",
        account=account or AccountForm(None, obj=myself()),
        secret=secret or PasswordForm(None),
        proof=proof or ProofForm(None),
        proof_open=proof is not None,
        facts=facts,
        themes=THEMES,
        theme=request.cookies.get(THEME_COOKIE, "auto"),
        system_zone=formats.system_zone().key,
    )
    return make_response(html, 422 if failed else 200)


def counted_admin() -> str:
    """What the throttle counts by where a password or code is asked of somebody signed in."""
    here = this_sign_in()
    return f"admin:{here.admin_id}" if here else get_remote_address()


def init_app(app: Flask) -> None:
    """The pages where a password or a code can be guessed are throttled; after ``login.init_app``."""
    with app.app_context():
        for path, endpoint, view in (
            ("password", "password", password),
            ("two-step/confirm", "confirm_two_step", confirm_two_step),
            ("two-step/end", "end_two_step", end_two_step),
            ("two-step/codes", "renew_codes", renew_codes),
        ):
            guarded = throttled(login_required(view), counted_admin)
            app.add_url_rule(f"/account/{path}", f"auth.{endpoint}", guarded, methods=["POST"])
