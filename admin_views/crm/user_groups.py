"""CRM > User Groups: sets of users that tariffs can be restricted to. Manual, "Restrictions"."""

from __future__ import annotations

from typing import Any

from wtforms import validators

from admin_views.base import BaseView, Facts, Related
from admin_views.crm import figures
from admin_views.widgets.cells import records
from app.crm import queries
from app.crm.models import User, UserGroup
from app.tariffs.models import Tariff, tariff_user_group


class GroupHasTariffs(ValueError):
    """Tariffs are restricted to the group; without it they would apply to others."""


def _members(query: Any, group: UserGroup) -> Any:
    return query.filter(User.groups.any(UserGroup.id == group.id))


def _tariffs(query: Any, group: UserGroup) -> Any:
    return query.filter(
        Tariff.id.in_(
            tariff_user_group.select()
            .with_only_columns(tariff_user_group.c.tariff_id)
            .where(tariff_user_group.c.user_group_id == group.id)
        )
    )


class UserGroupView(BaseView):
    """A name, its users, and the tariffs made for them."""

    resource, singular, plural = "crm.user_group", "User Group", "User Groups"
    section, icon = "CRM", "users-group"
    description = "Users are put into a group on their own page, or many at once in CRM > Users."
    empty_hint = "Make a group, put users into it, and restrict a tariff to it."

    column_list = ("name", "user_count", "tariffs")
    column_labels = {"user_count": "Users", "tariffs": "Tariffs restricted to it", "users.email": "User’s e-mail"}
    column_formatters = {
        "user_count": lambda view, context, group, name: f"{group.user_count:,}",
        "tariffs": lambda view, context, group, name: records(getattr(group, "restricted", ())),
    }
    column_searchable_list = ("name",)
    column_sortable_list = ("name",)
    column_default_sort = "name"
    column_filters = ("name", "users.email")
    column_export_list = ("id", "name")

    form_columns = ("name",)
    form_args = {
        "name": {
            "validators": [validators.InputRequired(), validators.Length(max=120)],
            "description": "Only visible to admins.",
        }
    }
    constraint_messages = {"uq_user_group_name": ("name", "There is a user group of this name already.")}
    refusals = (GroupHasTariffs,)
    details_tabs = (Facts("General", ("id", "name", "user_count", "tariffs")),)
    related = (
        Related("Users", "user", _members, columns=("status", "email", "phone", "created_at")),
        Related("Tariffs", "tariff", _tariffs),
    )

    def count(self, groups: list[UserGroup]) -> None:
        """Note on each group how many users it has, and its tariffs."""
        ids = [group.id for group in groups]
        counts = queries.member_counts(self.db_session, group_ids=ids)
        tariffs = figures.tariffs_of_groups(self.db_session, group_ids=ids)
        for group in groups:
            group.user_count = counts.get(group.id, 0)  # type: ignore[attr-defined]
            group.restricted = tariffs.get(group.id, [])  # type: ignore[attr-defined]

    def prepared(self, rows: list[Any]) -> list[Any]:
        """With the counts."""
        self.count(rows)
        return rows

    def details_context(self, obj: Any) -> dict[str, Any]:
        """With the counts."""
        self.count([obj])
        return super().details_context(obj)

    def on_model_delete(self, model: Any) -> None:
        """Refuse while tariffs are restricted to it."""
        tariffs = figures.tariffs_of_groups(self.db_session, group_ids=[model.id]).get(model.id, [])
        if tariffs:
            names = ", ".join(f"“{tariff.name}”" for tariff in tariffs[:10])
            raise GroupHasTariffs(
                f"“{model.name}” cannot be deleted, because these tariffs are restricted to it: {names}."
            )
