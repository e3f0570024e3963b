"""The form of a charge point: five tabs, EVSEs and connectors inside. Manual, "Adding a Charge Point"."""

from __future__ import annotations

from typing import Any

from wtforms import validators

from admin_views.assets.fields import (
    ChargePointIdField,
    ClearPasswordField,
    EvseCodeField,
    KilowattField,
    NetworkPasswordField,
    TagsField,
    TariffGroupField,
)
from admin_views.assets.templates import TemplateField
from admin_views.base import ChoiceField, NestedInline, Section, Tab, Tabs
from app.assets.models import Connector, Evse
from app.assets.verbs import MAX_PASSWORD_BYTES

PHASES = [(1, "Single Phase"), (3, "3-Phase")]
CONNECTED_PHASES = [(1, "L1"), (2, "L2"), (3, "L3")]
#: nominal volts of the manual's two ranges
VOLTAGES = [(120, "110-130 V"), (230, "220-240 V")]

AMPERE_LIMITS = [validators.Optional(), validators.NumberRange(min=1, max=10_000)]


def _choice(label: str, choices: list[tuple[int, str]], **more: Any) -> dict[str, Any]:
    return {"label": label, "choices": choices, "coerce": int, "allow_blank": True, **more}


CONNECTORS = NestedInline(
    Connector,
    label="Connector",
    form_columns=("type", "format", "status"),
    form_args={
        "type": {"label": "Type"},
        "format": {"label": "Format", "description": "Whether the driver brings the cable (Socket) or not (Cable)."},
        "status": {"label": "Status"},
    },
)

EVSES = NestedInline(
    Evse,
    label="EVSE",
    form_columns=(
        "code",
        "type",
        "network_id",
        "max_power_w",
        "tariff_group_id",
        "reservation_minutes",
        "tags",
        "status",
        "max_current_a",
        "phases",
        "connected_phase",
        "phase_rotation",
    ),
    form_overrides={
        "code": EvseCodeField,
        "max_power_w": KilowattField,
        "tariff_group_id": TariffGroupField,
        "tags": TagsField,
        "phases": ChoiceField,
        "connected_phase": ChoiceField,
    },
    form_args={
        "code": {
            "label": "ID (QR Code)",
            "description": "Unique ID of the EVSE, printed near it. Left empty, one is generated.",
            "validators": [validators.Length(max=40)],
            "render_kw": {"autocomplete": "off"},
        },
        "type": {"label": "Type"},
        "network_id": {
            "label": "Network ID",
            "description": "Its number within the station. For OCPP use consecutive numbers starting at 1.",
        },
        "max_power_w": {
            "label": "Display Max Power (kW)",
            "description": "Shown in the app. It is NOT enforced and does not affect the actual max power.",
        },
        "tariff_group_id": {
            "label": "Tariff Group",
            "description": "Without one, no paid session can start here.",
        },
        "reservation_minutes": {
            "label": "Reservation Time (minutes)",
            "description": "Empty: the default of the Settings. 0 disables reservation for this EVSE.",
            "validators": [validators.Optional(), validators.NumberRange(min=0, max=100_000)],
        },
        "tags": {"label": "Tags", "description": "For reporting and filtering; type a new one to make it."},
        "status": {"label": "Status"},
        "max_current_a": {"label": "EVSE Max Current (A)", "validators": AMPERE_LIMITS},
        "phases": _choice(
            "EVSE Phases", PHASES, description="Only has effect if the Charge Point is set up as 3-phase."
        ),
        "connected_phase": _choice("EVSE Connected Phase", CONNECTED_PHASES),
        "phase_rotation": {"label": "EVSE Phase Rotation"},
    },
    unique_fields=("code", "network_id"),
    inline_models=(CONNECTORS,),
)

_MANAGED = ("load_management", "")
#: field → what must hold for it to be shown: (field, its value; empty: ticked). For the charge point and its EVSEs;
#: an EVSE's own field comes before the charge point's of that name (static/js/assets.js). "!": not ticked
ONLY_WITH = {
    "show_to_public_with_notice": [("access_type", "private")],
    # any of several: each a list of its own
    "notice": [[("access_type", "private"), ("show_to_public_with_notice", "")], [("managed_by_operator", "!")]],
    "max_current_a": [_MANAGED],
    "phases": [_MANAGED],
    "input_voltage_v": [_MANAGED],
    "connected_phase": [_MANAGED, ("phases", "1")],
    "phase_rotation": [_MANAGED, ("phases", "3")],
}

GENERAL = (
    "name",
    "zone",
    "manufacture_date",
    "integration_date",
    "network_type",
    "access_type",
    "show_to_public_with_notice",
    "notice",
    "status",
)
OCPP = (
    "managed_by_operator",
    "protocol",
    "identifier",
    "security_profile",
    "network_password",
    "clear_password",
    "plug_and_charge",
    "local_auth_list",
)
ADVANCED = ("auto_recovery", "load_management")
DLM = ("max_current_a", "phases", "input_voltage_v", "connected_phase", "phase_rotation")
FORM_COLUMNS = ("template", *GENERAL, *OCPP, "evses", *ADVANCED, *DLM, "partner")

FORM_OVERRIDES = {
    "identifier": ChargePointIdField,
    "phases": ChoiceField,
    "input_voltage_v": ChoiceField,
    "connected_phase": ChoiceField,
}

EXTRA_FIELDS = {
    "template": TemplateField(
        "CP Template",
        description="Fills this form, EVSEs and connectors included. Choose it first: it replaces the name.",
    ),
    "network_password": NetworkPasswordField(
        "Network Password",
        [validators.Length(max=2 * MAX_PASSWORD_BYTES + 4)],
        description="Optional; the station must send it when it connects. Best 16 to 40 random characters.",
        render_kw={"autocomplete": "new-password"},
    ),
    "clear_password": ClearPasswordField(
        "Remove Network Password", description="The station then connects without a password."
    ),
}

FORM_ARGS: dict[str, dict[str, Any]] = {
    "name": {
        "label": "Name",
        "description": "Only shown in the admin panel, NOT to the EV driver. A good practice is the model with its "
        "power or serial number.",
    },
    "zone": {"label": "Charging Zone", "description": "Start typing its name. It has to exist already."},
    "manufacture_date": {
        "label": "Manufacture Date",
        "description": "Approximate date of manufacture, for maintenance scheduling.",
    },
    "integration_date": {"label": "Integration Date", "description": "When it was installed onsite."},
    "network_type": {
        "label": "Network Type",
        "description": "For internal information; it does not affect the operation of the charging station.",
    },
    "access_type": {
        "label": "Access Type",
        "description": "Public: visible to all users. Private: only to users whom the Partner has invited and "
        "allowed to use its private infrastructure.",
    },
    "show_to_public_with_notice": {
        "label": "Show to public with notice",
        "description": "Shown to all users, but usable only by those invited by the Partner.",
    },
    "notice": {
        "label": "CP Notice",
        "description": "What is shown to drivers: at a Private charge point that is shown to the public, and at one "
        "that is not Managed By Operator. Notices are managed in ASSETS > CP Notices.",
        "get_label": "name",
    },
    "status": {
        "label": "Status",
        "description": "Active: visible, sessions can be started. Disabled: not visible. Demo: no actual charge "
        "point, for demonstration. Out of order: shown as such, cannot be used. No status ends a running session.",
    },
    "managed_by_operator": {
        "label": "Managed By Operator",
        "description": "Connected to the platform in real time. Otherwise only a point of interest; then choose the CP "
        "Notice (tab General) that is shown to drivers.",
    },
    "protocol": {"label": "Network Protocol", "description": "The OCPP version the charge point speaks."},
    "identifier": {
        "label": "Charge Point ID",
        "description": "The unique ID of the charge point over OCPP. Not Managed By Operator: left empty, one is made.",
        "validators": [validators.Length(max=255)],
        "render_kw": {"autocomplete": "off", "spellcheck": "false"},
    },
    "security_profile": {
        "label": "Security Profile",
        "description": "What the charge point has to bring to be let in. 0: the network password, if one is set. "
        "1: the network password. 2: TLS (wss://) and the network password. 3: TLS and a client certificate of its "
        "own, issued by our authority or one named at set-up. A connection that brings less is ended.",
    },
    "plug_and_charge": {
        "label": "Plug-n-charge without authorization",
        "description": "Charging starts when a car is connected, without app or RFID. Such sessions are anonymous and "
        "cannot be paid.",
    },
    "local_auth_list": {
        "label": "Enable Local Auth List",
        "description": "Lets chosen users charge also while the station has no connection.",
    },
    "auto_recovery": {
        "label": "Enable Auto-Recovery",
        "description": "Monitors for faults, attempts to resolve them and reports by e-mail. Only stations with system "
        "status Active are monitored.",
    },
    "load_management": {
        "label": "Enable Load Management",
        "description": "Only if you are going to add the charge point to a Circuit right away.",
    },
    "max_current_a": {"label": "Charge Point Max Current (A)", "validators": AMPERE_LIMITS},
    "phases": _choice("Phases", PHASES),
    "input_voltage_v": _choice("Input Voltage", VOLTAGES),
    "connected_phase": _choice(
        "Connected Phase", CONNECTED_PHASES, description="Of a Single Phase charge point; your installer knows it."
    ),
    "phase_rotation": {
        "label": "Phase Rotation",
        "description": "Of a 3-Phase charge point: letter k is the grid phase that feeds terminal k.",
    },
    "partner": {
        "label": "Owner",
        "allow_blank": True,
        "validators": [validators.Optional()],
        "description": "The Partner who owns or hosts the charge point; left empty, the operator. A new owner sees the "
        "charge point and what happens there from now on. What happened until then, also a session that is running, "
        "its payments and logs, stays with whoever owned it then.",
    },
}

FORM_RULES = [
    Tabs(
        Tab("General", GENERAL[0], "template", *GENERAL[1:]),
        Tab("OCPP", *OCPP),
        Tab(
            "EVSEs",
            "evses",
            help="One EVSE for each car that can charge at the same time, each with its connectors (plugs).",
        ),
        Tab(
            "Advanced",
            *ADVANCED,
            Section(
                "Dynamic Load Management Settings",
                *DLM,
                help="Used ONLY if the charge point is managed as part of a Dynamic Load Management circuit.",
            ),
        ),
        Tab("Partner", "partner", help="For charge points that are assigned to a partner account."),
    )
]
