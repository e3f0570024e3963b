"""What can be done to an admin account, each with a reason in the Actions log. Manual, "Admin Accounts"."""

from __future__ import annotations

from typing import Any

from wtforms import PasswordField, validators

from admin_views.base import ChoiceField, EnumField, Outcome, ReasonForm, RecordAction
from app.core import admins, second_factor
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import Action, ActionStatus, Admin, AdminStatus
from app.core.passwords import MINIMUM_LENGTH, WeakPassword
from app.core.sign_in import MAXIMUM_PASSWORD_LENGTH

LINK, SET = "link", "set"


def password_field(hint: str) -> PasswordField:
    """A new password of somebody else's account."""
    return PasswordField(
        "Password",
        [validators.Optional(), validators.Length(max=MAXIMUM_PASSWORD_LENGTH)],
        description=f"At least {MINIMUM_LENGTH} characters. {hint}",
        render_kw={"autocomplete": "new-password"},
    )


class StatusForm(ReasonForm):
    """Active or disabled."""

    status = EnumField(
        "Status",
        members=(AdminStatus.ACTIVE, AdminStatus.DISABLED),
        default=AdminStatus.DISABLED,
        description="A disabled admin cannot sign in, and is signed out at once.",
    )

    def __init__(self, formdata: Any = None, obj: Any = None, **more: Any) -> None:
        super().__init__(formdata, obj=obj, **more)
        if formdata is None and obj is not None:
            disabled = obj.status is AdminStatus.DISABLED
            self.status.data = AdminStatus.ACTIVE if disabled else AdminStatus.DISABLED


class PasswordForm(ReasonForm):
    """A link to choose one, or one set here."""

    how = ChoiceField(
        "How",
        choices=[(LINK, "Send a link by e-mail: the admin chooses a password"), (SET, "Set one now")],
        default=LINK,
    )
    password = password_field("For “Set one now”. Left empty, one is made and shown once.")


def change_status(obj: Admin, form: StatusForm, *, reason: str, actor: Admin) -> Action:
    """Disable an account, or make it active again."""
    return admins.change_admin_status(
        db.session(), admin=obj, status=form.status.data, reason=reason, actor=actor, now=utcnow()
    )


def reset_password(obj: Admin, form: PasswordForm, *, reason: str, actor: Admin) -> Outcome:
    """Send a link, or set another password; what was made is told here and nowhere else."""
    session, now = db.session(), utcnow()
    if form.how.data == LINK:
        _, url = admins.send_reset_link(session, admin=obj, reason=reason, actor=actor, now=now)
        return _link_outcome(obj, url)
    _, made = admins.reset_password(
        session, admin=obj, password=form.password.data or None, reason=reason, actor=actor, now=now
    )
    detail = f"New password, shown only now: {made}" if made else "The new password holds from now on."
    return Outcome(str(obj), ActionStatus.FINISHED, detail)


def invite(obj: Admin, form: ReasonForm, *, reason: str, actor: Admin) -> Outcome:
    """Send the invitation (again)."""
    _, url = admins.send_invitation(db.session(), admin=obj, reason=reason, actor=actor, now=utcnow())
    return _link_outcome(obj, url)


def _link_outcome(admin: Admin, url: str | None) -> Outcome:
    if url is None:
        return Outcome(str(admin), ActionStatus.FINISHED, f"A link is on its way to {admin.email}.")
    detail = f"No mail server is set in Settings. Pass this link on; it is shown only now: {url}"
    return Outcome(str(admin), ActionStatus.FINISHED, detail)


def withdraw(obj: Admin, form: ReasonForm, *, reason: str, actor: Admin) -> Action:
    """End an invitation."""
    return admins.withdraw_invitation(db.session(), admin=obj, reason=reason, actor=actor, now=utcnow())


def unlock(obj: Admin, form: ReasonForm, *, reason: str, actor: Admin) -> Action:
    """Lift a lock before its time."""
    return admins.unlock(db.session(), admin=obj, reason=reason, actor=actor, now=utcnow())


def remove_second_step(obj: Admin, form: ReasonForm, *, reason: str, actor: Admin) -> Action:
    """Let somebody in who has lost phone and codes."""
    return admins.remove_second_step(db.session(), admin=obj, reason=reason, actor=actor, now=utcnow())


def sign_out(obj: Admin, form: Any, *, reason: str, actor: Admin) -> Action:
    """End every session of an admin."""
    return admins.end_sessions(db.session(), admin=obj, reason=reason, actor=actor, now=utcnow())


_PROTECTED = (admins.AdminProtected,)

ACTIONS = (
    RecordAction(
        "change_status", "Change status", change_status, form=StatusForm, icon="status-change", refusals=_PROTECTED
    ),
    RecordAction(
        "unlock",
        "Unlock",
        unlock,
        icon="lock-open",
        help="Somebody failed to sign in too often. The lock ends by itself, too.",
        available=lambda admin: admin.is_locked(utcnow()),
        bulk=False,
        refusals=_PROTECTED,
    ),
    RecordAction(
        "invite",
        "Send invitation again",
        invite,
        icon="send",
        help="The links sent before hold no more.",
        available=lambda admin: admin.password_hash is None,
        refusals=_PROTECTED,
    ),
    RecordAction(
        "withdraw_invitation",
        "Withdraw invitation",
        withdraw,
        icon="ban",
        help="The link that was sent holds no more. The account stays, without a password.",
        available=lambda admin: admin.status is AdminStatus.INVITED,
        bulk=False,
        refusals=_PROTECTED,
    ),
    RecordAction(
        "reset_password",
        "Reset password",
        reset_password,
        form=PasswordForm,
        icon="password",
        bulk=False,
        help="Every session of the admin ends with the new password.",
        available=lambda admin: admin.password_hash is not None or admin.status is AdminStatus.INVITED,
        refusals=(*_PROTECTED, WeakPassword),
    ),
    RecordAction(
        "remove_second_step",
        "Remove two-step sign-in",
        remove_second_step,
        icon="shield-lock",
        danger=True,
        help="For an admin who has lost phone and recovery codes. Make sure that it is they who ask.",
        bulk=False,
        refusals=(*_PROTECTED, second_factor.NotSetUp),
    ),
    RecordAction(
        "sign_out",
        "Sign out everywhere",
        sign_out,
        icon="logout",
        help="Ends every session; the admin can sign in again.",
        refusals=_PROTECTED,
    ),
)
