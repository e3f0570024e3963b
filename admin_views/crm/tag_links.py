"""A Tag ID as a link to its RFID tag, wherever the card was used."""

from __future__ import annotations

from typing import Any

from admin_views import formats
from admin_views.base import url_if
from admin_views.widgets.cells import link
from app.core import principal
from app.crm import queries


def tag_link(view: Any, context: Any, obj: Any, name: str) -> Any:
    """For ``column_formatters_detail``: the tag that has this Tag ID now; plain text where nobody's or out of sight."""
    tag_id = getattr(obj, name)
    if not tag_id:
        return formats.NOTHING
    if principal.current().is_partner or not view.may("crm.rfid_tag.view"):
        return tag_id
    tag = queries.find_tag(view.db_session, tag_id=tag_id)
    url = url_if("rfid_tag.details_view", id=tag.id) if tag is not None else None
    return link(url, tag_id) if url else tag_id
