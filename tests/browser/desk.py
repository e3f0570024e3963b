"""The operator's desk: a signed-in browser with any number of pages, and the gestures tests make again and again."""

from __future__ import annotations

import os
import re
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.watch import Watch

#: how long anything may take before the test gives up; the machine may be busy
PATIENCE_MS = 20_000
#: what the product promises: a change reaches an open page within two seconds
PROMISED_MS = 2000
#: the shortest interval in which a running card fetches itself even without an event, less a margin: slower is no push
POLLED_MS = 8000


def live_ms() -> float:
    """The promise in milliseconds; on a machine with more to do than processors, as much longer as it is overloaded."""
    overload = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    return min(PROMISED_MS * overload, POLLED_MS)


@dataclass
class Desk:
    """One admin's browser. ``page`` is the tab at hand."""

    context: BrowserContext
    page: Page
    watch: Watch
    http: str

    def open(self, path: str, *, live: bool = False) -> Page:
        """Go to an address of the product; with ``live``, wait until the page is told what happens."""
        with connected(self.page) if live else nullcontext():
            self.page.goto(self.http + path)
        return ready(self.page)

    def tab(self, path: str, *, live: bool = False) -> Page:
        """Open an address in a further tab, and leave the tab at hand as it is."""
        kept = self.page
        self.page = new = self.context.new_page()
        self.open(path, live=live)
        self.page = kept
        return new


def connected(page: Page) -> AbstractContextManager[Any]:
    """Within: the page opens its stream of events. What happened before the stream was open nobody tells a page."""
    return page.expect_response(lambda response: "/live?" in response.url)


def ready(page: Page) -> Page:
    """Wait until the page's scripts have run."""
    page.wait_for_selector("html[data-ready=yes]", state="attached")
    return page


def mark(page: Page) -> None:
    """Leave a mark in the document, which a reload would wipe out."""
    page.evaluate("() => { window.seenByTest = true; }")


def assert_same_document(page: Page) -> None:
    """The page was not loaded again since ``mark``."""
    assert page.evaluate("() => window.seenByTest === true"), f"{page.url} was loaded again"


def soon(locator: Locator, text: str | re.Pattern[str]) -> None:
    """A part of an open page says so within the time the product promises."""
    expect(locator).to_contain_text(text, timeout=live_ms())


def status_row(page: Page, label: str) -> Locator:
    """What a status card says beside a label."""
    return page.locator(".status-rows > div").filter(has=page.get_by_text(label, exact=True)).locator("dd")


def act(page: Page, action: str, reason: str = "", **values: Any) -> Locator:
    """Choose an action from the menu, fill in its dialog by field id, confirm; gives the dialog with the outcome."""
    page.get_by_role("button", name="Actions", exact=True).click()
    page.get_by_role("button", name=f"{action}…", exact=True).click()
    return fill_dialog(page, reason, **values)


def fill_dialog(page: Page, reason: str = "", **values: Any) -> Locator:
    """Fill in the open dialog by field id, and confirm."""
    dialog = page.locator("#modal")
    expect(dialog.locator("form")).to_be_visible()
    for name, value in values.items():
        field = dialog.locator(f"#{name}")
        if field.evaluate("element => element.tagName") == "SELECT":
            field.select_option(label=value)
        else:
            field.fill(value)
    if reason:
        dialog.get_by_label("Reason").fill(reason)
    dialog.locator(".modal-footer button:not([data-bs-dismiss])").click()
    return dialog


def choose(page: Page, label: str, words: str) -> None:
    """Choose a record or value in a field that searches while one types."""
    box = page.get_by_role("combobox", name=label)
    box.locator("xpath=..").click()
    box.fill(words)
    found = page.locator(".ts-dropdown .option:visible")
    expect(found).to_have_count(1)
    expect(found).to_contain_text(re.compile(re.escape(words), re.IGNORECASE))
    found.click()
    box.press("Tab")


def close_dialog(page: Page) -> None:
    """Close the dialog and wait until it is gone."""
    page.locator("#modal").get_by_role("button", name="Close").last.click()
    expect(page.locator("#modal")).to_be_hidden()


def save_artifacts(pages: list[Page], directory: Path, name: str) -> None:
    """A picture of every open tab."""
    directory.mkdir(exist_ok=True)
    for number, page in enumerate(pages):
        page.screenshot(path=directory / f"{name}-{number}.png")
