"""Creating, changing and deleting a record: permission, scope, lost updates, plain messages, audit."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from flask import abort, flash, redirect, request
from flask_admin import expose
from flask_admin.helpers import get_form_data, get_redirect_target
from flask_login import current_user
from sqlalchemy import func, inspect, select
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm.exc import StaleDataError
from wtforms.validators import ValidationError

from admin_views import formats
from admin_views.widgets.inline import InlineList
from admin_views.widgets.tabs import own_errors, panes, walk
from app.core.audit import record_change
from app.core.db import Base

SECRET = re.compile(r"password|secret|token|_hash$|api_key")
UNIQUE, FOREIGN_KEY, NOT_NULL, CHECK = "23505", "23503", "23502", "23514"


class FieldVanished(Exception):
    """A declared form field got no field, or none of the tabs shows it."""


def snapshot(obj: Any, names: Any) -> dict[str, Any]:
    """The named attributes of a record as plain data; records in it by name, nested ones in full."""
    return {name: _plain(getattr(obj, name)) for name in names if not SECRET.search(name)}


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple | set):
        return [_row(item) for item in value]
    return str(value) if hasattr(value, "_sa_instance_state") else value


def _row(item: Any) -> Any:
    if not hasattr(item, "_sa_instance_state"):
        return item
    mapper = inspect(type(item))
    columns = {attr.key: getattr(item, attr.key) for attr in mapper.column_attrs if not SECRET.search(attr.key)}
    children = {
        relation.key: [_row(child) for child in getattr(item, relation.key)]
        for relation in mapper.relationships
        if relation.uselist and relation.cascade.delete_orphan and relation.key not in inspect(item).unloaded
    }
    return {"": str(item), **columns, **children}


class EditMixin:
    """The create and edit pages and deletion. Joined into ``BaseView``."""

    # --- checks at start-up -----------------------------------------------------------------------------

    def check_form_fields(self) -> None:
        """Raise FieldVanished if a declared field is on neither form (unknown type, or left out of the tabs)."""
        declared = [str(name) for name in self.form_columns or ()] + list(self.form_extra_fields or ())
        for form_class in (self._create_form_class, self._edit_form_class):
            missing = [name for name in dict.fromkeys(declared) if not hasattr(form_class, name)]
            if missing:
                raise FieldVanished(f"{type(self).__name__}: no form field for {', '.join(missing)}")

    def _show_missing_fields_warning(self, text: str) -> None:
        raise FieldVanished(f"{type(self).__name__}: {text}")

    # --- lost updates -------------------------------------------------------------------------------------

    def version_of(self, obj: Any) -> str:
        """What the form remembers of a record's state: its version column, else a digest of its columns."""
        mapper = inspect(type(obj))
        if mapper.version_id_col is not None:
            return str(getattr(obj, mapper.get_property_by_column(mapper.version_id_col).key))
        names = sorted(attr.key for attr in mapper.column_attrs if attr.key in (self.form_columns or ()))
        text = repr([(name, getattr(obj, name)) for name in names])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    # --- audit --------------------------------------------------------------------------------------------

    def audited(self, obj: Any) -> dict[str, Any]:
        """What the audit keeps of a record: its columns and whatever the form edits."""
        mapper = inspect(type(obj))
        names = [attr.key for attr in mapper.column_attrs if attr.key not in self.audit_ignored]
        names += [str(name) for name in self._edit_form_class.__dict__ if name in mapper.relationships]
        return snapshot(obj, dict.fromkeys(names))

    def record(self, event: str, obj: Any, before: dict[str, Any], after: dict[str, Any]) -> None:
        """Write an audit entry in the transaction of the change."""
        record_change(
            self.db_session,
            actor=current_user._get_current_object(),
            event=event,
            object_type=self.object_type,
            object_id=self.get_pk_value(obj),
            label=str(obj),
            before=before,
            after=after,
        )

    @property
    def object_type(self) -> str:
        """How the audit and the Actions log call records of this kind: the table's name."""
        return str(self.model.__tablename__)

    # --- create -------------------------------------------------------------------------------------------

    @expose("/new/", methods=("GET", "POST"))
    def create_view(self) -> Any:
        """The form for a new record."""
        self.require("create")
        form = self.create_form()
        if request.method == "POST":
            if form.validate():
                obj = self.create_model(form)
                if obj is not None:
                    flash(f"{self.singular} “{obj}” was created.", "success")
                    return redirect(self._after_save(obj))
            return self.render_form(form, None), 422
        return self.render_form(form, None)

    def create_form(self, obj: Any = None) -> Any:
        """The form, prefilled from arguments that name fields (``?zone=5``)."""
        form = self._create_form_class(get_form_data(), obj=obj)
        if request.method == "GET":
            for name, value in request.args.items():
                if name in form and hasattr(form[name], "loader"):
                    form[name].data = form[name].loader.get_one(value)
                elif name in form and isinstance(form[name].data, str | None):
                    form[name].process_formdata([value])
        return form

    def create_model(self, form: Any) -> Any:
        """Save a new record with its audit entry, or explain on the form why not and return None."""
        session = self.db_session
        obj = self.build_new_instance()
        try:
            with session.no_autoflush:
                form.populate_obj(obj)
                self.on_model_change(form, obj, True)
            session.add(obj)
            session.flush()
            self.record("create", obj, {}, self.audited(obj))
            session.commit()
        except (ValidationError, IntegrityError, DataError, *self.refusals) as error:
            session.rollback()
            self.explain(error, form)
            return None
        self.after_model_change(form, obj, True)
        return obj

    # --- edit ---------------------------------------------------------------------------------------------

    @expose("/edit/", methods=("GET", "POST"))
    def edit_view(self) -> Any:
        """The form of a record. 409 with the admin's input kept if somebody else saved meanwhile."""
        self.require("edit")
        obj = self.get_one(request.args.get("id"), lock=request.method == "POST")
        if not self.can_edit_row(obj):
            abort(403)
        stored = {name: getattr(obj, name) for name in self._plain_fields(obj)}
        form = self.edit_form(obj)
        if request.method == "GET":
            self.on_form_prefill(form, request.args.get("id"))
            return self.render_form(form, obj)
        if request.form.get("_version", "") != self.version_of(obj):
            return self._conflict(form, obj, stored)
        if form.validate() and self.update_model(form, obj):
            flash(f"{self.singular} “{obj}” was saved.", "success")
            return redirect(self._after_save(obj))
        if getattr(form, "stale", False):
            fresh = self.get_one(request.args.get("id"))
            return self._conflict(form, fresh, stored)
        return self.render_form(form, self.get_one(request.args.get("id"))), 422

    def edit_form(self, obj: Any = None) -> Any:
        """The form, filled from the record and what was posted."""
        return self._edit_form_class(get_form_data(), obj=obj)

    def _plain_fields(self, obj: Any) -> list[str]:
        mapper = inspect(type(obj))
        names = [str(name) for name in self.form_columns or () if hasattr(obj, str(name))]
        return [name for name in names if name in mapper.column_attrs or _is_single(mapper, name)]

    def _conflict(self, form: Any, obj: Any, stored: dict[str, Any]) -> Any:
        differences = [
            (bound.label.text, formats.label(stored[bound.name]) or "—")
            for bound in form
            if bound.name in stored and stored[bound.name] != bound.data
        ]
        self.db_session.rollback()
        obj = self.get_one(request.args.get("id"))
        return self.render_form(form, obj, conflict=True, differences=differences), 409

    def update_model(self, form: Any, model: Any) -> bool:
        """Save changes with their audit entry, or explain on the form why not and return False."""
        session = self.db_session
        before = self.audited(model)
        try:
            with session.no_autoflush:
                form.populate_obj(model)
                self.on_model_change(form, model, False)
            session.flush()
            self.record("change", model, before, self.audited(model))
            session.commit()
        except StaleDataError:
            session.rollback()
            form.stale = True
            return False
        except (ValidationError, IntegrityError, DataError, *self.refusals) as error:
            session.rollback()
            self.explain(error, form)
            return False
        self.after_model_change(form, model, False)
        return True

    # --- delete -------------------------------------------------------------------------------------------

    @expose("/delete/", methods=("GET", "POST"))
    def delete_view(self) -> Any:
        """GET: the question. POST: delete the record, or say what still uses it."""
        self.require("delete")
        obj = self.get_one(request.values.get("id"))
        if not self.can_delete_row(obj):
            abort(403)
        if request.method == "GET":
            return self.render("model/_delete.html", obj=obj, warning=self.delete_warning(obj))
        label = str(obj)
        if self.delete_model(obj):
            flash(f"{self.singular} “{label}” was deleted.", "success")
            return redirect(self.get_url(f"{self.endpoint}.index_view"))
        return redirect(self.get_url(f"{self.endpoint}.details_view", id=request.values["id"]))

    def delete_warning(self, obj: Any) -> str:
        """What else is lost when the record goes, said before it does."""
        return ""

    def delete_model(self, model: Any) -> bool:
        """Delete with an audit entry; False and a message if other records still need it."""
        session = self.db_session
        label = str(model)
        try:
            self.on_model_delete(model)
            self.record("delete", model, self.audited(model), {})
            session.delete(model)
            session.flush()
            session.commit()
        except IntegrityError as error:
            session.rollback()
            table = _table_of(error)
            user = f"{formats.words(table)} records" if table else "other records"
            flash(f"“{label}” cannot be deleted, because {user} still use it.", "danger")
            return False
        except (ValidationError, *self.refusals) as error:
            session.rollback()
            flash(str(error), "danger")
            return False
        self.after_model_delete(model)
        return True

    # --- messages -----------------------------------------------------------------------------------------

    def _taken(self, form: Any, table: str, column: str) -> str:
        """Which of the values entered for a column is somebody else's already, or was entered twice."""
        bounds = [bound for bound in walk(form) if bound.short_name == column and isinstance(bound.data, str)]
        entered = [bound.data for bound in bounds]
        folded = [text.lower() for text in entered]
        twice = next((text for text in entered if folded.count(text.lower()) > 1), None)
        if twice is not None:
            return str(twice)
        changed = [bound.data for bound in bounds if bound.data != bound.object_data]
        kept = Base.metadata.tables[table].c[column]
        asked = select(func.lower(kept)).where(func.lower(kept).in_([text.lower() for text in changed]))
        there = set(self.db_session.scalars(asked))
        return str(next((text for text in changed if text.lower() in there), entered[-1] if entered else ""))

    def explain(self, error: Exception, form: Any) -> None:
        """Put an error where the admin can act on it: at its field, else above the form."""
        if not isinstance(error, IntegrityError):
            message = "A value does not fit." if isinstance(error, DataError) else str(error)
            form.problem = message
            return
        diagnosis = getattr(error.orig, "diag", None)
        constraint = getattr(diagnosis, "constraint_name", None) or ""
        if constraint in self.constraint_messages:
            name, message = self.constraint_messages[constraint]
            _blame(form, name, message, None)
            return
        state = getattr(error.orig, "sqlstate", "")
        detail = getattr(diagnosis, "message_detail", None) or ""
        columns, value = _key_of(detail)
        if state == UNIQUE and not columns:  # PostgreSQL tells no values of tables with row-level security
            columns = _columns_of(_table_of(error), constraint)
            value = self._taken(form, _table_of(error), columns[-1]) if columns else ""
        column = getattr(diagnosis, "column_name", None) or ""
        if state == UNIQUE and columns:
            _blame(form, columns[-1], f"“{value}” is already in use.", value)
        elif state == NOT_NULL and column:
            _blame(form, column, "This field is required.", None)
        elif state == FOREIGN_KEY:
            form.problem = "Other records still use something that would be removed, or a chosen record is gone."
        elif state == CHECK:
            form.problem = f"The database refuses this: {formats.sentence(constraint.removeprefix('ck_'))}."
        else:
            form.problem = "The database refuses this change."

    # --- drawing ------------------------------------------------------------------------------------------

    def render_form(self, form: Any, obj: Any, **context: Any) -> str:
        """The page of a form; ``obj`` is None for a new record."""
        rules = self._form_edit_rules if obj is not None else self._form_create_rules
        return str(
            self.render(
                self.edit_template if obj is not None else self.create_template,
                form=form,
                panes=panes(form, rules),
                model=obj,
                version=self.version_of(obj) if obj is not None else "",
                problem=getattr(form, "problem", ""),
                cancel_url=self._cancel_url(obj),
                **context,
            )
        )

    def _cancel_url(self, obj: Any) -> str:
        target = get_redirect_target()
        if target:
            return str(target)
        if obj is not None and self.can_view_details:
            return str(self.get_url(f"{self.endpoint}.details_view", id=self.get_pk_value(obj)))
        return str(self.get_url(f"{self.endpoint}.index_view"))

    def _after_save(self, obj: Any) -> str:
        if "_add_another" in request.form and self.can_create:
            return str(self.get_url(f"{self.endpoint}.create_view"))
        if "_continue_editing" in request.form:
            return str(self.get_url(f"{self.endpoint}.edit_view", id=self.get_pk_value(obj)))
        return str(self.get_save_return_url(obj, False))

    def get_save_return_url(self, model: Any, is_created: bool = False) -> str:
        """Where saving leads: back where the admin came from, else to the record."""
        target = get_redirect_target()
        if target:
            return str(target)
        if self.can_view_details:
            return str(self.get_url(f"{self.endpoint}.details_view", id=self.get_pk_value(model)))
        return str(self.get_url(f"{self.endpoint}.index_view"))


def _is_single(mapper: Any, name: str) -> bool:
    return name in mapper.relationships and not mapper.relationships[name].uselist


def _key_of(detail: str) -> tuple[list[str], str]:
    """Columns and value of PostgreSQL's 'Key (lower(email))=(a@b.c) already exists.'"""
    match = re.search(r"Key \((.+?)\)=\((.*?)\)(?: |$)", detail)
    if match is None:
        return [], ""
    names = re.findall(r"[a-z_][a-z0-9_]*", re.sub(r"::\w+|\b(?:lower|upper)\b", "", match[1]))
    return names, match[2].split(", ")[-1]


def _columns_of(table: str, constraint: str) -> list[str]:
    """The columns that a unique constraint or index of ours is named after; empty for any other name."""
    known = Base.metadata.tables.get(table)
    name = re.sub(r"_(lower|upper)$", "", constraint.removeprefix(f"uq_{table}_"))
    if known is None or name == constraint:
        return []
    found = [column.name for column in known.columns if re.search(rf"(^|_){re.escape(column.name)}(_|$)", name)]
    return sorted(found, key=name.index) if found else []


def _table_of(error: IntegrityError) -> str:
    return str(getattr(getattr(error.orig, "diag", None), "table_name", "") or "")


def _blame(form: Any, name: str, message: str, value: str | None) -> None:
    """Put a message at the field of that column, the one with the value if nested forms have several."""
    candidates = [bound for bound in walk(form) if bound.short_name in (name, name.removesuffix("_id"))]
    if value is not None and len(candidates) > 1:
        candidates = [b for b in candidates if str(b.data).lower() == value.lower()] or candidates
    if not candidates or isinstance(candidates[-1], InlineList):
        form.problem = f"{formats.words(name)}: {message}"
        return
    bound = candidates[-1]
    bound.errors = [*own_errors(bound), message]
