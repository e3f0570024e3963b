"""Payment methods: the user's tab and list column, the test card, the driver's page, what pays for a tag.

The driver's page runs against localstripe; what its script does in a browser is in the last test.
"""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, Route, expect
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.billing import corporate
from app.billing.models import (
    PaymentMethod,
    PaymentMethodSetup,
    PaymentMethodStatus,
    TransactionPurpose,
    TransactionStatus,
    TransactionType,
)
from app.billing.payments import card_entry, methods, orders, perform, test_processor
from app.billing.payments.processors import Card
from app.core import settings
from app.core.clock import utcnow
from app.core.db import separate_transaction
from app.core.models import Action, Mail
from app.crm.models import RfidTag, TagPayment, User
from tests.support import factories_crm as make
from tests.support.factories_crm import Visitor
from tests.support.factories_dashboard import make_partner, visitor
from tests.support.product import free_port
from tests.support.stripe_stand_ins import (
    DECLINING,
    PUBLISHABLE_KEY,
    SECRET_KEY,
    WEBHOOK_SECRET,
    LocalStripe,
    local_stripe,
)

BASE = 'const LOCALSTRIPE_BASE_API = "https://api.stripe.com";'
USERS, TAGS = "/crm/users/", "/crm/rfid-tags/"


@pytest.fixture(scope="module")
def books() -> Iterator[LocalStripe]:
    """localstripe, for this file."""
    with local_stripe() as running:
        yield running


@pytest.fixture
def olga(clean: Flask, session: Session) -> Visitor:
    """A Super User, signed in; new cards are entered at the Test processor."""
    somebody = make.admin(session)
    put(session, "payment.processor", "test")
    return make.signed_in(clean, somebody)


@pytest.fixture
def at_stripe(olga: Visitor, session: Session, books: LocalStripe) -> LocalStripe:
    """New cards are entered at Stripe."""
    put(session, "payment.processor", "stripe")
    put(session, "stripe.secret_key", SECRET_KEY)
    put(session, "stripe.publishable_key", PUBLISHABLE_KEY)
    put(session, "stripe.webhook_secret", WEBHOOK_SECRET)
    put(session, "stripe.api_base", books.base)
    return books


def put(session: Session, key: str, value: Any) -> None:
    settings.change_setting(session, key=key, value=value, actor=None)
    session.commit()


def driver(session: Session, **values: Any) -> User:
    made = make.user(session, **values)
    session.commit()
    return made


def card(session: Session, owner: User, alias: str = "approve", **values: Any) -> PaymentMethod:
    row = methods.add_method(
        session, user=owner, processor="test", card=test_processor.card_of(alias), now=values.pop("now", utcnow())
    )
    for name, value in values.items():
        setattr(row, name, value)
    session.commit()
    return row


def tab(olga: Visitor, owner: User) -> str:
    olga.get(f"{USERS}details/?id={owner.id}")
    return words(olga.htmx(f"{USERS}payment-methods/?id={owner.id}").get_data(as_text=True))


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).strip()


def add(olga: Visitor, owner: User, **data: Any) -> Any:
    olga.get(f"{USERS}details/?id={owner.id}")
    path = f"{USERS}add-payment-method/?id={owner.id}"
    olga.htmx(path, target="div#modal-content")
    return olga.htmx(path, "POST", {"reason": "Asked by phone", **data}, target="div#modal-content")


def actions(session: Session) -> list[tuple[str, str | None, str]]:
    session.commit()
    return [(row.name, row.info, row.initiated_by) for row in session.scalars(select(Action).order_by(Action.id))]


# --- the user's page and the list


def test_the_tab_lists_what_a_user_pays_with(olga: Visitor, session: Session) -> None:
    alex = driver(session)
    assert "No Payment Methods yet." in tab(olga, alex)
    old = card(session, alex, exp_year=2020, exp_month=1)
    used = card(session, alex, last4="1111", brand="visa", processor="stripe", last_used_at=utcnow())
    card(session, alex, last4="2222", brand="visa", processor="stripe")
    page = olga.get(f"{USERS}details/?id={alex.id}").get_data(as_text=True)
    titles = re.findall(r'role="tab"[^>]*>([^<]+)</a>', page)
    assert titles[:3] == ["General", "Payment Methods", "RFID Tags"]
    shown = tab(olga, alex)
    assert "VISA **** 1111 Default" in shown and "VISA **** 2222 Default" not in shown
    assert f"{old} Test processor 01/2020 Expired" in shown
    details = words(olga.get(f"/crm/payment-methods/details/?id={used.id}").get_data(as_text=True))
    assert "VISA **** 1111" in details and "Stripe" in details


def test_the_list_says_which_card_pays_and_how_many_there_are(olga: Visitor, session: Session) -> None:
    alex, maria = driver(session), driver(session, email="maria@example.com")
    card(session, alex, last4="1111", brand="visa", last_used_at=utcnow())
    card(session, alex, last4="2222", brand="visa")
    card(session, maria, exp_year=2020)
    page = olga.get(f"{USERS}?sort=email").get_data(as_text=True)
    first, second = (words(row) for row in page[page.index("<tbody>") :].split("</tr>")[:2])
    assert "alex" in first and "VISA **** 1111 +1" in first
    assert "maria" in second and "****" not in second


def test_a_test_card_is_added_by_its_alias(olga: Visitor, session: Session) -> None:
    alex = driver(session)
    olga.get(f"{USERS}details/?id={alex.id}")
    dialog = olga.htmx(f"{USERS}add-payment-method/?id={alex.id}", target="div#modal-content").get_data(as_text=True)
    assert all(meaning in dialog for meaning in test_processor.ALIASES.values())
    assert add(olga, alex, alias="approve", reason=" ").status_code == 422
    assert add(olga, alex, alias="nonsense").status_code == 422
    assert session.scalars(select(PaymentMethod)).all() == []
    answer = add(olga, alex, alias="decline")
    assert (answer.status_code, answer.headers["HX-Trigger"]) == (200, "record-changed")
    kept = session.scalars(select(PaymentMethod)).one()
    assert (kept.user_id, kept.processor, kept.reference.split(":")[0]) == (alex.id, "test", "decline")
    assert actions(session) == [("Add Payment Method", "TEST **** 2222: Declines everything", "Olga Operator")]


def test_without_a_processor_it_says_where_to_choose_one(olga: Visitor, session: Session) -> None:
    alex = driver(session)
    put(session, "payment.processor", "none")
    olga.get(f"{USERS}details/?id={alex.id}")
    said = olga.htmx(f"{USERS}add-payment-method/?id={alex.id}", target="div#modal-content")
    assert (said.status_code, "CONFIGURATION &gt; Settings" in said.get_data(as_text=True)) == (200, True)


def test_users_of_the_testing_processor_get_that_one(olga: Visitor, session: Session) -> None:
    put(session, "payment.processor", "stripe")
    put(session, "payment.testing_emails", "Alex.Petkov@example.com")
    alex, maria = driver(session), driver(session, email="maria@example.com")
    assert methods.processor_name(session, alex) == "test"
    assert methods.processor_name(session, maria) == "stripe"
    add(olga, alex, alias="approve")
    assert session.scalars(select(PaymentMethod.processor)).all() == ["test"]


def test_no_more_than_the_maximum_expired_cards_aside(olga: Visitor, session: Session) -> None:
    put(session, "payment.maximum_methods", 1)
    alex = driver(session)
    card(session, alex, exp_year=2020)
    assert add(olga, alex, alias="approve").status_code == 200
    answer = add(olga, alex, alias="approve")
    assert answer.status_code == 422
    assert "has 1 payment method already, and no more than 1 is allowed" in answer.get_data(as_text=True)
    assert len(session.scalars(select(PaymentMethod)).all()) == 2


def test_a_removed_card_pays_no_more_and_is_forgotten_by_its_processor(olga: Visitor, session: Session) -> None:
    alex = driver(session)
    row = card(session, alex)
    tag = make.tag(session, alex, payment=TagPayment.PAYMENT_METHOD, payment_method_id=row.id)
    session.commit()
    olga.get(f"/crm/payment-methods/details/?id={row.id}")
    path = "/crm/payment-methods/run/remove/"
    data = {"rowid": row.id, "reason": "Lost"}
    assert olga.htmx(path, "POST", {"rowid": row.id}, target="div#modal-content").status_code == 422
    assert olga.htmx(path, "POST", data, target="div#modal-content").status_code == 200
    session.expire_all()
    assert (row.status, row.forgotten_at, tag.payment) == (PaymentMethodStatus.REMOVED, None, TagPayment.LAST_USED)
    assert actions(session)[0][:2] == ("Remove Payment Method", str(row))
    assert "No Payment Methods yet." in tab(olga, alex)
    again = olga.htmx(path, "POST", data, target="div#modal-content").get_data(as_text=True)
    assert "was removed already" in again
    session.commit()
    assert card_entry.tend(separate_transaction, clock=utcnow) == 1
    session.expire_all()
    assert row.forgotten_at is not None
    session.commit()
    assert card_entry.tend(separate_transaction, clock=utcnow) == 0


def test_who_may_only_look_sees_no_buttons(clean: Flask, session: Session) -> None:
    looking = make.admin(session, "Anna Analyst", "Reader", permissions=("crm.user.view",))
    alex = driver(session)
    row = card(session, alex)
    anna = make.signed_in(clean, looking)
    shown = tab(anna, alex)
    assert str(row) in shown and "Add payment method" not in shown and "Remove" not in shown
    assert anna.get(f"{USERS}add-payment-method/?id={alex.id}").status_code == 403
    assert anna.get(f"/crm/payment-methods/run/remove/?rowid={row.id}").status_code == 403


# --- the driver's page


def invite(olga: Visitor, owner: User, **data: Any) -> str:
    """The one-time address, without the host."""
    html = add(olga, owner, **data).get_data(as_text=True)
    found = re.search(r'value="http://[^/"]+(/public/payment-method/[^"]+)"', html)
    assert found, words(html)
    return found[1]


def secret_of(html: str) -> str:
    found = re.search(r'data-secret="([^"]+)"', html)
    assert found, words(html)
    return found[1]


def test_a_driver_enters_a_card_once(olga: Visitor, session: Session, clean: Flask, at_stripe: LocalStripe) -> None:
    alex = driver(session, locale="bg")
    address = invite(olga, alex, send="y")
    mail = session.scalars(select(Mail)).one()
    assert (mail.recipient, address in mail.body, "Здравейте, Alex Petkov," in mail.body) == (alex.email, True, True)
    setup = session.scalars(select(PaymentMethodSetup)).one()
    assert address.rsplit("/", 1)[1] not in (setup.token_hash, setup.reference)
    assert "can be used until" in tab(olga, alex)
    stranger = visitor(clean)
    page = stranger.get(address)
    html = page.get_data(as_text=True)
    assert 'lang="bg"' in html and "Добавяне на платежен метод" in html and PUBLISHABLE_KEY in html
    assert SECRET_KEY not in html
    policy = page.headers["Content-Security-Policy"]
    assert "script-src 'self' https://js.stripe.com" in policy and "unsafe" not in policy
    assert (page.headers["Cache-Control"], page.headers["Referrer-Policy"]) == ("no-store", "no-referrer")
    assert secret_of(stranger.get(address).get_data(as_text=True)) == secret_of(html)
    still = stranger.get(f"{address}?returned=1")
    assert (still.status_code, secret_of(still.get_data(as_text=True))) == (200, secret_of(html))
    at_stripe.enter_card(secret_of(html))
    for _ in range(2):
        assert "VISA **** 4242" in stranger.get(f"{address}?returned=1").get_data(as_text=True)
    used = stranger.get(address)
    assert used.status_code == 410 and "вече е използван" in used.get_data(as_text=True)
    assert "stripe.com" not in used.headers["Content-Security-Policy"]
    session.commit()
    kept = session.scalars(select(PaymentMethod)).one()
    assert (kept.user_id, kept.processor, kept.last4, kept.exp_month) == (alex.id, "stripe", "4242", 12)
    assert [name for name, *_ in actions(session)] == ["Add Payment Method", "Payment method added"]


def test_a_declined_card_can_be_replaced_on_the_same_page(
    olga: Visitor, session: Session, clean: Flask, at_stripe: LocalStripe
) -> None:
    address = invite(olga, driver(session))
    assert session.scalars(select(Mail)).all() == []
    stranger = visitor(clean)
    secret = secret_of(stranger.get(address).get_data(as_text=True))
    at_stripe.enter_card(secret, DECLINING)  # declines charges, not its entry
    assert "VISA **** 0341" in stranger.get(f"{address}?returned=1").get_data(as_text=True)


@pytest.mark.parametrize("teller", ["webhook", "job"])
def test_a_browser_that_never_comes_back_is_no_loss(
    olga: Visitor, session: Session, clean: Flask, at_stripe: LocalStripe, teller: str
) -> None:
    from tests.test_stripe_webhooks import event, post

    address = invite(olga, driver(session))
    at_stripe.enter_card(secret_of(visitor(clean).get(address).get_data(as_text=True)))
    setup = session.scalars(select(PaymentMethodSetup)).one()
    session.commit()
    if teller == "job":
        assert card_entry.tend(separate_transaction, clock=utcnow) == 1
    else:
        for number in ("evt_1", "evt_1", "evt_2"):
            told = event("setup_intent.succeeded", {"id": setup.reference}, number)
            assert post(clean, told).status_code == 200
    assert session.scalars(select(PaymentMethod.last4)).all() == ["4242"]
    session.expire_all()
    assert setup.finished_at is not None and setup.payment_method_id is not None


def test_an_address_ends_with_its_day_and_others_do_not_exist(
    olga: Visitor, session: Session, clean: Flask, at_stripe: LocalStripe
) -> None:
    address = invite(olga, driver(session))
    session.execute(update(PaymentMethodSetup).values(expires_at=utcnow() - timedelta(seconds=1)))
    session.commit()
    stranger = visitor(clean)
    over = stranger.get(address)
    assert (over.status_code, "This address has expired" in over.get_data(as_text=True)) == (410, True)
    gone = stranger.get("/public/payment-method/nonsense", headers={"Accept-Language": "pt"})
    assert (gone.status_code, "Este endereço não existe" in gone.get_data(as_text=True)) == (404, True)


def test_a_card_beyond_the_maximum_is_not_kept(
    olga: Visitor, session: Session, clean: Flask, at_stripe: LocalStripe
) -> None:
    put(session, "payment.maximum_methods", 1)
    alex = driver(session)
    address = invite(olga, alex)
    stranger = visitor(clean)
    at_stripe.enter_card(secret_of(stranger.get(address).get_data(as_text=True)))
    card(session, alex)
    refused = words(stranger.get(f"{address}?returned=1").get_data(as_text=True))
    assert "The card was not kept" in refused and alex.email not in refused
    assert session.scalars(select(PaymentMethod.processor)).all() == ["test"]


def test_when_stripe_is_away_operator_and_driver_are_told(
    olga: Visitor, session: Session, clean: Flask, at_stripe: LocalStripe
) -> None:
    alex = driver(session)
    address = invite(olga, alex)
    put(session, "stripe.api_base", f"http://127.0.0.1:{free_port()}")
    answer = add(olga, alex)
    assert (answer.status_code, "could not be asked" in answer.get_data(as_text=True)) == (422, True)
    page = visitor(clean).get(address)
    assert (page.status_code, "cannot be entered at the moment" in page.get_data(as_text=True)) == (503, True)
    put(session, "stripe.api_base", at_stripe.base)
    put(session, "stripe.secret_key", "sk")
    assert "does not accept the secret key" in add(olga, alex).get_data(as_text=True)
    assert len(session.scalars(select(Action)).all()) == 1


def test_two_invitations_at_once_are_one_customer(olga: Visitor, session: Session, at_stripe: LocalStripe) -> None:
    alex = driver(session)
    invite(olga, alex)
    first = session.scalars(select(PaymentMethodSetup.reference)).one()
    invite(olga, alex)
    session.commit()
    setups = [
        at_stripe.get(f"/v1/setup_intents/{each}") for each in session.scalars(select(PaymentMethodSetup.reference))
    ]
    assert len(setups) == 2 and setups[0]["id"] == first
    assert setups[0]["customer"] == setups[1]["customer"]


# --- what pays for a tag


def test_a_tag_is_paid_by_what_its_user_has(olga: Visitor, session: Session) -> None:
    alex, maria = driver(session), driver(session, email="maria@example.com")
    own, other = card(session, alex), card(session, maria)
    old = card(session, alex, exp_year=2020)
    page = olga.get(f"{TAGS}new/?user={alex.id}").get_data(as_text=True)
    select_html = page[page.index('name="pays_with"') :]
    options = re.findall(r'<option[^>]*value="([^"]+)"', select_html[: select_html.index("</select>")])
    assert options == ["last_used", f"method:{own.id}", "balance"]
    fields = {"tag_id": "04A1", "status": "active", "user": str(alex.id)}
    for wrong in (f"method:{other.id}", f"method:{old.id}", "method:999", "partner:1", "nonsense", "method:"):
        answer = olga.send(f"{TAGS}new/", {**fields, "pays_with": wrong})
        assert answer.status_code == 422 and "not a payment method of the user" in answer.get_data(as_text=True)
    olga.send(f"{TAGS}new/", {**fields, "pays_with": f"method:{own.id}"})
    tag = session.scalars(select(RfidTag)).one()
    assert (tag.payment, tag.payment_method_id) == (TagPayment.PAYMENT_METHOD, own.id)
    shown = words(olga.get(f"{TAGS}details/?id={tag.id}").get_data(as_text=True))
    assert f"Payment method {own}" in shown
    form = olga.get(f"{TAGS}edit/?id={tag.id}").get_data(as_text=True)
    assert re.search(rf'<option selected value="method:{own.id}"', form)
    version = re.search(r'name="_version" value="([^"]*)"', form)
    assert version
    olga.send(f"{TAGS}edit/?id={tag.id}", {**fields, "pays_with": "balance", "_version": version[1]})
    session.expire_all()
    assert (tag.payment, tag.payment_method_id) == (TagPayment.BALANCE, None)


def test_a_tag_keeps_its_expired_card_but_not_with_another_user(olga: Visitor, session: Session) -> None:
    alex, maria = driver(session), driver(session, email="maria@example.com")
    row = card(session, alex)
    tag = make.tag(session, alex, payment=TagPayment.PAYMENT_METHOD, payment_method_id=row.id)
    row.exp_year = 2020
    session.commit()
    form = olga.get(f"{TAGS}edit/?id={tag.id}").get_data(as_text=True)
    assert f"{row} (expired)" in form
    version = re.search(r'name="_version" value="([^"]*)"', form)
    assert version
    fields = {"tag_id": tag.tag_id, "status": "active", "pays_with": f"method:{row.id}", "_version": version[1]}
    refused = olga.send(f"{TAGS}edit/?id={tag.id}", {**fields, "user": str(maria.id)})
    assert refused.status_code == 422
    assert olga.send(f"{TAGS}edit/?id={tag.id}", {**fields, "card_no": "7", "user": str(alex.id)}).status_code == 302
    session.expire_all()
    assert (tag.payment_method_id, tag.card_no) == (row.id, "7")


def test_a_corporate_account_is_offered_where_there_is_a_payer(
    olga: Visitor, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    alex = driver(session)
    lidl = make_partner(session)
    session.commit()

    class Accounts(corporate.Nobody):
        def accounts_of(self, session: Session, *, user_id: int) -> list[corporate.Account]:
            return [corporate.Account(lidl.id, "Lidl Bulgaria")]

    monkeypatch.setattr(corporate, "_offered", [Accounts()])
    choices = olga.get(f"{TAGS}payment-choices/?user={alex.id}").json
    assert choices[-1] == [f"partner:{lidl.id}", "Corporate account: Lidl Bulgaria"]
    fields = {"tag_id": "04A1", "status": "active", "user": str(alex.id), "pays_with": f"partner:{lidl.id}"}
    olga.send(f"{TAGS}new/", fields)
    tag = session.scalars(select(RfidTag)).one()
    assert (tag.payment, tag.payer_partner_id) == (TagPayment.CORPORATE, lidl.id)
    for nobody in ("", "999", "x"):
        assert len(olga.get(f"{TAGS}payment-choices/?user={nobody}").json) == 2


# --- the connection test


def test_the_processor_is_asked(olga: Visitor, session: Session, at_stripe: LocalStripe) -> None:
    def ask(integration: str = "stripe") -> str:
        olga.get("/configuration/integration/")
        olga.send(f"/configuration/integration/test/?name={integration}", {})
        return words(olga.get("/configuration/integration/").get_data(as_text=True))

    assert "Stripe answers and accepts the secret key" in ask()
    put(session, "stripe.secret_key", "sk")
    assert "does not accept the secret key" in ask()
    assert "The Test processor is built in" in ask("payment_test")
    put(session, "stripe.api_base", f"http://127.0.0.1:{free_port()}")
    assert "could not be asked" in ask()


@pytest.mark.parametrize(
    "key, value",
    [
        ("stripe.api_base", "http://api.stripe.com"),
        ("stripe.publishable_key", "sk_live_1"),
        ("stripe.secret_key", "pk_live_1"),
    ],
)
def test_keys_in_the_wrong_place_are_refused(session: Session, key: str, value: str) -> None:
    with pytest.raises(settings.InvalidSetting):
        settings.change_setting(session, key=key, value=value, actor=None)


def test_expiry_is_judged_by_the_month(session: Session) -> None:
    row = PaymentMethod(exp_year=2026, exp_month=11)
    assert not methods.is_expired(row, today=datetime(2026, 11, 30).date())
    assert methods.is_expired(row, today=datetime(2026, 12, 1).date())


# --- charged at Stripe


def test_a_charge_whose_answer_was_lost_is_found_at_stripe_and_not_made_again(
    olga: Visitor, session: Session, at_stripe: LocalStripe
) -> None:
    """As a process killed between Stripe's answer and our commit leaves it: asked, and nothing known of an answer."""
    alex = driver(session)
    row = methods.add_method(
        session, user=alex, processor="stripe", card=Card(token=at_stripe.card(), last4="4242"), now=utcnow()
    )
    paid = orders.open_transaction(
        session,
        type_=TransactionType.CHARGE,
        purpose=TransactionPurpose.PAYMENT_METHOD,
        amount=Decimal("5.32"),
        subject=orders.Subject(user_id=alex.id, currency="EUR"),
        method=row,
        key=f"lost:{at_stripe.base}",
        now=utcnow(),
    )
    session.commit()
    number = paid.id

    class Killed(BaseException):
        """As if by kill -9."""

    opened: list[int] = []

    def killed_before_the_answer_is_kept() -> AbstractContextManager[Session]:
        opened.append(1)
        if len(opened) > 1:
            raise Killed
        return separate_transaction()

    with pytest.raises(Killed):
        perform.perform(killed_before_the_answer_is_kept, transaction_id=number, clock=utcnow)
    session.expire_all()
    assert (paid.status, paid.processor_reference) == (TransactionStatus.PENDING, None)
    session.commit()

    def later() -> datetime:
        return utcnow() + timedelta(minutes=3)

    done = perform.perform(separate_transaction, transaction_id=number, clock=later)
    assert done is TransactionStatus.SUCCEEDED
    session.expire_all()
    reference = paid.processor_reference
    made = at_stripe.get("/v1/payment_intents?limit=100")["data"]
    assert [each["id"] for each in made if each["metadata"].get("key") == f"lost:{at_stripe.base}"] == [reference]


# --- in a browser


@pytest.mark.browser
def test_the_card_goes_from_the_browser_to_stripe_and_we_learn_its_last_digits(
    olga: Visitor, session: Session, clean: Flask, at_stripe: LocalStripe, browser: Browser
) -> None:
    """The page is served by the application with its own policy; Stripe's script and API are localstripe's."""
    address = invite(olga, driver(session, locale="pt"))
    session.commit()
    stranger, sent_here = visitor(clean), []

    def ours(route: Route) -> None:
        sent_here.append(f"{route.request.url} {route.request.post_data or ''}")
        path = route.request.url.removeprefix("http://sync.test")
        got = stranger.get(path)
        route.fulfill(status=got.status_code, headers=dict(got.headers), body=got.get_data())

    def script(route: Route) -> None:
        with urllib.request.urlopen(f"{at_stripe.base}/js.stripe.com/v3/") as found:
            text = found.read().decode()
        # it would ask where it came from: Stripe's own is at another address
        text = re.sub(r"const LOCALSTRIPE_BASE_API = .*?\}\)\(\);", BASE, text, count=1, flags=re.S)
        route.fulfill(content_type="application/javascript", body=text)

    def api(route: Route) -> None:
        path = route.request.url.removeprefix("https://api.stripe.com")
        asked = urllib.request.Request(at_stripe.base + path, (route.request.post_data or "").encode())
        with urllib.request.urlopen(asked) as found:
            allowed = {"Access-Control-Allow-Origin": "*"}
            route.fulfill(content_type="application/json", headers=allowed, body=found.read().decode())

    page = browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.route("http://sync.test/**", ours)
    page.route("https://js.stripe.com/**", script)
    page.route("https://api.stripe.com/**", api)
    page.goto(f"http://sync.test{address}")
    expect(page.get_by_role("button", name="Guardar cartão")).to_be_enabled()
    for field, value in zip(
        page.locator("#card input").all(), ("4242424242424242", "12", "31", "123", "1000"), strict=True
    ):
        field.fill(value)
    page.get_by_role("button", name="Guardar cartão").click()
    expect(page.get_by_role("heading")).to_have_text("Guardado: VISA **** 4242")
    assert page.url.endswith("?returned=1") and complaints == []
    assert not any("4242424242424242" in each for each in sent_here)
    session.expire_all()
    assert session.scalars(select(PaymentMethod.last4)).all() == ["4242"]
    page.close()


@pytest.mark.browser
def test_without_stripes_script_the_driver_is_told(
    olga: Visitor, session: Session, clean: Flask, at_stripe: LocalStripe, browser: Browser
) -> None:
    address = invite(olga, driver(session))
    session.commit()
    stranger = visitor(clean)

    def ours(route: Route) -> None:
        got = stranger.get(route.request.url.removeprefix("http://sync.test"))
        route.fulfill(status=got.status_code, headers=dict(got.headers), body=got.get_data())

    page = browser.new_page()
    page.route("http://sync.test/**", ours)
    page.route("https://js.stripe.com/**", lambda route: route.abort())
    page.goto(f"http://sync.test{address}")
    expect(page.get_by_role("alert")).to_contain_text("The card cannot be entered at the moment")
    page.close()
