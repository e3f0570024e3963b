"""One row of everything a page can show, all hanging together: for tests that open every page there is."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from decimal import Decimal

from PIL import Image
from sqlalchemy.orm import Session

from app.assets import pictures, templates
from app.assets.models import (
    ChargePoint,
    ChargePointNotice,
    ConnectionStatus,
    Connector,
    ConnectorType,
    FirmwareFile,
    LocationImage,
    LocationPhoto,
    ReportedStatus,
    StationModel,
    Tag,
)
from app.billing import ledger, vouchers
from app.billing.models import (
    AutoTopUp,
    PaymentMethod,
    PaymentMethodSetup,
    Transaction,
    TransactionEvent,
    TransactionStatus,
    TransactionType,
)
from app.billing.receipts.issue import Line, issue
from app.charging.models import (
    Authorization,
    AuthorizationResult,
    AuthorizationSource,
    CertificateStatus,
    CertificateUse,
    ChargingLimit,
    ChargingNeeds,
    ChargingSession,
    CommunicationLog,
    CompositeSchedule,
    ConfigurationKey,
    CustomerInformation,
    Deviation,
    DeviceEvent,
    DeviceMonitor,
    DeviceVariable,
    DiagnosticsKind,
    DiagnosticsRequest,
    Direction,
    DisplayMessage,
    FirmwareStatus,
    FirmwareUpdate,
    FrameKind,
    HardwareStatusLog,
    LocalList,
    MeterReading,
    MonitorKind,
    MonitorStatus,
    NetworkStatusLog,
    Outage,
    Recovery,
    RecoveryAttempt,
    Reservation,
    ReservationStatus,
    SecurityEvent,
    StationCertificate,
    StationProfile,
    StrayMessage,
    TransferStatus,
    UnknownStation,
    local_list_user,
)
from app.content.models import FaqCategory, FaqEntry, TermsDocument
from app.content.terms import publish, today
from app.core.actions import open_action
from app.core.api_tokens import create_token
from app.core.clock import utcnow
from app.core.files import store_file
from app.core.mail import queue_mail
from app.core.models import ActionStatus, Admin, Role
from app.core.sms import queue_sms
from app.crm.models import RfidTag, User, UserGroup
from app.tariffs.groups import create_group
from tests.support.factories_dashboard import make_session, make_station, make_user, make_zone
from tests.support.top_ups import card, package


def make_one_of_each(session: Session) -> None:
    """A faulty station with its site, driver, card, tariffs, a paid session and every kind of log; commits."""
    now = utcnow() - timedelta(hours=2)
    zone = make_zone(session)
    station = make_station(session, zone, reported=ReportedStatus.FAULTED)
    evse = station.evses[0]
    evse.connectors = [Connector(partner_id=1, type=ConnectorType.TYPE_2)]
    evse.tariff_group_id = create_group(session, name="Public", actor=None).id
    dora = make_user(session)
    dora.groups.append(UserGroup(name="Friends"))
    dora.rfid_tags.append(RfidTag(tag_id="04A1B2C3", card_no="0001"))
    _add_cards(session, dora.id, now)
    session.add(Role(name="Night shift", permission_names=["dashboard.home.view"]))
    of_station = {"partner_id": 1, "charge_point_id": station.id}
    asked = Authorization(
        **of_station,
        evse_id=evse.id,
        source=AuthorizationSource.RFID_TAG,
        id_tag="04A1B2C3",
        result=AuthorizationResult.ACCEPTED,
        user_id=dora.id,
    )
    session.add(asked)
    session.flush()
    charge = make_session(session, evse, started_at=now, user_id=dora.id, authorization_id=asked.id, id_tag="04A1B2C3")
    session.add_all(
        [
            MeterReading(
                **of_station,
                received_at=now + timedelta(minutes=5),
                measured_at=now + timedelta(minutes=5),
                session_id=charge.id,
                register_wh=Decimal(900),
                power_w=Decimal(11000),
            ),
            Transaction(
                partner_id=1,
                type=TransactionType.CHARGE,
                status=TransactionStatus.SUCCEEDED,
                amount=Decimal("3.60"),
                currency="EUR",
                user_id=dora.id,
                session_id=charge.id,
                processor="balance",
                idempotency_key="session:1",
            ),
            CommunicationLog(
                **of_station,
                at=now,
                direction=Direction.FROM_STATION,
                kind=FrameKind.REQUEST,
                message_id="1",
                action="Heartbeat",
                payload="{}",
            ),
            NetworkStatusLog(**of_station, at=now, status=ConnectionStatus.AVAILABLE),
            HardwareStatusLog(
                **of_station,
                at=now,
                evse_id=evse.id,
                network_id=1,
                status=ReportedStatus.FAULTED,
                error_code="GroundFailure",
            ),
            StrayMessage(**of_station, at=now, action="StopTransaction", payload={"transactionId": 7}, note="unknown"),
            UnknownStation(identifier="CP-UNKNOWN", reason="unknown", first_seen_at=now, last_seen_at=now),
        ]
    )
    session.add(
        Reservation(
            **of_station,
            evse_id=evse.id,
            user_id=dora.id,
            id_tag="04A1B2C3",
            status=ReservationStatus.USED,
            created_at=now - timedelta(minutes=5),
            expires_at=now + timedelta(minutes=10),
            ended_at=now,
            session_id=charge.id,
        )
    )
    _add_transfers(session, station, now)
    _add_charging_plans(session, station, dora.id, now)
    _add_habits(session, station, now)
    _add_security(session, station, now)
    _add_top_ups(session, dora, now)
    _add_catalogue(session, station, now)
    recovery = Recovery(
        **of_station, evse_id=evse.id, network_id=1, error_code="GroundFailure", began_at=now, next_at=now
    )
    recovery.attempts.append(RecoveryAttempt(at=now, step="wait_connection", note="The charge point is not connected"))
    session.add_all([recovery, Outage(**of_station, began_at=now, noticed_at=now + timedelta(minutes=5))])
    _add_texts(session, now)
    queue_sms(session, recipient="+359888123456", text="Your code is 481204", key="code:1", now=now)
    queue_mail(session, key="outage:1", recipient="ops@operator.example", subject="Lost", body="Gone", now=now)
    session.flush()
    paid = session.query(Transaction).filter_by(session_id=charge.id).one()
    session.add(TransactionEvent(transaction_id=paid.id, partner_id=1, at=now, event="Asked", processor="test"))
    open_action(
        session,
        name="Reset",
        target_type="charge_point",
        target_id=station.id,
        target_label=station.name,
        reason="A test",
        actor=None,
        status=ActionStatus.ACCEPTED,
        charge_point_id=station.id,
        now=now,
    )
    _add_receipt(session, charge, now)
    session.commit()


def _add_receipt(session: Session, charge: ChargingSession, now: datetime) -> None:
    """A receipt of the session, whose PDF is not made yet."""
    user = session.get_one(User, charge.user_id)
    assert charge.started_at is not None
    assert charge.stopped_at is not None
    line = Line(
        session_id=charge.id,
        started_at=charge.started_at,
        stopped_at=charge.stopped_at,
        place="Sofia Ring Mall",
        evse_code="",
        energy_wh=charge.energy_wh,
        vat_percent=Decimal(0),
        gross=Decimal("3.60"),
        net=Decimal("3.60"),
        vat=Decimal(0),
    )
    issue(session, user=user, currency="EUR", period=(now.date(), now.date()), lines=[line], now=now)


def _add_cards(session: Session, user_id: int, now: datetime) -> None:
    """A card of the Test processor, and an invitation to enter another."""
    session.add(
        PaymentMethod(
            user_id=user_id,
            processor="test",
            reference="approve:1",
            brand="test",
            last4="1111",
            exp_month=12,
            exp_year=now.year + 1,
        )
    )
    session.add(
        PaymentMethodSetup(
            user_id=user_id,
            processor="stripe",
            token_hash="0" * 64,
            reference="seti_1",
            expires_at=now + timedelta(days=1),
        )
    )


def _add_transfers(session: Session, station: ChargePoint, now: datetime) -> None:
    """Firmware of ours, an update with it that is under way, and diagnostics that have come."""
    kept = store_file(
        session, name="fw.bin", content_type="application/octet-stream", chunks=[b"firmware"], max_bytes=99, now=now
    )
    came = store_file(
        session, name="log.zip", content_type="application/octet-stream", chunks=[b"log"], max_bytes=99, now=now
    )
    firmware = FirmwareFile(name="Terra", firmware_version="1.8", file=kept)
    session.add(firmware)
    session.flush()
    of_station = {"partner_id": station.partner_id, "charge_point_id": station.id}
    session.add_all(
        [
            FirmwareUpdate(
                **of_station,
                firmware_file_id=firmware.id,
                location="http://us.example/files/…/fw.bin",
                retrieve_at=now,
                status=FirmwareStatus.DOWNLOADING,
                history=[{"at": now.isoformat(), "status": "downloading", "reported": "Downloading", "note": None}],
            ),
            DiagnosticsRequest(
                **of_station,
                kind=DiagnosticsKind.DIAGNOSTICS,
                status=TransferStatus.UPLOADED,
                file_id=came.id,
                received_at=now,
            ),
        ]
    )


def _add_charging_plans(session: Session, station: ChargePoint, user_id: int, now: datetime) -> None:
    """A schedule of the station and of its EVSE, a local auth list, and somebody's key to the API."""
    of_station = {"partner_id": station.partner_id, "charge_point_id": station.id}
    station.local_auth_list = True
    session.execute(local_list_user.insert().values(charge_point_id=station.id, user_id=user_id))
    session.add(LocalList(**of_station, version=3, entries={"04A1B2C3": {"status": "accepted"}}, confirmed_at=now))
    for network_id in (0, 1):
        session.add(
            CompositeSchedule(
                **of_station,
                evse_id=station.evses[0].id if network_id else None,
                network_id=network_id,
                starts_at=now,
                duration_s=3600,
                unit="A",
                periods=[{"start_s": 0, "limit": "16", "phases": 3}, {"start_s": 900, "limit": "8.5", "phases": None}],
            )
        )
    role = session.query(Role).filter_by(name="Super User").one()
    admin = Admin(email="script@example.com", name="Script", role=role)
    session.add(admin)
    session.flush()
    create_token(session, admin=admin, name="night script", actor=None, now=now)


def _add_catalogue(session: Session, station: ChargePoint, now: datetime) -> None:
    """A template, a notice, a tag, a location image and a photo, all in use."""
    drawn = io.BytesIO()
    Image.new("RGB", (32, 24), "steelblue").save(drawn, "PNG")
    picture = pictures.read_picture(drawn.getvalue())
    stored = [pictures.keep_picture(session, picture=picture, name=f"{name}.jpg", now=now) for name in ("set", "own")]
    station.notice = ChargePointNotice(name="Guests", message={"en": "For guests."})
    station.evses[0].tags = [Tag(name="fast")]
    station.zone.location.image = LocationImage(name="Car park", file=stored[0])
    station.zone.location.photos = [LocationPhoto(file=stored[1])]
    session.flush()
    templates.create_template(session, charge_point=station, name="Vestel", actor=None, now=now)


def _add_top_ups(session: Session, user: User, now: datetime) -> None:
    """A voucher to redeem, an operator's top-up, and a package with a driver's auto top-up of it."""
    vouchers.create_vouchers(
        session, quantity=1, amount=Decimal(12), redeem_before=None, description="Fair", actor=None, now=now
    )
    ledger.add_balance(session, user=user, amount=Decimal(5), currency="EUR", reason="down", actor=None, now=now)
    session.add(AutoTopUp(user=user, package=package(session), payment_method=card(session, user)))


def _add_security(session: Session, station: ChargePoint, now: datetime) -> None:
    """A certificate of each kind, and events of both importances."""
    of_station = {"partner_id": station.partner_id, "charge_point_id": station.id}
    session.add_all(
        StationCertificate(**of_station, use=use, status=status, subject=f"CN={station.identifier}", valid_until=now)
        for use, status in zip(
            CertificateUse,
            (CertificateStatus.REQUESTED, CertificateStatus.INSTALLED, CertificateStatus.REFUSED),
            strict=True,
        )
    )
    session.add_all(
        SecurityEvent(**of_station, happened_at=now, type=kind)
        for kind in ("TamperDetectionActivated", "FirmwareUpdated", "SomethingOfItsOwn")
    )


def _add_habits(session: Session, station: ChargePoint, now: datetime) -> None:
    """A configuration key, and what the station's make does against the protocol."""
    station.state.vendor, station.state.model, station.state.firmware_version = "Vestel", "EVC04", "3.141"
    session.add(
        ConfigurationKey(
            partner_id=station.partner_id,
            charge_point_id=station.id,
            key="HeartbeatInterval",
            value="300",
            reported_at=now,
        )
    )
    _add_device_model(session, station, now)
    session.add(StationModel(vendor="Vestel", model="EVC04"))
    session.add(
        Deviation(
            vendor="Vestel",
            model="EVC04",
            firmware_version="3.141",
            protocol="ocpp1.6",
            action="MeterValues",
            rule="unknown_enum_kept",
            path="meterValue[].sampledValue[].unit",
            example="kilo",
            messages=7,
            first_seen_at=now,
            last_seen_at=now,
            last_charge_point_id=station.id,
        )
    )


def _add_texts(session: Session, now: datetime) -> None:
    """A published document, and a question with its answer."""
    document = TermsDocument(kind="terms-of-service", name={"en": "Terms of Service"}, draft={"en": "<p>Be kind.</p>"})
    category = FaqCategory(name={"en": "Charging"}, position=1)
    answer = {"en": "<p>Plug in.</p>"}
    session.add_all([document, FaqEntry(question={"en": "How?"}, answer=answer, category=category, position=1)])
    session.flush()
    publish(session, document=document, valid_from=today(session, now), reason="The first", actor=None, now=now)


def _add_device_model(session: Session, station: ChargePoint, now: datetime) -> None:
    """What a station with a device model tells of itself, shows and is limited by."""
    of_station = {"partner_id": station.partner_id, "charge_point_id": station.id}
    session.add_all(
        [
            DeviceVariable(
                **of_station,
                key="EVSE@1.Power",
                component="EVSE",
                network_id=1,
                variable="Power",
                unit="W",
                data_type="decimal",
                supports_monitoring=True,
                attributes={"actual": {"value": "11000", "mutability": "read_only"}},
                reported_at=now,
            ),
            DeviceMonitor(
                **of_station,
                monitor_id=1,
                key="EVSE@1.Power",
                kind=MonitorKind.UPPER,
                value=Decimal(20000),
                severity=5,
                status=MonitorStatus.REPORTED,
            ),
            DeviceEvent(
                **of_station,
                at=now,
                event_number=1,
                key="EVSE@1.Power",
                trigger="alerting",
                value="20500",
                severity=5,
                monitor_id=1,
                reported_at=now,
                cause=1,
                session_reference="tx-1",
                technical_code="E7",
                technical_info="hot",
            ),
            DisplayMessage(**of_station, number=1, priority="normal_cycle", content="Welcome"),
            ChargingLimit(**of_station, network_id=1, source="ems", heard_at=now),
            StationProfile(
                **of_station,
                network_id=1,
                profile_id=1,
                source="operator",
                stack_level=0,
                purpose="default",
                kind="absolute",
                reported_at=now,
            ),
            ChargingNeeds(**of_station, network_id=1, heard_at=now, energy_transfer="AC_three_phase"),
            CustomerInformation(**of_station, asked_at=now, report=True, clear=False, id_tag="04A1B2C3"),
        ]
    )
