"""A small back office on tables of its own, to try the base views apart from the product's pages."""

from __future__ import annotations

import enum
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from flask import Flask, redirect, request
from flask_admin import Admin as Backoffice
from flask_admin import AdminIndexView, expose
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from sqlalchemy import ARRAY, BigInteger, Enum, ForeignKey, Identity, Interval, MetaData, Numeric, String, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from wtforms import SelectField
from wtforms.fields.choices import SelectChoice

from admin_views import base as kit
from admin_views import formats
from app.core import principal
from app.core.models import Admin, AuditEntry, Role
from app.core.types import LabelledEnum, UTCDateTime, enum_type
from app.partners.models import Partner

ROOT = __file__.rsplit("/tests/", 1)[0]


class Own(DeclarativeBase):
    metadata = MetaData()


db = SQLAlchemy(metadata=Own.metadata)
PRODUCT_TABLES = [model.__table__ for model in (Partner, Role, Admin, AuditEntry)]


class Status(LabelledEnum):
    ACTIVE = "active", "Active"
    OUT_OF_ORDER = "out_of_order", "Out of order"
    DISABLED = "disabled", "Disabled"


class Current(LabelledEnum):
    AC = "AC", "AC"
    DC = "DC", "DC"


class Plain(enum.Enum):
    SOFT_RESET = "soft"
    HARD_RESET = "hard"


class Site(Own):
    __tablename__ = "ui_site"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[dict[str, str]] = mapped_column(JSONB)
    city: Mapped[str] = mapped_column(String(60), server_default="")
    timezone: Mapped[str | None] = mapped_column(String(64))
    stations: Mapped[list[Station]] = relationship(back_populates="site")

    def __str__(self) -> str:
        return formats.translated(self.name)


class Station(Own):
    __tablename__ = "ui_station"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    partner_id: Mapped[int] = mapped_column(BigInteger, server_default="1")
    site_id: Mapped[int] = mapped_column(ForeignKey("ui_site.id"))
    name: Mapped[str] = mapped_column(String(120))
    identifier: Mapped[str] = mapped_column(String(60), unique=True)
    status: Mapped[Status] = mapped_column(enum_type(Status, "ui_status"), server_default="active")
    serial: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    opening: Mapped[timedelta | None] = mapped_column(Interval)
    price: Mapped[Decimal | None] = mapped_column(Numeric(8, 4))
    tags: Mapped[list[str]] = mapped_column(ARRAY(String(20)), server_default="{}")
    currents: Mapped[list[Current]] = mapped_column(
        ARRAY(Enum(Current, native_enum=False, values_callable=lambda c: [m.value for m in c], length=4)),
        server_default="{}",
    )
    last_seen_at: Mapped[datetime | None] = mapped_column(UTCDateTime())
    managed: Mapped[bool] = mapped_column(server_default="true")
    password_hash: Mapped[str | None] = mapped_column(String(100))
    version: Mapped[int] = mapped_column(server_default="1")
    site: Mapped[Site] = relationship(back_populates="stations")
    outlets: Mapped[list[Outlet]] = relationship(
        back_populates="station", order_by="Outlet.code", cascade="all, delete-orphan"
    )
    __mapper_args__ = {"version_id_col": version}

    def __str__(self) -> str:
        return self.name


class Outlet(Own):
    __tablename__ = "ui_outlet"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    station_id: Mapped[int] = mapped_column(ForeignKey("ui_station.id", ondelete="CASCADE"))
    code: Mapped[str] = mapped_column(String(20), unique=True)
    type: Mapped[Current] = mapped_column(enum_type(Current, "ui_current"), server_default="AC")
    max_power_w: Mapped[int | None]
    spare_site_id: Mapped[int | None] = mapped_column(ForeignKey("ui_site.id"))
    station: Mapped[Station] = relationship(back_populates="outlets")
    spare_site: Mapped[Site | None] = relationship()
    plugs: Mapped[list[Plug]] = relationship(back_populates="outlet", order_by="Plug.id", cascade="all, delete-orphan")

    def __str__(self) -> str:
        return self.code


class Plug(Own):
    __tablename__ = "ui_plug"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    outlet_id: Mapped[int] = mapped_column(ForeignKey("ui_outlet.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(20))
    outlet: Mapped[Outlet] = relationship(back_populates="plugs")

    def __str__(self) -> str:
        return self.kind


class Reading(Own):
    """A log with a key of two columns, as partitioned tables have."""

    __tablename__ = "ui_reading"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime(), primary_key=True)
    station_id: Mapped[int] = mapped_column(ForeignKey("ui_station.id"))
    energy_wh: Mapped[Decimal] = mapped_column(Numeric(12, 3))
    duration_s: Mapped[int]
    note: Mapped[str | None] = mapped_column(String(200))
    station: Mapped[Station] = relationship()

    def __str__(self) -> str:
        return f"Reading {self.id}"


class Deed(Own):
    """What an action did: the shape of the Actions log."""

    __tablename__ = "ui_deed"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str]
    target_label: Mapped[str]
    station_id: Mapped[int] = mapped_column(ForeignKey("ui_station.id", ondelete="CASCADE"))
    reason: Mapped[str]
    initiated_by: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="pending")
    error: Mapped[str | None]

    def __str__(self) -> str:
        return f"{self.name} #{self.id}"


class StationLocked(Exception):
    """A rule of the sample's domain."""


class ResetForm(kit.ReasonForm):
    type = SelectField("Reset type", choices=[SelectChoice("soft", "Soft"), SelectChoice("hard", "Hard")])


def reset(obj: Station, form: ResetForm, *, reason: str, actor: Admin) -> Deed:
    if obj.identifier.startswith("LOCKED"):
        raise StationLocked("This station is locked.")
    deed = Deed(
        name=f"Reset ({form.type.data})",
        target_label=obj.name,
        station_id=obj.id,
        reason=reason,
        initiated_by=actor.name,
    )
    db.session.add(deed)
    db.session.flush()
    return deed


def disable(obj: Station, form: Any, *, reason: str, actor: Admin) -> str:
    obj.status = Status.DISABLED
    return "Disabled"


class SiteView(kit.BaseView):
    resource, singular, plural, section, icon = "assets.location", "Location", "Locations", "Assets", "map-pin"
    column_list = ("name", "city", "timezone")
    column_searchable_list = ("name", "city")
    column_sortable_list = ("name", "city")
    column_default_sort = "name"
    form_columns = ("name", "city", "timezone")
    i18n_fields = ("name",)
    related = (kit.Related("Charge Points", "charge_point", "site_id"),)


PLUGS = kit.NestedInline(Plug, label="Connector", form_columns=("kind",))
OUTLETS = kit.NestedInline(
    Outlet,
    label="EVSE",
    form_columns=("code", "type", "max_power_w", "spare_site"),
    form_ajax_refs={"spare_site": ("city",)},
    form_args={"code": {"label": "ID (QR code)", "description": "Printed on the <b>sticker</b>"}},
    unique_fields=("code",),
    inline_models=(PLUGS,),
)


class StationView(kit.BaseView):
    resource, singular, plural = "assets.charge_point", "Charge Point", "Charge Points"
    section, icon = "Assets", "charging-pile"
    description = "Every station that speaks to us."
    column_list = ("name", "site", "site.city", "status", "last_seen_at", "managed", "price")
    column_labels = {"site": "Location", "site.city": "City", "identifier": "Charge Point ID", "outlets": "EVSE"}
    column_labels |= {"last_seen_at": "Last seen", "outlets.code": "EVSE ID"}
    column_searchable_list = ("name", "identifier", "site.city")
    column_sortable_list = ("name", "status", ("site.city", "site.city"), "last_seen_at", "price")
    column_default_sort = "name"
    column_filters = ("status", "name", "site.city", "last_seen_at", "managed", "price", "outlets.code", "tags")
    column_filters = tuple(name for name in column_filters if name != "tags")
    column_pills = ("status",)
    column_export_list = ("id", "name", "identifier", "site.city", "status", "last_seen_at", "price")
    form_columns = (
        "name", "site", "identifier", "status", "serial", "opening", "price", "tags", "currents", "last_seen_at",
        "managed", "outlets",
    )  # fmt: skip
    form_lookups = {"site": ("city", "name")}
    form_args = {"name": {"description": "Only shown in the <script>alert(1)</script> admin panel."}}
    inline_models = (OUTLETS,)
    form_rules = [
        kit.Tabs(
            kit.Tab("General", "name", "site", "identifier", "status", "serial"),
            kit.Tab("EVSEs", "outlets"),
            kit.Tab("Advanced", "opening", "price", "tags", "currents", kit.Section("Seen", "last_seen_at", "managed")),
        )
    ]
    details_tabs = (
        kit.Facts("General", ("name", "site", "identifier", "status", "serial", "last_seen_at")),
        kit.Facts("Advanced", ("opening", "price", "tags", "managed", "outlets")),
    )
    related = (
        kit.Related("Readings", "charging_session", "station_id"),
        kit.Related("Actions", "action", "station_id"),
    )
    status_template = "sample_status.html"
    actions = (
        kit.RemoteAction("reset", "Reset", reset, form=ResetForm, icon="refresh", refusals=(StationLocked,)),
        kit.RecordAction("disable", "Disable", disable, icon="ban", danger=True),
    )

    def scope(self, query: Any) -> Any:
        owner = current_user.preferences.get("owner")
        if owner:
            return query.filter(Station.partner_id == owner)
        return query


class ReadingView(kit.BaseView):
    resource, singular, plural = "activity.charging_session", "Charging Session", "Charging Sessions"
    section, icon = "Activity", "bolt"
    can_create = can_edit = can_delete = False
    column_list = ("id", "at", "station", "energy_wh", "duration_s", "note")
    column_energy, column_duration = ("energy_wh",), ("duration_s",)
    column_default_sort = ("at", True)
    column_filters = ("at", "energy_wh", "station.name")
    count_cap = 500


class DeedView(kit.BaseView):
    resource, singular, plural = "activity.action", "Action", "Actions log"
    section, icon = "Activity", "history"
    can_create = can_edit = can_delete = False
    column_list = ("id", "name", "target_label", "reason", "status", "initiated_by")
    column_pills = ("status",)
    column_default_sort = ("id", True)


class Home(kit.PageView):
    resource, title, icon, section = "dashboard.home", "Dashboard", "layout-dashboard", None

    @expose("/")
    def index(self) -> str:
        return self.render("sample_home.html")


class Hidden(AdminIndexView):
    def is_visible(self) -> bool:
        return False

    @expose("/")
    def index(self) -> Any:
        return redirect("/dashboard/home/")


class Stranger(UserMixin):
    """Nobody."""


def make_app(database_url: str) -> Flask:
    """The sample application on a database of its own."""
    app = Flask("sample", template_folder=f"{ROOT}/templates", static_folder=f"{ROOT}/static")
    app.config.update(
        SECRET_KEY="sample",
        SQLALCHEMY_DATABASE_URI=database_url,
        SQLALCHEMY_ENGINE_OPTIONS={"connect_args": {"options": "-c timezone=UTC"}},
        TESTING=True,
        PROPAGATE_EXCEPTIONS=False,
        WTF_CSRF_TIME_LIMIT=None,
    )
    app.jinja_loader.searchpath.append(f"{ROOT}/tests/ui/templates")
    db.init_app(app)
    CSRFProtect(app)
    logins = LoginManager(app)
    logins.login_view = "login"
    logins.user_loader(lambda key: db.session.get(Admin, int(key.split(".")[0])))
    principal.init_app(app)
    kit.init_screens(app, system_timezone=lambda: "Europe/Sofia", action_model=Deed, audit_model=AuditEntry)
    office = Backoffice(name="SYNC EV", url="/", index_view=Hidden(url="/", endpoint="admin"))
    office.init_app(app)
    for view in (Home(), SiteView(Site, db), StationView(Station, db), ReadingView(Reading, db), DeedView(Deed, db)):
        office.add_view(view)
    _add_routes(app)
    return app


def _add_routes(app: Flask) -> None:
    from flask import abort, render_template

    @app.route("/login", methods=["GET", "POST"])
    def login() -> Any:
        if request.method == "POST":
            found = db.session.query(Admin).filter_by(email=request.form["email"]).one_or_none()
            if found is not None:
                login_user(found)
                return redirect(kit.safe_next(request.form.get("next")))
            return render_template("login.html", error="Email or password is wrong.", email=request.form["email"]), 401
        return render_template("login.html", next_url=request.args.get("next", ""))

    @app.post("/logout")
    def logout() -> Any:
        logout_user()
        return redirect("/login")

    @app.get("/fail/<int:code>")
    def fail(code: int) -> Any:
        if code == 500:
            raise RuntimeError("a secret that must not be shown")
        abort(code)

    @app.get("/search")
    def search() -> str:
        return render_template("sample_search.html", q=request.args.get("q", ""))


def seed() -> None:
    """Admins of each kind, sites, and enough stations for several pages."""
    now = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    everything = [p.value for p in __import__("app.core.permissions").core.permissions.Permission]
    viewing = [name for name in everything if name.endswith(".view")]
    roles = {
        "Super User": Role(name="Super User", permission_names=everything),
        "Viewer": Role(name="Viewer", permission_names=viewing),
        "Nobody": Role(name="Nobody", permission_names=["dashboard.home.view"]),
    }
    db.session.add_all([Partner(name="House", is_house=True), *roles.values()])
    db.session.flush()
    for name, role, owner, zone in (
        ("Olga Petrova", "Super User", None, "Europe/Sofia"),
        ("Victor Gray", "Viewer", None, None),
        ("Nora Nobody", "Nobody", None, None),
        ("Petra Partner", "Super User", 2, "Europe/London"),
    ):
        email = f"{name.split()[0].lower()}@example.com"
        preferences = {"owner": owner} if owner else {}
        db.session.add(Admin(email=email, name=name, role=roles[role], preferences=preferences, timezone=zone))
    sites = [
        Site(name={"en": "Athens Retail Park", "el": "Αθήνα"}, city="Athens", timezone="Europe/Athens"),
        Site(name={"en": "Sofia Mall West", "bg": "София Мол"}, city="Sofia", timezone="Europe/Sofia"),
        Site(name={"en": "Milton Keynes Business Centre with a name that is very long indeed"}, city="Milton Keynes"),
    ]
    db.session.add_all(sites)
    for n in range(60):
        status = list(Status)[n % 7 % 3]
        station = Station(
            name=f"{('ABB Terra 54', 'Alfen Eve Double', 'EVBox Troniq')[n % 3]} {28282819100000 + n}",
            identifier=f"CP-{n:04d}" if n else "LOCKED-0000",
            site=sites[n % 3],
            status=status,
            partner_id=1 + n % 2,
            price=Decimal("0.3900") if n % 4 else None,
            last_seen_at=now + timedelta(hours=n),
            tags=["motorway", "24/7"] if n % 5 == 0 else [],
        )
        station.outlets = [
            Outlet(code=f"{1000 + 2 * n + k}", type=Current.AC, max_power_w=22000, plugs=[Plug(kind="Type 2")])
            for k in range(2)
        ]
        db.session.add(station)
    db.session.flush()
    stations = db.session.query(Station).order_by(Station.id).all()
    for n in range(700):
        db.session.add(
            Reading(
                at=now + timedelta(minutes=n),
                station_id=stations[n % 5].id,
                energy_wh=Decimal(7400 + n),
                duration_s=2400 + n,
                note="=HYPERLINK(1)" if n == 0 else None,
            )
        )
    db.session.commit()
