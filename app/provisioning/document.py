"""The file's format, as in provision.example.yaml and docs. Unknown keys are refused.

A field that is left out leaves what is stored as it is (and takes its default where the thing is new); what a
tariff charges is the exception: type and prices are one thing, and a price that is left out is none.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.provisioning import values as v
from app.provisioning.tree import PATH


class Entry(BaseModel):
    """A mapping of the file, which knows its path."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(default="", alias=PATH)

    def given(self, *names: str) -> dict[str, Any]:
        """Of these fields, the ones the file names."""
        return {name: getattr(self, name) for name in names if name in self.model_fields_set}


class Vat(Entry):
    """The VAT rate that tariff prices contain."""

    name: v.ShortName
    percent: v.Percent


class Period(Entry):
    """Day or night of a time-of-day tariff."""

    starts: v.TimeOfDay
    price_per_minute: v.Amount = None
    price_per_kwh: v.Amount = None


class Level(Entry):
    """A power level; ``max_kw`` holds W."""

    max_kw: v.LevelPowerW
    price_per_minute: v.Amount = None


class Terms(Entry):
    """What a tariff charges and when it stops a session."""

    type: v.TariffTypeField
    price_per_session: v.Amount = None
    price_per_minute: v.Amount = None
    price_per_kwh: v.Amount = None
    connection_fee: v.Amount = None
    day: Period | None = None
    night: Period | None = None
    levels: list[Level] = []
    idle_fee_per_minute: v.Amount = None
    idle_grace_minutes: v.Minutes = None
    max_minutes: v.Minutes = None
    max_energy_kwh: v.Amount = None
    stop_below_preauthorization: v.Amount = None
    minimum_balance_to_start: v.Amount = None
    auto_stop_amount: v.Amount = None
    description: v.Texts = {}
    additional_information: v.Texts = {}
    learn_more_url: v.Texts = {}


class TariffRestrictions(Entry):
    """To whom a tariff applies; the lists are names."""

    user_groups: list[v.ShortName] = []
    partners: list[v.Name] = []
    owner_users: v.YesNo = False
    roaming_users: v.YesNo = False
    ad_hoc_users: v.YesNo = False


class TariffEntry(Terms):
    """A tariff to be attached to groups."""

    name: v.Name
    restrictions: TariffRestrictions | None = None


class TariffGroupEntry(Entry):
    """A tariff group: its base tariff, and the tariffs below it in list order."""

    name: v.Name
    base: Terms | None = None
    tariffs: list[v.Name] = []


class ConnectorEntry(Entry):
    """A plug or socket."""

    type: v.ConnectorTypeField
    format: v.ConnectorFormatField | None = None
    status: v.EvseStatusField | None = None


class EvseEntry(Entry):
    """A place where one car charges; ``max_power_kw`` holds W."""

    network_id: v.NetworkId
    id: v.EvseCode | None = None
    type: v.EvseTypeField | None = None
    max_power_kw: v.MaxPowerW = None
    tariff_group: v.Reference = None
    status: v.EvseStatusField | None = None
    connectors: list[ConnectorEntry] = []


class ChargePointEntry(Entry):
    """A station."""

    id: v.Identifier
    name: v.Name | None = None
    protocol: v.ProtocolField | None = None
    password: v.Password = None
    access: v.AccessField | None = None
    status: v.SystemStatusField | None = None
    plug_and_charge: v.YesNo | None = None
    owner: v.Reference = None
    evses: list[EvseEntry] = []


class ZoneEntry(Entry):
    """A charging zone."""

    name: v.Name
    status: v.ZoneStatusField | None = None
    charge_points: list[ChargePointEntry] = []


class LocationEntry(Entry):
    """A location, matched by its English name."""

    name: v.NameTexts
    short_description: v.Texts = {}
    description: v.Texts = {}
    latitude: v.Latitude | None = None
    longitude: v.Longitude | None = None
    address: v.Texts = {}
    city: v.City = ""
    postcode: v.Postcode = ""
    region: v.City = ""
    country: v.Country | None = None
    timezone: v.LocationTimezone = None
    zones: list[ZoneEntry] = []


class RfidTagEntry(Entry):
    """A card or chip."""

    tag_id: v.IdTag
    card_no: v.CardNumber = None
    status: v.RfidTagStatusField | None = None
    expires: v.Expiry = None


class UserEntry(Entry):
    """A driver."""

    email: v.Email
    first_name: v.PersonName = ""
    last_name: v.PersonName = ""
    phone: v.Phone = None
    status: v.UserStatusField | None = None
    groups: list[v.ShortName] = []
    balance: v.Balance | None = None
    rfid_tags: list[RfidTagEntry] = []


class Document(Entry):
    """The whole file."""

    currency: v.ShortName | None = None
    vat: Vat | None = None
    timezone: v.SystemTimezone | None = None
    settings: dict[str, Any] = {}
    tariffs: list[TariffEntry] = []
    tariff_groups: list[TariffGroupEntry] = []
    locations: list[LocationEntry] = []
    user_groups: list[v.ShortName] = []
    users: list[UserEntry] = []
