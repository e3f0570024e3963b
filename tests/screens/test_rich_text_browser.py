"""The editor of CONTENT in a browser: what is pasted from a word processor keeps its form and nothing else."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page
from sqlalchemy.orm import Session
from werkzeug.serving import make_server

from app.content.models import TermsDocument
from tests.support import factories_crm as make

pytestmark = [pytest.mark.browser, pytest.mark.slow]

GOOGLE_DOCS = """<meta charset="utf-8"><b style="font-weight:normal" id="docs-internal-guid-1">
<h1 dir="ltr" style="line-height:1.38"><span style="font-size:20pt;font-weight:400">Scope</span></h1>
<p dir="ltr"><span style="font-weight:700;color:#000">Bold</span><span style="font-style:italic"> slanted</span>
<span style="font-weight:400"> plain</span></p><ul><li dir="ltr"><p dir="ltr"><span>Point</span></p></li></ul>
<div dir="ltr"><table><colgroup><col></colgroup><tbody><tr><td style="border:1px"><p>
<span>Cell</span></p></td></tr></tbody></table></div><a href="javascript:alert(1)"><span>bad</span></a> <a href="https://example.com/"><span>good</span></a></b>"""

WORD = """<html xmlns:o="urn:schemas-microsoft-com:office:office"><head>
<style>p.MsoNormal{margin:0}</style></head><body>
<!--StartFragment--><p class=MsoNormal><b>Terms</b><o:p>&nbsp;</o:p></p>
<p class=MsoListParagraph style='mso-list:l0 level1 lfo1'>
<span style='mso-list:Ignore'>·<span>&nbsp;&nbsp;</span></span>First</p>
<p class=MsoListParagraph style='mso-list:l0 level1 lfo1'>
<span style='mso-list:Ignore'>·<span>&nbsp;&nbsp;</span></span>Second</p>
<p class=MsoNormal><img src=x onerror="alert(1)">End</p><!--EndFragment--></body></html>"""

PASTE = """([id, html]) => {
  const data = new DataTransfer();
  data.setData('text/html', html);
  const editor = document.getElementById(id);
  editor.focus();
  editor.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true}));
}"""


@pytest.fixture
def page(browser: Browser, clean: Flask, session: Session) -> Iterator[Page]:
    """The form of a new document, of a Super User, with what the console complained of."""
    olga = make.admin(session)
    session.commit()
    server = make_server("127.0.0.1", 0, clean, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    site = f"http://127.0.0.1:{server.server_port}"
    cookie = make.signed_in(clean, olga).get_cookie("sync_session")
    assert cookie is not None
    context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    context.add_cookies([{"name": "sync_session", "value": cookie.value, "url": site}])
    opened = context.new_page()
    opened.set_default_timeout(15_000)
    opened.goto(f"{site}/content/terms-and-policies/new/")
    opened.wait_for_selector("#draft-en-editor")
    yield opened
    context.close()
    server.shutdown()
    thread.join(10)


def test_what_is_pasted_keeps_its_form_and_nothing_else(page: Page, session: Session) -> None:
    complaints: list[str] = []
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.fill("#name-en", "Terms of Service")
    page.evaluate(PASTE, ["draft-en-editor", GOOGLE_DOCS])
    page.click("#draft-bg-tab")
    page.evaluate(PASTE, ["draft-bg-editor", WORD])
    page.click("button.btn-primary:has-text('Create')")
    page.wait_for_selector("text=Terms of Service")
    document = session.query(TermsDocument).one()
    english, bulgarian = document.draft["en"], document.draft["bg"]
    for kept in (
        "<h2>Scope</h2>",
        "<strong>Bold</strong>",
        "<em> slanted</em>",
        "<li>Point</li>",
        '<a href="https://example.com/"',
    ):
        assert kept in english, english
    assert re.search(r"<td>\s*Cell</td>", english), english
    assert "<strong>Terms</strong>" in bulgarian
    assert re.search(r"<ul><li>\s*First</li><li>\s*Second</li></ul>", bulgarian), bulgarian
    for lost in ("style", "javascript", "class", "onerror", "<span", "Mso", "·"):
        assert lost not in english + bulgarian, lost
    assert not complaints, complaints


def test_it_is_worked_by_keyboard(page: Page) -> None:
    page.click("#draft-en-editor")
    page.keyboard.type("Some ")
    page.keyboard.press("Control+b")
    page.keyboard.type("bold")
    assert "<strong>bold</strong>" in page.input_value("#draft-en")
    page.keyboard.press("Control+a")
    page.focus(".rich-text-bar button >> nth=0")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.textContent") == "Heading"
    page.keyboard.press("Enter")
    assert page.input_value("#draft-en").startswith("<h2>Some")
