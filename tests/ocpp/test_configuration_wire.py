"""Configuration, habits and clocks over real sockets: what is asked, what is kept, what never reaches a table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import select, text

from app.assets.models import ChargePoint, ReportedStatus, StationModel
from app.charging.models import ConfigurationKey, ConfigurationStatus, Deviation, HardwareStatusLog
from app.charging.upkeep import boot_recipe, configuration
from app.core.models import Action, ActionStatus
from tests.support.gateway import House, ago, eventually
from tests.support.scripted_station import stamp

SECRET = "aa11bb22cc33dd44"


def keys_of(house: House, charge_point: ChargePoint) -> dict[str, tuple[str | None, ConfigurationStatus]]:
    """Value and status by key, as stored now."""
    query = select(ConfigurationKey).where(ConfigurationKey.charge_point_id == charge_point.id)
    return {row.key: (row.value, row.status) for row in house.again().scalars(query)}


def test_keys_are_read_and_changed_and_the_password_is_in_no_table(house: House) -> None:
    charge_point, olga = house.station(), house.operator()
    with house.connect(charge_point) as station:
        station.boot()
        configuration.read_configuration(
            house.session, charge_point=charge_point, reason="A look", actor=olga, now=datetime.now(UTC)
        )
        house.session.commit()
        call = station.expect_call("GetConfiguration")
        assert call.payload == {}
        call.answer(
            configurationKey=[
                {"key": "WebSocketPingInterval", "readonly": False, "value": "60"},
                {"key": "NumberOfConnectors", "readonly": "true", "value": 2},
                {"key": "AuthorizationKey", "readonly": False, "value": SECRET},
                {"key": "NoValue", "readonly": False},
                "rubbish",
            ],
            unknownKey=None,
        )
        found = eventually(lambda: keys_of(house, charge_point))
        reported = ConfigurationStatus.REPORTED
        assert found == {
            "WebSocketPingInterval": ("60", reported),
            "NumberOfConnectors": ("2", reported),
            "AuthorizationKey": (None, reported),
            "NoValue": (None, reported),
        }
        configuration.change_configuration(
            house.session,
            charge_point=charge_point,
            key="websocketpinginterval",
            value="30",
            reason="A proxy drops it",
            actor=olga,
            now=datetime.now(UTC),
        )
        house.session.commit()
        call = station.expect_call("ChangeConfiguration")
        assert call.payload == {"key": "WebSocketPingInterval", "value": "30"}
        call.answer(status="RebootRequired")
        wanted = ("60", ConfigurationStatus.REBOOT_REQUIRED)
        eventually(lambda: keys_of(house, charge_point)["WebSocketPingInterval"] == wanted)
    actions = house.again().scalars(select(Action).where(Action.charge_point_id == charge_point.id)).all()
    assert [action.status for action in actions] == [ActionStatus.ANSWERED, ActionStatus.ACCEPTED]
    eventually(lambda: (house.again().scalar(text("SELECT count(*) FROM communication_log")) or 0) >= 6)
    for table in ("action", "communication_log", "configuration_key", "deviation"):
        query = f"SELECT count(*) FROM {table} t WHERE t::text LIKE '%{SECRET}%'"
        assert house.again().scalar(text(query)) == 0, table


def test_defaults_reach_a_station_after_its_boot(house: House) -> None:
    house.set("charge_point.configure_delay_seconds", 0)
    house.set(boot_recipe.DEFAULTS, "Vendor.Key=7")
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.boot()
        eventually(lambda: house.state(charge_point).booted_at)
        now = datetime.now(UTC)
        assert boot_recipe.due(house.session, now=now) == [charge_point.id]
        assert boot_recipe.tend(house.session, charge_point_id=charge_point.id, now=now)
        house.session.commit()
        station.expect_call("GetConfiguration").answer(
            configurationKey=[
                {"key": "HeartbeatInterval", "readonly": False, "value": "300"},
                {"key": "MeterValueSampleInterval", "readonly": False, "value": "10"},
            ]
        )
        # each next step is the gateway's, at once
        call = station.expect_call("ChangeConfiguration")
        assert call.payload == {"key": "MeterValueSampleInterval", "value": "60"}
        call.answer(status="Accepted")
        call = station.expect_call("ChangeConfiguration")
        assert call.payload == {"key": "Vendor.Key", "value": "7"}
        call.answer(status="NotSupported")
        eventually(lambda: house.state(charge_point).recipe_begun_at is None)
    assert keys_of(house, charge_point) == {
        "HeartbeatInterval": ("300", ConfigurationStatus.REPORTED),
        "MeterValueSampleInterval": ("60", ConfigurationStatus.ACCEPTED),
        "Vendor.Key": (None, ConfigurationStatus.NOT_SUPPORTED),
    }
    assert house.state(charge_point).recipe_tries == 0


def test_habits_models_clocks_and_unreadable_words_are_learned(house: House) -> None:
    charge_point = house.station(evses=2)
    with house.connect(charge_point) as station:
        make = {"chargePointVendor": "Quirky", "chargePointModel": "Q1", "firmwareVersion": "0.9", "odd": 1}
        station.call("BootNotification", make)
        ahead = stamp(datetime.now(UTC) + timedelta(hours=3))
        station.status(1, "Available", at=ahead)
        for word in ("Sleeping", "Sleeping", "Dozing"):
            station.call("StatusNotification", {"connectorId": 2, "errorCode": "NoError", "status": word, "info": "x"})
        station.call("StatusNotification", {"connectorId": 2, "errorCode": "NoError"})
        station.send_frame([2, "null-1", "Heartbeat", None])
        station.wait_result("null-1", action="Heartbeat")

        def learned() -> list[Deviation]:
            rows = house.again().scalars(select(Deviation).where(Deviation.vendor == "Quirky").order_by(Deviation.id))
            return [row for row in rows if row.messages]

        rows = eventually(lambda: found if len(found := learned()) >= 4 else None, timeout_s=15)
        assert {(row.action, row.rule, row.path): (row.messages, row.example) for row in rows or ()} == {
            ("BootNotification", "extra_field", "odd"): (1, "1"),
            ("StatusNotification", "unknown_enum", "status"): (3, "status has no value 'Sleeping'"),
            ("StatusNotification", "required_missing", "status"): (1, "missing"),
            ("Heartbeat", "payload_null", ""): (1, "null"),
        }
        for row in rows or ():
            assert (row.model, row.firmware_version, row.protocol) == ("Q1", "0.9", "ocpp1.6")
            assert row.last_charge_point_id == charge_point.id
        model = house.session.scalars(select(StationModel).where(StationModel.vendor == "Quirky")).one()
        assert (model.model, model.configure_after_boot) == ("Q1", True)
        offset_s = eventually(lambda: house.state(charge_point).clock_offset_s)
        assert 10_790 < offset_s < 10_810
    log = house.again().scalars(
        select(HardwareStatusLog)
        .where(HardwareStatusLog.charge_point_id == charge_point.id, HardwareStatusLog.network_id == 2)
        .order_by(HardwareStatusLog.id)
    )
    assert [(row.status, row.info) for row in log] == [
        (ReportedStatus.UNKNOWN, "not a status: Sleeping; x"),
        (ReportedStatus.UNKNOWN, "not a status: Dozing; x"),
        (ReportedStatus.UNKNOWN, "no status given"),
    ]


def test_a_word_nobody_can_read_leaves_the_last_status(house: House) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.boot()
        station.status(1, "Charging", at=stamp(ago(seconds=1)))
        station.call("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Zzz"})
        house.again()
        assert charge_point.evses[0].state.status is ReportedStatus.CHARGING
