"""Verifying what a user's profile says, and erasing it. Manual, "User profile fields", 4."""

from __future__ import annotations

from typing import Any

from flask import current_app
from wtforms import StringField, validators

from admin_views.base import ChoiceField, Outcome, ReasonForm, RecordAction
from admin_views.crm import verification_page
from admin_views.crm.verification_words import language_of, words
from app.charging import erasure
from app.core import mail_texts, settings, sms
from app.core.clock import utcnow
from app.core.db import db
from app.core.mail import queue_mail
from app.core.models import Action, ActionStatus, Admin
from app.crm import profile_fields, verbs, verification
from app.crm.models import User, VerificationKind

GROUP = "Profile"
SEND_MAIL, SEND_SMS = "Send Verification E-mail", "Send Verification SMS"


class CodeForm(ReasonForm):
    """What the user was sent."""

    code = StringField(
        "Code",
        [validators.InputRequired(), validators.Regexp(r"^\s*(\d\s*){6}$", message="The code has six digits.")],
        description="The six digits that were sent by SMS, as the user tells them.",
        render_kw={"autocomplete": "off", "inputmode": "numeric", "maxlength": 12, "required": True},
    )


class MarkForm(ReasonForm):
    """What is taken as verified."""

    kind = ChoiceField("What", choices=[(kind.value, kind.label) for kind in VerificationKind])

    def __init__(self, formdata: Any = None, obj: User | None = None, **options: Any) -> None:
        super().__init__(formdata, obj=None, **options)
        if obj is not None:
            self.kind.choices = [
                (kind.value, f"{kind.label}: {getattr(obj, kind.value)}")
                for kind in VerificationKind
                if _waits(obj, kind)
            ]


def _waits(user: User, kind: VerificationKind) -> bool:
    """Whether the settings ask for it and it was not done."""
    if user.erased_at is not None:
        return False
    open_fields = profile_fields.unverified(user, profile_fields.statuses(db.session()))
    return any(field.name == kind.value for field in open_fields)


def send_mail(obj: User, form: ReasonForm, *, reason: str, actor: Admin) -> Action:
    """Send the link, in the user's language."""
    session, now = db.session(), utcnow()
    row, token = verification.ask_by_mail(session, user=obj, now=now)
    language = language_of(obj.locale)
    say = words(language)
    text, html = mail_texts.render(
        session,
        "verification",
        subject=say["title"],
        lang=language,
        words=say,
        url=verification_page.address(token),
        name=obj.full_name,
    )
    key = f"verify-email:{row.id}"
    queue_mail(
        session, key=key, recipient=obj.email, subject=say["title"], body=text, html=html, confidential=True, now=now
    )
    return verbs.log_action(session, SEND_MAIL, obj, obj.email, f"To {obj.email}", reason, actor, now)


def send_sms(obj: User, form: ReasonForm, *, reason: str, actor: Admin) -> Action:
    """Send the code. Refused while no SMS can be sent: the code would be over before it is read."""
    session, now = db.session(), utcnow()
    sms.processor(session)
    row, code = verification.ask_by_sms(session, user=obj, secret_key=str(current_app.secret_key), now=now)
    company = settings.get_text(session, "system.company_name")
    text = words(language_of(obj.locale))["sms"].format(company, code)
    sms.queue_sms(session, recipient=row.sent_to, text=text, key=f"verify-phone:{row.id}", now=now)
    return verbs.log_action(session, SEND_SMS, obj, obj.email, f"To {row.sent_to}", reason, actor, now)


def enter_code(obj: User, form: CodeForm, *, reason: str, actor: Admin) -> Any:
    """Verify the number. A wrong code is no error here: that it was tried has to be kept."""
    answer, action = verification.try_code(
        db.session(),
        user=obj,
        code=form.code.data,
        secret_key=str(current_app.secret_key),
        reason=reason,
        actor=actor,
        now=utcnow(),
    )
    if action is not None:
        return action
    told = {
        verification.Answer.WRONG: "The code is wrong. Ask the user to read it again.",
        verification.Answer.OVER: "No code holds any more: it was used, is older than ten minutes, or was wrong too "
        "often. Send another one.",
    }
    return Outcome(str(obj), "Refused", told[answer])


def mark_verified(obj: User, form: MarkForm, *, reason: str, actor: Admin) -> Action:
    """Take it as verified on the operator's word."""
    kind = VerificationKind(form.kind.data)
    return verification.mark_verified(db.session(), user=obj, kind=kind, reason=reason, actor=actor, now=utcnow())


def erase(obj: User, form: ReasonForm, *, reason: str, actor: Admin) -> Outcome:
    """Remove the personal data for good."""
    action = erasure.erase_personal_data(db.session(), user=obj, reason=reason, actor=actor, now=utcnow())
    return Outcome(action.target_label, ActionStatus.FINISHED, action.info or "")


_NOTHING = (verification.NothingToVerify, verification.TooManyQuestions)

PROFILE_ACTIONS = (
    RecordAction(
        "send_verification_email",
        "Send verification e-mail",
        send_mail,
        icon="mail",
        group=GROUP,
        available=lambda user: _waits(user, VerificationKind.EMAIL),
        refusals=_NOTHING,
        help="A link that works once, within 48 hours. Earlier ones hold no more.",
    ),
    RecordAction(
        "send_verification_sms",
        "Send verification SMS",
        send_sms,
        icon="device-mobile",
        group=GROUP,
        available=lambda user: _waits(user, VerificationKind.PHONE),
        refusals=(*_NOTHING, sms.SmsNotSetUp, sms.NotAPhoneNumber),
        help="A code of six digits that holds for ten minutes. Earlier ones hold no more.",
    ),
    RecordAction(
        "enter_verification_code",
        "Enter verification code",
        enter_code,
        form=CodeForm,
        icon="keyboard",
        bulk=False,
        group=GROUP,
        available=lambda user: (
            _waits(user, VerificationKind.PHONE)
            and verification.open_question(db.session(), user=user, kind=VerificationKind.PHONE, now=utcnow())
            is not None
        ),
    ),
    RecordAction(
        "mark_verified",
        "Mark as verified",
        mark_verified,
        form=MarkForm,
        icon="user-check",
        bulk=False,
        group=GROUP,
        available=lambda user: any(_waits(user, kind) for kind in VerificationKind),
        refusals=_NOTHING,
        help="Where it was found out in another way that it is the user’s.",
    ),
    RecordAction(
        "erase",
        "Erase personal data",
        erase,
        permission="delete",
        icon="eraser",
        danger=True,
        bulk=False,
        group=GROUP,
        button="Erase for good",
        available=lambda user: user.erased_at is None,
        refusals=(erasure.CannotErase,),
        help="Removes e-mail, names, phone, address, car, RFID tags and payment methods for good, also from the logs. "
        "Charging sessions, balance history and transactions stay without a name, receipts as they were issued. "
        "The account is disabled. This cannot be undone.",
    ),
)
