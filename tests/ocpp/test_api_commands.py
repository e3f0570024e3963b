"""Commands by API and shell: product.md, "commands to stations". A real server, a scripted station, HTTP."""

from __future__ import annotations

import contextvars
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import select

from app.assets.models import SystemStatus
from app.charging import commands, waiting
from app.charging.models import CommunicationLog
from app.charging.security import sealing
from app.core import api_tokens
from app.core.models import Action, ActionStatus, Admin, AdminStatus, ApiToken, Role
from tests.support.gateway import House, eventually
from tests.support.scripted_station import ScriptedStation

RESET = {"action": "Reset", "payload": {"type": "Soft"}, "reason": "It hangs", "timeout": 5}


@dataclass
class Answer:
    """What the API said."""

    status: int
    body: Any
    headers: dict[str, str]


@dataclass
class Program:
    """A script with a token."""

    house: House
    key: str
    admin: Admin
    token: ApiToken
    threads: list[threading.Thread] = field(default_factory=list)

    def ask(self, path: str, body: Any = None, *, method: str | None = None, **headers: str) -> Answer:
        """One request; a body is sent as JSON unless it is text already."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json", **headers}
        request = urllib.request.Request(
            f"{self.house.server.product.http}/api/v1{path}",
            data=data,
            headers={name: value for name, value in given.items() if value},
            method=method or ("GET" if data is None else "POST"),
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                return Answer(reply.status, json.loads(reply.read()), dict(reply.headers))
        except urllib.error.HTTPError as error:
            return Answer(error.code, json.loads(error.read()), dict(error.headers))

    def command(self, identifier: str, body: Any = None, **headers: str) -> Answer:
        """Send a command and wait for its outcome."""
        path = f"/charge-points/{quote(identifier, safe='')}/commands"
        return self.ask(path, RESET if body is None else body, **headers)

    def command_meanwhile(self, identifier: str, body: Any = None) -> Callable[[], Answer]:
        """Send one from a thread; the station can answer meanwhile."""
        answers: list[Answer] = []
        thread = threading.Thread(target=lambda: answers.append(self.command(identifier, body)))
        thread.start()

        def answer() -> Answer:
            thread.join(20)
            return answers[0]

        return answer


def program_of(house: House, admin: Admin, name: str = "night script") -> Program:
    """A script of that admin."""
    token, key = api_tokens.create_token(house.session, admin=admin, name=name, actor=None, now=datetime.now(UTC))
    house.session.commit()
    return Program(house, key, admin, token)


@pytest.fixture
def program(house: House) -> Program:
    """A script of a Super User."""
    return program_of(house, house.operator())


def actions(house: House) -> list[Action]:
    return list(house.again().scalars(select(Action).order_by(Action.id)))


# ---------------------------------------------------------------------- what comes of it


@pytest.mark.parametrize(
    ("body", "answer", "status"),
    [
        ({"action": "Reset", "payload": {"type": "Soft"}}, {"status": "Accepted"}, "accepted"),
        ({"action": "Reset", "payload": {"type": "Hard"}}, {"status": "Rejected"}, "rejected"),
        ({"action": "GetConfiguration"}, {"configurationKey": [], "unknownKey": ["x"]}, "answered"),
        (
            {"action": "ChangeAvailability", "payload": {"connectorId": 0, "type": "Operative"}},
            {"status": "Scheduled"},
            "accepted",
        ),
        ({"action": "UnlockConnector", "payload": {"connectorId": 1}}, {"status": "UnlockFailed"}, "rejected"),
        ({"action": "GetLocalListVersion", "payload": {}}, {"listVersion": -1}, "answered"),
        (
            {"action": "GetInstalledCertificateIds", "payload": {"certificateType": "ManufacturerRootCertificate"}},
            {"status": "NotFound"},
            "rejected",
        ),
    ],
)
def test_the_station_is_sent_the_very_call_and_its_answer_comes_back(
    house: House, program: Program, body: dict[str, Any], answer: dict[str, Any], status: str
) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.boot()
        outcome = program.command_meanwhile(charge_point.identifier, {**body, "reason": "To see", "timeout": 5})
        call = station.expect_call(body["action"])
        assert call.payload == body.get("payload", {})
        call.answer(answer)
        said = outcome()
    assert said.status == 200
    row = actions(house)[0]
    assert said.body == {"status": status, "response": answer, "action_id": row.id}
    assert (row.name, row.info, row.reason, row.initiated_by, row.admin_id) == (
        "OCPP command",
        f"{body['action']}, via API token night script",
        "To see",
        "Olga",
        program.admin.id,
    )


def test_a_call_error_is_an_error_with_its_words(house: House, program: Program) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.boot()
        outcome = program.command_meanwhile(charge_point.identifier)
        station.expect_call("Reset").fail("InternalError", "flash full")
        said = outcome()
    assert (said.status, said.body["status"], said.body["error"]) == (200, "error", "InternalError: flash full")
    assert said.body["response"] == {}


def test_a_station_that_does_not_answer_times_out_in_the_time_given(house: House, program: Program) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.boot()
        said = program.command(charge_point.identifier, {**RESET, "timeout": 1})
        station.expect_call("Reset")
    assert (said.status, said.body["status"]) == (200, "timed_out")
    assert actions(house)[0].status is ActionStatus.TIMED_OUT


def test_a_station_that_is_away_is_not_connected_at_once(house: House, program: Program) -> None:
    charge_point = house.station()
    said = program.command(charge_point.identifier)
    assert (said.status, said.body["status"], said.body["response"]) == (200, "not_connected", {})


def test_the_identifier_is_compared_without_case_and_may_be_percent_encoded(house: House, program: Program) -> None:
    house.station(identifier="Köln Süd #1+2?")
    assert program.command("köln SÜD #1+2?").body["status"] == "not_connected"


def test_two_commands_at_once_both_get_their_own_answer(house: House, program: Program) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.boot()
        first = program.command_meanwhile(charge_point.identifier, {**RESET, "action": "ClearCache", "payload": {}})
        second = program.command_meanwhile(
            charge_point.identifier, {**RESET, "action": "GetLocalListVersion", "payload": {}}
        )
        for _ in range(2):  # never two calls in flight: in whichever order they came
            station.heartbeat()
            waiting_calls = eventually(lambda: _one_call(station), why="no call came")
            waiting_calls.answer({"status": "Accepted"} if waiting_calls.action == "ClearCache" else {"listVersion": 3})
        assert first().body["response"] == {"status": "Accepted"}
        assert second().body["response"] == {"listVersion": 3}


def _one_call(station: ScriptedStation) -> Any:
    for action in ("ClearCache", "GetLocalListVersion"):
        try:
            return station.expect_call(action, timeout=0.2)
        except TimeoutError:
            continue
    return None


# ---------------------------------------------------------------------- what is refused before anything is sent


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({**RESET, "payload": {"type": "Softly"}}, "payload.type"),
        ({**RESET, "payload": {}}, "payload.type"),
        ({**RESET, "payload": {"type": "Soft", "now": True}}, "payload.now"),
        ({**RESET, "payload": ["Soft"]}, "payload"),
        ({**RESET, "payload": None}, "payload"),
        ({**RESET, "action": "Resett"}, "action"),
        ({**RESET, "action": "BootNotification", "payload": {}}, "action"),
        ({**RESET, "action": ""}, "action"),
        ({**RESET, "action": 7}, "action"),
        ({"action": "Reset", "payload": {"type": "Soft"}}, "reason"),
        ({**RESET, "reason": "  "}, "reason"),
        ({**RESET, "reason": "x" * 401}, "reason"),
        ({**RESET, "reason": "NUL \x00"}, "reason"),
        ({**RESET, "timeout": 0}, "timeout"),
        ({**RESET, "timeout": 301}, "timeout"),
        ({**RESET, "timeout": "30"}, "timeout"),
        ({**RESET, "timeout": True}, "timeout"),
        ({**RESET, "dry_run": True}, "dry_run"),
        ([RESET], ""),
        (b"{not json", ""),
        (
            {
                **RESET,
                "action": "SendLocalList",
                "payload": {
                    "listVersion": 1,
                    "updateType": "Full",
                    "localAuthorizationList": [{"idTag": "A"}, {"idTag": "B" * 21}],
                },
            },
            "payload.localAuthorizationList[1].idTag",
        ),
        (
            {
                **RESET,
                "action": "SetChargingProfile",
                "payload": {"connectorId": 1, "csChargingProfiles": {"chargingProfileId": "1"}},
            },
            "payload.csChargingProfiles",
        ),
    ],
)
def test_a_mistake_is_told_with_its_path_also_while_the_station_is_away(
    house: House, program: Program, body: Any, path: str
) -> None:
    charge_point = house.station()
    said = program.command(charge_point.identifier, body)
    assert said.status == 400, said
    assert said.body["error"]["path"].startswith(path) and bool(said.body["error"]["path"]) is bool(path)
    assert said.body["error"]["message"]
    assert actions(house) == []


def test_it_is_the_connected_protocol_that_decides(house: House, program: Program) -> None:
    """A station that is set to 2.0.1 and away is asked in 2.0.1; the same one, connected with 1.6, in 1.6."""
    charge_point = house.station(protocol="ocpp2.0.1")
    body = {"action": "ClearCache", "payload": {"customData": {"vendorId": "x"}}, "reason": "r", "timeout": 3}
    assert program.command(charge_point.identifier, body).body["status"] == "not_connected"
    with house.connect(charge_point) as station:
        station.boot()
        eventually(lambda: house.state(charge_point).connected)
        assert program.command(charge_point.identifier, body).body["error"]["path"] == "payload.customData"


@pytest.mark.parametrize("header", ["", "Basic YTpi", "Bearer", "Bearer sync_nonsense", "Bearer " + "x" * 5000])
def test_without_a_token_nothing(house: House, program: Program, header: str) -> None:
    said = program.command(house.station().identifier, Authorization=header)
    assert said.status == 401 and said.body["error"]["message"]
    assert said.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_token_ends_with_its_revocation_its_time_and_its_admin(house: House, program: Program) -> None:
    identifier, now = house.station().identifier, datetime.now(UTC)
    assert program.command(identifier).status == 200
    used = house.again().get_one(ApiToken, program.token.id).last_used_at
    assert used is not None
    admin = house.session.get_one(Admin, program.admin.id)
    admin.status = AdminStatus.DISABLED
    house.session.commit()
    assert program.command(identifier).status == 401
    admin.status = AdminStatus.ACTIVE
    house.session.commit()
    assert program.command(identifier).status == 200
    token = house.again().get_one(ApiToken, program.token.id)
    assert token.last_used_at == used, "a busy script writes no row per call"
    token.expires_at = now - timedelta(seconds=1)
    house.session.commit()
    assert program.command(identifier).status == 401
    token.expires_at = None
    api_tokens.revoke_token(house.session, token=token, actor=None, now=now)
    house.session.commit()
    assert program.command(identifier).status == 401


def test_the_role_of_its_admin_decides(house: House, program: Program) -> None:
    role = house.session.scalars(select(Role).where(Role.name == "Analyst")).one()
    ana = Admin(email="ana@example.com", name="Ana", role=role)
    house.session.add(ana)
    house.session.commit()
    analyst = program_of(house, ana)
    identifier = house.station().identifier
    said = analyst.command(identifier)
    assert said.status == 403 and "raw_command" in said.body["error"]["message"]
    assert analyst.ask(f"/charge-points/{identifier}").status == 403
    assert actions(house) == []


def test_unknown_addresses_methods_and_types_are_told_in_json(house: House, program: Program) -> None:
    identifier = house.station().identifier
    assert program.command("no such station").status == 404
    assert program.command("a\x00b").status == 404
    assert program.ask("/nothing").body["error"]["message"]
    wrong = program.ask(f"/charge-points/{identifier}/commands")
    assert (wrong.status, wrong.headers["Allow"]) == (405, "POST, OPTIONS") or wrong.status == 405
    assert wrong.body["error"]["message"]
    typed = program.command(identifier, **{"Content-Type": "text/plain"})
    assert (typed.status, "application/json" in typed.body["error"]["message"]) == (415, True)


@pytest.mark.parametrize("fields", [{"managed_by_operator": False}, {"status": SystemStatus.DEMO}])
def test_what_is_not_ours_to_command_is_a_conflict_with_a_sentence(
    house: House, program: Program, fields: dict[str, Any]
) -> None:
    said = program.command(house.station(**fields).identifier)
    assert said.status == 409 and said.body["error"]["message"].endswith(".")
    assert actions(house) == []


def test_too_many_commands_a_minute_wait(house: House, program: Program) -> None:
    house.set("api.commands_per_minute", 2)
    identifier = house.station().identifier
    eventually(lambda: program.command(identifier).status == 429, why="it never had enough")
    said = program.command(identifier)
    assert said.status == 429 and 1 <= int(said.headers["Retry-After"]) <= 60
    other = program_of(house, program.admin, "another script")
    assert other.command(identifier).status == 200, "each token has its own count"


# ---------------------------------------------------------------------- passwords


def test_a_stations_new_password_is_readable_nowhere(house: House, program: Program) -> None:
    secret = "5ecret-key-of-the-station"
    charge_point = house.station()
    body = {
        "action": "ChangeConfiguration",
        "payload": {"key": "authorizationkey", "value": secret},
        "reason": "Rotation",
        "timeout": 5,
    }
    with house.connect(charge_point) as station:
        station.boot()
        outcome = program.command_meanwhile(charge_point.identifier, body)
        call = station.expect_call("ChangeConfiguration")
        assert call.payload["value"] == secret, "the station needs the real one"
        call.answer(status="Accepted")
        assert outcome().body["status"] == "accepted"
        again = program.command_meanwhile(
            charge_point.identifier, {**body, "action": "GetConfiguration", "payload": {}}
        )
        station.expect_call("GetConfiguration").answer(
            {"configurationKey": [{"key": "AuthorizationKey", "readonly": False, "value": secret}]}
        )
        assert again().body["response"]["configurationKey"][0]["value"] == sealing.MASK
    rows = actions(house)
    assert rows[0].request is not None and rows[0].request["payload"]["value"] == sealing.MASK
    assert secret not in json.dumps([[row.request, row.response, row.error, row.info] for row in rows])
    frames = eventually(
        lambda: [
            row.payload
            for row in house.again().scalars(
                select(CommunicationLog).where(CommunicationLog.action != "BootNotification")
            )
            if "onfiguration" in row.action or "AuthorizationKey" in row.payload
        ],
        why="nothing was logged",
    )
    assert not [frame for frame in frames if secret in frame] and any(sealing.MASK in frame for frame in frames)


# ---------------------------------------------------------------------- asking


def test_how_a_station_and_an_action_stand_can_be_asked(house: House, program: Program) -> None:
    charge_point = house.station(evses=2)
    with house.connect(charge_point) as station:
        station.boot(firmwareVersion="1.2")
        station.status(1, "Charging")
        said = program.ask(f"/charge-points/{charge_point.identifier.lower()}").body
    assert (said["charge_point_id"], said["connected"], said["firmware_version"], said["protocol"]) == (
        charge_point.identifier,
        True,
        "1.2",
        "ocpp1.6",
    )
    assert [(evse["network_id"], evse["last_reported"]) for evse in said["evses"]] == [(1, "charging"), (2, "unknown")]
    number = program.command(charge_point.identifier).body["action_id"]
    told = program.ask(f"/actions/{number}").body
    assert (told["action_id"], told["reason"], told["initiated_by"]) == (number, "It hangs", "Olga")
    assert program.ask("/actions/99999999").status == 404
    assert program.ask("/actions/99999999999999999999999").status == 404


# ---------------------------------------------------------------------- waiting and the shell


def test_an_outcome_somebody_else_records_is_seen(house: House, program: Program) -> None:
    """The clockwork or another process may give a command its outcome: nobody pushes to the reply list then."""
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.boot()
        outcome = program.command_meanwhile(charge_point.identifier, {**RESET, "timeout": 20})
        station.expect_call("Reset")
        row = actions(house)[0]
        commands.record_outcome(
            house.session, action_id=row.id, answer=commands.Answer(ActionStatus.NOT_CONNECTED), now=datetime.now(UTC)
        )
        house.session.commit()
        assert outcome().body["status"] == "not_connected"


def test_a_command_nobody_ever_answers_gets_its_outcome_from_who_waits(house: House, app: Any) -> None:
    """A gateway that took it and died: the clockwork may be away too."""
    charge_point, now = house.station(), datetime.now(UTC)
    action = commands.request_command(
        house.session,
        charge_point=charge_point,
        name=commands.CommandName.CLEAR_CACHE,
        request={},
        reason="r",
        actor=None,
        now=now,
        timeout_s=1,
    )
    action.sent_at, number = now, action.id
    house.session.info.clear()  # nobody is told
    house.session.commit()
    found = waiting.wait_for_outcome(app.extensions["sync_redis"], action_id=number, timeout_s=-1.9)
    assert found.status == "timed_out"
    assert house.again().get_one(Action, number).status is ActionStatus.TIMED_OUT


def test_the_shell_does_the_same_beside_the_running_server(house: House, program: Program, app: Flask) -> None:
    def flask(*arguments: str) -> Result:
        # as a shell would run it: with an application context of its own
        return contextvars.Context().run(app.test_cli_runner().invoke, args=list(arguments))

    made = flask("api-token", "create", "--admin", program.admin.email.upper(), "--name", "from a shell")
    assert made.exit_code == 0 and made.stdout.startswith(api_tokens.PREFIX) and made.stdout.count("\n") == 1
    shell = Program(house, made.stdout.strip(), program.admin, program.token)
    charge_point = house.station()
    identifier = charge_point.identifier
    assert shell.ask(f"/charge-points/{identifier}").status == 200
    answers: list[Result] = []
    arguments = ("command", identifier, "Reset", '{"type": "Hard"}', "--reason", "Drill", "--timeout", "9")
    with house.connect(charge_point) as station:
        station.boot()
        thread = threading.Thread(target=lambda: answers.append(flask(*arguments)))
        thread.start()
        call = station.expect_call("Reset", timeout=30)
        assert call.payload == {"type": "Hard"}
        call.answer(status="Accepted")
        thread.join(30)
    assert (answers[0].exit_code, json.loads(answers[0].stdout)["status"]) == (0, "accepted"), answers[0]
    row = actions(house)[0]
    assert (row.info, row.initiated_by) == ("Reset, from the command line", "System")
    away = flask("command", identifier, "ClearCache", "--reason", "Drill")
    assert away.exit_code == 1 and json.loads(away.stdout)["status"] == "not_connected"
    assert away.stderr.splitlines() == ["command: the station is not connected"]
    for wrong, line in (
        (("command", identifier, "Reset", "{}", "--reason", "r"), "command: payload.type: is required"),
        (("command", identifier, "Reset", "[]", "--reason", "r"), "command: the payload is not a JSON object"),
        (("command", identifier, "ClearCache", "--reason", " "), "command: a reason is required; it is kept in the"),
        (("command", "nobody", "ClearCache", "--reason", "r"), "command: there is no charge point with the ID nobody"),
        (("api-token", "create", "--admin", "x@example.com", "--name", "x"), "api-token: there is no admin with"),
        (("api-token", "revoke", "999999"), "api-token: there is no token 999999"),
    ):
        told = flask(*wrong)
        assert told.exit_code == 1 and told.stdout == "" and len(told.stderr.splitlines()) == 1, told
        assert told.stderr.startswith(line)
    number = flask("api-token", "list").stdout.splitlines()[0].split("\t")[0]
    assert flask("api-token", "revoke", number).exit_code == 0
    assert shell.ask(f"/charge-points/{identifier}").status == 401
