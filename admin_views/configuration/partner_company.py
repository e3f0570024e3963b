"""CONFIGURATION > Company Details as a partner's Owner has it: the partner's own. Manual, "Partner Roles"."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, redirect, request
from flask_admin.form import BaseForm
from flask_admin.helpers import get_form_data
from flask_login import current_user
from wtforms import StringField, TextAreaField

from admin_views.crm.partners import COMPANY_ARGS
from app.core import principal
from app.core.db import db
from app.partners import verbs
from app.partners.models import Partner


class CompanyForm(BaseForm):
    """The company and how to reach it."""

    company_name = StringField(**COMPANY_ARGS["company_name"])
    address = TextAreaField(**COMPANY_ARGS["address"])
    registration_no = StringField(**COMPANY_ARGS["registration_no"])
    vat_no = StringField(**COMPANY_ARGS["vat_no"])
    contact_email = StringField(**COMPANY_ARGS["contact_email"])
    contact_phone = StringField(**COMPANY_ARGS["contact_phone"])


def own_company(page: Any) -> Any:
    """The form of one's own company; POST saves it, unless somebody else did meanwhile."""
    page.require("view")
    may_edit = page.may(f"{page.resource}.edit")
    if request.method == "GET":
        partner = _own()
        return _draw(page, CompanyForm(obj=partner), partner, may_edit=may_edit)
    page.require("edit")
    partner = _own(lock=True)
    form = CompanyForm(get_form_data(), obj=partner)
    if request.form.get("_version", "") != str(partner.version):
        return _draw(page, form, partner, may_edit=True, conflict=True), 409
    if form.validate() and _save(form, partner):
        flash("Company details were saved.", "success")
        return redirect(page.get_url(".index"), code=303)
    return _draw(page, form, _own(), may_edit=True), 422


def _own(*, lock: bool = False) -> Partner:
    query = db.session.query(Partner).filter(Partner.id == principal.current().partner_id)
    found: Partner | None = (query.with_for_update() if lock else query).one_or_none()
    return found or abort(404)


def _save(form: CompanyForm, partner: Partner) -> bool:
    values = {name: form[name].data for name in verbs.COMPANY}
    try:
        verbs.change_company(db.session(), partner=partner, values=values, actor=current_user._get_current_object())
    except verbs.InvalidCompany as mistake:
        db.session.rollback()
        form[mistake.field].errors = [str(mistake)]
        return False
    db.session.commit()
    return True


def _draw(page: Any, form: CompanyForm, partner: Partner, *, may_edit: bool, conflict: bool = False) -> Any:
    return page.render(
        "configuration/partner_company.html", form=form, partner=partner, may_edit=may_edit, conflict=conflict
    )
