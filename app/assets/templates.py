"""Templates of charge points: what a new charge point's form is filled with. Manual, "Create Template", "CP Templates".

A template holds what charge points of a model have in common. What belongs to one device or one site is left out: its
name, Charge Point ID, password, dates, zone and owner, and the IDs on its EVSEs' stickers.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.assets.models import (
    AccessType,
    ChargePoint,
    ChargePointTemplate,
    Connector,
    ConnectorFormat,
    ConnectorType,
    Evse,
    EvseStatus,
    EvseType,
    NetworkProtocol,
    NetworkType,
    PhaseRotation,
    SecurityProfile,
    SystemStatus,
)
from app.core.audit import record_change
from app.core.models import Admin

MAX_NAME_LENGTH = 255


class InvalidTemplateName(ValueError):
    """A template's name is not empty, not too long, and no other template's."""


class _Content(BaseModel):
    """What was not known when the template was made, or means nothing today, is None: the form keeps its default."""

    model_config = ConfigDict(extra="ignore")

    @field_validator("*", mode="wrap")
    @classmethod
    def _or_nothing(cls, value: Any, handler: Callable[[Any], Any], info: ValidationInfo) -> Any:
        many = info.field_name in ("evses", "connectors", "tags")
        if many and isinstance(value, list):
            wanted = str if info.field_name == "tags" else dict | BaseModel
            value = [each for each in value if isinstance(each, wanted)]
        try:
            return handler(value)
        except ValidationError:
            return [] if many else None

    @classmethod
    def of(cls, row: Any) -> Self:
        """The fields of that name of a record."""
        return cls.model_validate(
            {name: getattr(row, name) for name in cls.model_fields if name not in ("evses", "connectors", "tags")}
        )


class ConnectorContent(_Content):
    """A plug or socket."""

    type: ConnectorType | None = None
    format: ConnectorFormat | None = None
    status: EvseStatus | None = None


class EvseContent(_Content):
    """An EVSE without its ID. Power in W, current in A."""

    type: EvseType | None = None
    network_id: int | None = None
    max_power_w: int | None = None
    tariff_group_id: int | None = None
    reservation_minutes: int | None = None
    tags: list[str] = []
    status: EvseStatus | None = None
    max_current_a: Decimal | None = None
    phases: int | None = None
    connected_phase: int | None = None
    phase_rotation: PhaseRotation | None = None
    connectors: list[ConnectorContent] = []


class TemplateContent(_Content):
    """A charge point without what is its own."""

    network_type: NetworkType | None = None
    access_type: AccessType | None = None
    show_to_public_with_notice: bool | None = None
    notice_id: int | None = None
    status: SystemStatus | None = None
    managed_by_operator: bool | None = None
    protocol: NetworkProtocol | None = None
    security_profile: SecurityProfile | None = None
    plug_and_charge: bool | None = None
    local_auth_list: bool | None = None
    auto_recovery: bool | None = None
    load_management: bool | None = None
    max_current_a: Decimal | None = None
    phases: int | None = None
    input_voltage_v: int | None = None
    connected_phase: int | None = None
    phase_rotation: PhaseRotation | None = None
    evses: list[EvseContent] = []


def content_of(charge_point: ChargePoint) -> TemplateContent:
    """What a template keeps of a charge point."""
    content = TemplateContent.of(charge_point)
    content.evses = [_evse(evse) for evse in charge_point.evses]
    return content


def _evse(evse: Evse) -> EvseContent:
    content = EvseContent.of(evse)
    content.tags = [tag.name for tag in evse.tags]
    content.connectors = [_connector(connector) for connector in evse.connectors]
    return content


def _connector(connector: Connector) -> ConnectorContent:
    return ConnectorContent.of(connector)


def read_content(template: ChargePointTemplate) -> TemplateContent:
    """What a template holds. Unknown keys and values that mean nothing today are left out; nothing raises."""
    stored: Any = template.content
    return TemplateContent.model_validate(stored if isinstance(stored, dict) else {})


def plain(content: BaseModel) -> dict[str, Any]:
    """Content as JSON values, without what it does not say."""
    return content.model_dump(mode="json", exclude_none=True)


def clean_name(session: Session, name: str, *, but: int | None = None) -> str:
    """The name without spaces around it. Raises InvalidTemplateName; ``but`` is the template that is being renamed."""
    clean = name.strip()
    if not clean:
        raise InvalidTemplateName("Enter a name.")
    if len(clean) > MAX_NAME_LENGTH:
        raise InvalidTemplateName(f"At most {MAX_NAME_LENGTH} characters.")
    same = select(ChargePointTemplate.id).where(
        func.lower(ChargePointTemplate.name) == clean.lower(), ChargePointTemplate.id != (but or 0)
    )
    if session.scalar(same.limit(1)) is not None:
        raise InvalidTemplateName(f"There is a template “{clean}” already.")
    return clean


def create_template(
    session: Session, *, charge_point: ChargePoint, name: str, actor: Admin | None, now: datetime
) -> ChargePointTemplate:
    """Keep a charge point's profile under a name; flushes. Raises InvalidTemplateName."""
    template = ChargePointTemplate(
        name=clean_name(session, name), content=plain(content_of(charge_point)), created_at=now
    )
    session.add(template)
    session.flush()
    record_change(
        session,
        actor=actor,
        event="create",
        object_type=ChargePointTemplate.__tablename__,
        object_id=template.id,
        label=template.name,
        before={},
        after={"name": template.name, "from": charge_point.name},
    )
    return template


def label_of(value: Any) -> Any:
    """An enum's label; anything else as it is."""
    return getattr(value, "label", value.value) if isinstance(value, Enum) else value
