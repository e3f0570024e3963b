"""From model columns to form fields, for every type we store."""

from __future__ import annotations

import enum
from decimal import Decimal
from typing import Any

from flask_admin.contrib.sqla.fields import QuerySelectField, QuerySelectMultipleField
from flask_admin.contrib.sqla.form import AdminModelConverter
from flask_admin.model.fields import AjaxSelectField, AjaxSelectMultipleField
from flask_admin.model.form import converts
from sqlalchemy import TypeDecorator
from sqlalchemy.sql.elements import TextClause
from wtforms import fields as wtf
from wtforms import validators

from admin_views import formats
from admin_views.widgets import fields
from admin_views.widgets.i18n import I18nField
from admin_views.widgets.lookups import scoped

_NOTHING = object()


def server_value(column: Any) -> Any:
    """A column's plain server default as text: 'active', 'true', '1'; None when it is computed."""
    argument = getattr(column.server_default, "arg", None)
    text = argument.text if isinstance(argument, TextClause) else argument
    if not isinstance(text, str) or "(" in text:
        return None
    return text.split("::")[0].strip("'")


# Methods carry the names of those they replace: Flask-Admin registers all methods in alphabetical order, so that
# one of another name for the same type might lose.
class Converter(AdminModelConverter):
    """Flask-Admin's converter with our fields, labels in words and scoped relations."""

    def _get_label(self, name: str, field_args: Any) -> str:
        if "label" in field_args:
            return str(field_args["label"])
        labels = getattr(self.view, "column_labels", None) or {}
        return str(labels.get(name) or formats.words(name))

    def get_converter(self, column: Any) -> Any:
        """Look through type decorators to the type that is stored."""
        kind = column.type
        if column.info.get("i18n"):
            return self.convert_i18n
        if _is_timezone(column):
            return self.convert_timezone_name
        if isinstance(kind, TypeDecorator):
            found = super().get_converter(column)
            return found or super().get_converter(_Typed(kind.impl_instance))
        return super().get_converter(column)

    def convert(self, model: Any, mapper: Any, name: str, prop: Any, field_args: Any, hidden_pk: bool) -> Any:
        """As Flask-Admin's, plus ``i18n_fields`` of the view and server defaults in new forms."""
        if hasattr(prop, "columns") and len(prop.columns) == 1:
            multilingual = getattr(self.view, "i18n_fields", ())
            overrides = getattr(self.view, "form_overrides", None) or {}
            if name in multilingual and name not in overrides:
                self.view.form_overrides = {**overrides, name: I18nField}
            field_args = _with_default(prop.columns[0], dict(field_args or {}))
        return super().convert(model, mapper, name, prop, field_args, hidden_pk)

    def _model_select_field(self, prop: Any, multiple: Any, remote_model: Any, **kwargs: Any) -> Any:
        loader = getattr(self.view, "_form_ajax_refs", {}).get(prop.key)
        if loader:
            return (AjaxSelectMultipleField if multiple else AjaxSelectField)(loader, **kwargs)
        session = self.session
        kwargs.setdefault(
            "query_factory",
            lambda: scoped(getattr(session, "session", session).query(remote_model), remote_model),
        )
        if multiple:
            return QuerySelectMultipleField(**kwargs)
        kwargs.setdefault("blank_text", "—")
        return QuerySelectField(**kwargs)

    @converts("sqlalchemy.sql.sqltypes.Enum")
    def convert_enum(self, column: Any, field_args: Any, **extra: Any) -> Any:
        """Members by label."""
        if column.type.enum_class is None:
            field_args["choices"] = [(value, formats.sentence(value)) for value in column.type.enums]
            return fields.ChoiceField(allow_blank=column.nullable, **field_args)
        return fields.EnumField(enum_class=column.type.enum_class, allow_blank=column.nullable, **field_args)

    @converts("Uuid", "UUID", "sqlalchemy.dialects.postgresql.base.UUID")
    def conv_PGUuid(self, column: Any, field_args: Any, **extra: Any) -> Any:
        """A UUID as text, checked."""
        field_args["validators"].append(validators.UUID(message="Enter a UUID."))
        field_args["filters"] = [lambda text: text or None]
        return wtf.StringField(**field_args)

    @converts("Interval")
    def convert_interval(self, field_args: Any, **extra: Any) -> Any:
        """A span of time."""
        return fields.DurationField(**field_args)

    @converts("Numeric", "Float", "Double")
    def handle_decimal_types(self, column: Any, field_args: Any, **extra: Any) -> Any:
        """An exact number within the column's precision."""
        kind = column.type
        kind = kind.impl_instance if isinstance(kind, TypeDecorator) else kind
        if kind.precision and kind.scale is not None:
            limit = 10 ** (kind.precision - kind.scale)
            field_args["validators"].append(validators.NumberRange(-limit + 1, limit - 1))
        return fields.DecimalField(**field_args)

    @converts("Integer")
    def handle_integer_types(self, column: Any, field_args: Any, **extra: Any) -> Any:
        """A whole number within the column's width."""
        names = {cls.__name__ for cls in type(column.type).__mro__}
        bits = 64 if "BigInteger" in names else 16 if "SmallInteger" in names else 32
        return fields.IntegerField(bits=bits, **field_args)

    @converts("DateTime", "TIMESTAMP")
    def convert_datetime(self, field_args: Any, **extra: Any) -> Any:
        """A moment in the admin's zone."""
        return fields.LocalDateTimeField(**field_args)

    @converts("Date")
    def convert_date(self, field_args: Any, **extra: Any) -> Any:
        """A day."""
        return fields.DateField(**field_args)

    @converts("JSON", "JSONB")
    def convert_JSON(self, field_args: Any, **extra: Any) -> Any:
        """JSON as text; multilingual columns are named in ``i18n_fields``."""
        return fields.JsonField(**field_args)

    @converts("sqlalchemy.dialects.postgresql.array.ARRAY", "sqlalchemy.sql.sqltypes.ARRAY", "ARRAY")
    def conv_ARRAY(self, column: Any, field_args: Any, **extra: Any) -> Any:
        """Tags, or a choice of several members."""
        enum_class = getattr(column.type.item_type, "enum_class", None)
        if enum_class is not None:
            return fields.EnumListField(enum_class=enum_class, **field_args)
        return fields.ListField(coerce=column.type.item_type.python_type, **field_args)

    def convert_i18n(self, field_args: Any, **extra: Any) -> Any:
        """A text per language (columns marked ``info={"i18n": True}``)."""
        return I18nField(**field_args)

    def convert_timezone_name(self, column: Any, field_args: Any, **extra: Any) -> Any:
        """An IANA zone (text columns named timezone)."""
        return fields.TimezoneField(allow_blank=column.nullable, **field_args)


class _Typed:
    """A stand-in column of another type."""

    def __init__(self, kind: Any) -> None:
        self.type = kind


def _is_timezone(column: Any) -> bool:
    return column.name in ("timezone", "time_zone") or bool(column.info.get("timezone"))


def _with_default(column: Any, field_args: dict[str, Any]) -> dict[str, Any]:
    """Fill a new form with the server's default, and ask for what may not be empty."""
    text = server_value(column)
    if text is None or column.primary_key:
        return field_args
    enum_class: type[enum.Enum] | None = getattr(column.type, "enum_class", None)
    kind = None if enum_class else _python_type(column)
    value: Any = _NOTHING
    if enum_class is not None:
        value = next((member for member in enum_class if text in (member.value, member.name)), _NOTHING)
    elif kind is bool:
        value = text == "true"
    elif kind is int and text.lstrip("-").isdigit():
        value = int(text)
    elif kind is Decimal:
        value = Decimal(text)
    elif kind is str:
        value = text
    if value is not _NOTHING:
        field_args.setdefault("default", value)
    if kind in (int, Decimal) and not column.nullable:
        field_args["validators"] = [*field_args.get("validators", ()), validators.InputRequired()]
    return field_args


def _python_type(column: Any) -> type | None:
    try:
        return column.type.python_type
    except NotImplementedError:  # JSON and the like have none
        return None
