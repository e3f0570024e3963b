"""CONTENT > Contacts: how drivers reach the operator."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, request
from flask_admin import expose
from flask_admin.form import BaseForm
from flask_login import current_user
from wtforms import StringField

from admin_views.base import I18nTextArea, PageView
from admin_views.content.words import SECTION
from app.content import contacts
from app.core.db import db


class ContactsForm(BaseForm):
    """The four of them."""

    email = StringField("Support e-mail", description="Shown on public pages and in the driver’s app.")
    phone = StringField("Phone", description="As it is dialled from abroad, such as +359 2 123 4567.")
    hours = I18nTextArea("Hours", description="When somebody answers.", max_length=500)
    address = I18nTextArea("Address", description="As on letters, line by line.", max_length=500)


class ContactsView(PageView):
    """One form."""

    resource, title, section, icon = "content.contact", "Contacts", SECTION, "headset"

    @expose("/", methods=("GET", "POST"))
    def index(self) -> Any:
        """The page; POST saves it."""
        self.require("view")
        stored = contacts.contacts(db.session())
        form = ContactsForm(request.form if request.method == "POST" else None, obj=stored)
        if request.method == "GET":
            return self._page(form)
        self.require("edit")
        if not form.validate():
            return self._page(form), 422
        try:
            contacts.change_contacts(
                db.session(),
                email=form.email.data or "",
                phone=form.phone.data or "",
                hours=form.hours.data,
                address=form.address.data,
                actor=current_user._get_current_object(),
            )
        except contacts.InvalidContact as error:
            db.session.rollback()
            form[error.field].errors = [str(error)]
            return self._page(form), 422
        db.session.commit()
        flash("Saved. Public pages show it within a minute.", "success")
        return redirect(self.get_url(".index"), code=303)

    def _page(self, form: ContactsForm) -> str:
        return self.render(
            "content/contacts.html", form=form, may_edit=self.may("content.contact.edit"), failing=bool(form.errors)
        )
