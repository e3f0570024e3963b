"""CONFIGURATION > Integrations: what is set up, and trying it against real servers of this machine."""

from __future__ import annotations

import functools
import html
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from admin_views.configuration.integration_list import BY_NAME, INTEGRATIONS
from app.assets import what3words
from app.core import settings
from app.core.messages import IntegrationTest
from tests.support import factories_crm as make
from tests.support.factories_crm import Visitor
from tests.support.fake_places import places
from tests.support.local_server import Answer, Asked, serving
from tests.test_outbox import serving as mail_serving

PAGE = "/configuration/integration/"
ACCOUNT = "AC" + "0" * 32


@pytest.fixture
def olga(clean: Flask, session: Session) -> Visitor:
    """A Super User, signed in."""
    somebody = make.admin(session)
    session.commit()
    return make.signed_in(clean, somebody)


def words(answer: Any) -> str:
    """The text of a page."""
    return html.unescape(answer.get_data(as_text=True))


def put(session: Session, **values: Any) -> None:
    """Settings, ``mail__host`` for mail.host."""
    for key, value in values.items():
        settings.change_setting(session, key=key.replace("__", "."), value=value, actor=None)
    session.commit()
    settings.forget()


def tried(olga: Visitor, session: Session, name: str) -> IntegrationTest:
    """What came of pressing Test."""
    page = olga.get(PAGE)
    assert f'id="integration-{name}"' in page.get_data(as_text=True)
    card = words(olga.htmx(f"{PAGE}test/?name={name}", method="POST"))
    session.rollback()
    found = session.get_one(IntegrationTest, name, populate_existing=True)
    assert found.words in card
    assert found.tested_by == "Olga Operator" and "by Olga Operator" in card
    assert found.words in words(olga.get(PAGE)), "it is kept"
    return found


def test_each_is_there_with_what_is_missing(olga: Visitor) -> None:
    page = words(olga.get(PAGE))
    for integration in INTEGRATIONS:
        assert integration.title in page
    for missing in (
        "No mail server is set",
        "Twilio's account SID, auth token and sender are not set",
        "No tile server",
    ):
        assert missing in page


@pytest.mark.parametrize("name", [each.name for each in INTEGRATIONS if each.name not in ("sms_log", "payment_test")])
def test_what_is_not_set_up_says_so_when_it_is_tried(olga: Visitor, session: Session, name: str) -> None:
    if name == "receipts":
        assert "An example receipt was made" in tried(olga, session, name).words
        return
    outcome = tried(olga, session, name)
    assert not outcome.works
    assert "Failing" in words(olga.get(PAGE)) or "Not set up" in words(olga.get(PAGE))


def test_a_mail_is_handed_in(olga: Visitor, session: Session) -> None:
    with mail_serving() as inbox:
        put(session, mail__host="127.0.0.1", mail__port=inbox.port, mail__security="none", mail__sender="a@example.com")
        outcome = tried(olga, session, "smtp")
        assert outcome.works
        assert "127.0.0.1 took a test mail to olga@operator.example" in outcome.words
        assert [recipients for _, recipients, _ in inbox.kept] == [["olga@operator.example"]]
        inbox.refuse_recipient = "550 5.1.1 no such mailbox"
        refused = tried(olga, session, "smtp")
        assert (refused.works, refused.words) == (False, "The server refuses the recipient: 550 5.1.1 no such mailbox")
    assert "cannot be reached" in tried(olga, session, "smtp").words


def test_twilio_is_asked_for_the_account(olga: Visitor, session: Session) -> None:
    account = {"sid": ACCOUNT, "friendly_name": "Chargers Ltd.", "status": "active", "type": "Full"}
    with serving(lambda asked: Answer(account)) as server:
        put(
            session,
            twilio__account_sid=ACCOUNT,
            twilio__auth_token="t",
            twilio__sender="SYNC",
            twilio__api_base=server.url,
        )
        assert tried(olga, session, "twilio").words == "Twilio knows us as “Chargers Ltd.”; the account is active."
        server.answer = lambda asked: Answer({"code": 20003, "message": "Authenticate"}, 401)
        assert "refuses account SID and auth token" in tried(olga, session, "twilio").words
        assert [asked.method for asked in server.asked] == ["GET", "GET"], "no message is sent"


def test_places_are_looked_up(olga: Visitor, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    with places() as services:
        put(session, geocoding__provider="nominatim", geocoding__nominatim_url=services.url)
        assert "Витоша" in tried(olga, session, "geocoder").words
        monkeypatch.setattr(
            what3words, "words_by", functools.partial(what3words.words_by, endpoint=f"{services.url}/v3")
        )
        put(session, geocoding__what3words_key="wrong")
        assert "refuses the API key" in tried(olga, session, "what3words").words
        put(session, geocoding__what3words_key="right")
        assert tried(olga, session, "what3words").words == "The default location is ///filled.count.soap."


@pytest.mark.parametrize(
    "answer, outcome",
    [
        (Answer(b"\x89PNG....", content_type="image/png"), "A tile of the whole world came: image/png, 8 bytes."),
        (Answer("<h1>Login</h1>", content_type="text/html"), "answers with no picture but with text/html"),
        (Answer("", 403), "The tile server answers 403"),
        (Answer(b"x" * 2_100_000, content_type="image/png"), "sends more than 2,000,000 bytes"),
    ],
)
def test_a_tile_is_fetched(olga: Visitor, session: Session, answer: Answer, outcome: str) -> None:
    def serve(asked: Asked) -> Answer:
        assert asked.path == "/tiles/0/0/0.png"
        return answer

    with serving(serve) as server:
        put(session, map__tile_url=f"{server.url}/tiles/{{z}}/{{x}}/{{y}}.png")
        assert outcome in tried(olga, session, "tiles").words


def test_only_what_is_set_up_can_be_chosen(olga: Visitor, session: Session) -> None:
    def offered(key: str) -> set[str]:
        page = olga.get("/configuration/settings/").get_data(as_text=True)
        choices = dict(settings.BY_KEY[key].choices)
        return {value for value in choices if f'name="{key}" value="{value}"' in page}

    assert offered("sms.processor") == {"none", "log"}
    assert offered("payment.processor") == {"none", "test"}
    put(session, twilio__account_sid=ACCOUNT, twilio__auth_token="t", twilio__sender="SYNC")
    put(session, stripe__publishable_key="pk_test_1", stripe__secret_key="sk_test_1", stripe__webhook_secret="whsec_1")
    assert offered("sms.processor") == {"none", "log", "twilio"}
    assert offered("payment.processor") == {"none", "test", "stripe"}
    put(session, sms__processor="twilio")
    put(session, twilio__sender="")
    assert "twilio" in offered("sms.processor"), "what is chosen is shown"
    assert "Cannot work" in words(olga.get(PAGE))


def test_no_secret_is_shown_and_who_may_only_look_tries_nothing(clean: Flask, session: Session) -> None:
    put(session, twilio__auth_token="very-secret-token")
    rita = make.admin(session, "Rita Reader", "Readers", permissions=["configuration.integration.view"])
    session.commit()
    reader = make.signed_in(clean, rita)
    page = words(reader.get(PAGE))
    assert "very-secret-token" not in page and ">set<" in page
    assert ">Test<" not in page
    assert reader.post(f"{PAGE}test/?name=smtp").status_code == 403


def test_nothing_else_can_be_tried(olga: Visitor) -> None:
    olga.get(PAGE)
    assert olga.post(f"{PAGE}test/?name=nonsense").status_code == 404
    assert set(BY_NAME) == {each.name for each in INTEGRATIONS}
