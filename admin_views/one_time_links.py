"""What an admin does without being signed in: ask for a new password, choose one by a one-time link."""

from __future__ import annotations

import time
from typing import Any

from flask import Flask, flash, redirect, render_template, request, url_for
from flask_admin.form import BaseForm
from flask_limiter.util import get_remote_address
from wtforms import PasswordField, validators

from admin_views.login import after_password, throttled, typed_email
from app.core import admin_links, sign_in
from app.core.account_models import LinkPurpose
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import AdminStatus
from app.core.passwords import MINIMUM_LENGTH, WeakPassword

#: by address, and by the e-mail that was typed
ASKED = "5 per 15 minutes; 20 per day"
#: every answer takes as long as this: what is written for a known address takes a few milliseconds more
ANSWER_S = 0.35
SENT = "If there is an active account with this e-mail address, a link to choose a new password is on its way to it."


class ChooseForm(BaseForm):
    """The new password, twice."""

    new = PasswordField(
        "Password",
        [validators.InputRequired(), validators.Length(max=sign_in.MAXIMUM_PASSWORD_LENGTH)],
        description=f"At least {MINIMUM_LENGTH} characters.",
        render_kw={"autocomplete": "new-password"},
    )
    again = PasswordField(
        "Password again",
        [validators.InputRequired(), validators.EqualTo("new", "The two do not match.")],
        render_kw={"autocomplete": "new-password"},
    )


def forgot() -> Any:
    """Ask for a link. The same answer, after the same time, whatever was typed."""
    if request.method == "GET":
        return render_template("login/forgot.html", email=request.args.get("email", "")[:255])
    begun = time.monotonic()
    email, now = request.form.get("email", "")[:255], utcnow()
    session = db.session()
    admin = sign_in.find_admin(session, email) if "\x00" not in email else None
    if admin is not None and admin.status is AdminStatus.ACTIVE:
        url = admin_links.send_link(
            session,
            admin=admin,
            purpose=LinkPurpose.RESET,
            asked_by=f"at the sign-in page, from {get_remote_address()}",
            now=now,
        )
        if url is not None:  # nobody may see it here, and nothing can be sent
            admin_links.withdraw_links(session, admin_id=admin.id, now=now)
        sign_in.note_reset_asked(session, admin=admin, address=get_remote_address())
    db.session.commit()
    time.sleep(max(0.0, ANSWER_S - (time.monotonic() - begun)))
    flash(SENT, "info")
    return redirect(url_for("auth.login"), code=303)


def invitation(token: str) -> Any:
    """Choose the first password, and come in."""
    return _choose(token, LinkPurpose.INVITE)


def new_password(token: str) -> Any:
    """Choose another password; every session ends."""
    return _choose(token, LinkPurpose.RESET)


def _choose(token: str, purpose: LinkPurpose) -> Any:
    session, now = db.session(), utcnow()
    form = ChooseForm(request.form if request.method == "POST" else None)
    try:
        link = admin_links.find_link(session, token, purpose=purpose, now=now)
        name, email = link.admin.name, link.admin.email
        if request.method == "POST" and form.validate():
            admin = admin_links.use_link(session, token, purpose=purpose, password=form.new.data, now=now)
            session.commit()
            if purpose is LinkPurpose.INVITE:
                return after_password(admin, "/")
            flash("Your new password holds from now on. Please sign in.", "success")
            return redirect(url_for("auth.login"), code=303)
    except admin_links.LinkSpent:
        session.rollback()
        return render_template("login/link_spent.html", purpose=purpose.value), 404
    except WeakPassword as refusal:
        session.rollback()
        form.new.errors = [f"Choose another one: {refusal}."]
    page = render_template("login/choose.html", form=form, purpose=purpose.value, name=name, email=email)
    return page, 422 if request.method == "POST" else 200


def init_app(app: Flask) -> None:
    """Throttled pages without a session; after ``login.init_app``."""
    with app.app_context():
        pages = (
            ("/forgot-password", "forgot", throttled(forgot, typed_email, limit=ASKED)),
            ("/invitation/<token>", "invitation", throttled(invitation)),
            ("/new-password/<token>", "new_password", throttled(new_password)),
        )
        for rule, endpoint, view in pages:
            app.add_url_rule(rule, f"auth.{endpoint}", view, methods=["GET", "POST"])
