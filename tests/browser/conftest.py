"""A signed-in operator in the machine's Chromium, on the running product.

Every test gets an empty house, an admin who came in by the login form, and a browser that notes what must not happen:
errors in the console, breaches of the content policy, exceptions, answers that are no answers. Pictures of failures
are in test-artifacts/.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.desk import PATIENCE_MS, Desk, ready, save_artifacts
from tests.browser.watch import Watch
from tests.support.factories_dashboard import PASSWORD, make_admin
from tests.support.gateway import House, house, server
from tests.support.product import ROOT

__all__ = ["house", "server"]

ARTIFACTS = ROOT / "test-artifacts"
FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember whether the test failed, for the picture."""
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


@pytest.fixture
def desk(request: pytest.FixtureRequest, browser: Browser, house: House) -> Iterator[Desk]:
    """The operator Olga at her desk, signed in. The test fails if any of her pages complains."""
    options = getattr(request, "param", {})
    context = browser.new_context(
        **{"viewport": {"width": 1440, "height": 900}, "locale": "en-GB", "reduced_motion": "reduce", **options}
    )
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    watch = Watch(context)
    made = Desk(context, context.new_page(), watch, house.server.product.http)
    try:
        sign_in(made, house)
        yield made
        assert not watch.complaints, "\n".join(watch.complaints)
    finally:
        if request.node.stash.get(FAILED, True) or watch.complaints:
            save_artifacts(context.pages, ARTIFACTS, re.sub(r"\W+", "-", request.node.name))
        context.close()


def sign_in(desk: Desk, house: House) -> None:
    """Through the door, as every morning."""
    for key in house.server.redis.scan_iter("LIMITS*"):
        house.server.redis.delete(key)  # all tests come from one address
    make_admin(house.session, email="olga@operator.example", name="Olga Operator")
    page = desk.page
    page.goto(desk.http + "/")
    page.get_by_label("Email").fill("olga@operator.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    ready(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Dashboard")
