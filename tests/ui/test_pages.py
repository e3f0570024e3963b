"""What surrounds every page: headers, errors, menu, assets."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.ui.checked_client import CheckedClient, check

ROOT = Path(__file__).resolve().parents[2]


def text_of(response: Any) -> str:
    return str(response.get_data(as_text=True))


def test_pages_carry_a_policy_without_inline_anything(olga: CheckedClient) -> None:
    headers = olga.get("/assets/charge-points/").headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "script-src" not in policy  # no page but the map needs one of its own
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert "HX-Request" in headers["Vary"]


@pytest.mark.parametrize("code", [400, 403, 404, 409, 422, 429, 500])
def test_an_error_is_a_page_in_words(olga: CheckedClient, stranger: CheckedClient, code: int) -> None:
    for client in (olga, stranger):
        answer = client.get(f"/fail/{code}")
        assert answer.status_code == code
        assert f'data-error="{code}"' in text_of(answer)
        assert "a secret" not in text_of(answer)
    assert "Charge Points" in text_of(olga.get(f"/fail/{code}"))  # the menu stays
    assert "Charge Points" not in text_of(stranger.get(f"/fail/{code}"))
    part = text_of(olga.htmx(f"/fail/{code}"))
    assert part.startswith("<p")
    assert f'data-error="{code}"' in part


def test_not_signed_in_is_a_way_to_the_login(stranger: CheckedClient) -> None:
    assert stranger.get("/fail/401").location == "/login?next=/fail/401"


def test_a_method_that_does_not_work_says_which_do(olga: CheckedClient) -> None:
    answer = olga.get("/logout")
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


def test_the_menu_has_sections_icons_and_the_current_page(olga: CheckedClient) -> None:
    page = text_of(olga.get("/assets/charge-points/"))
    assert re.findall(r'class="side-section">([^<]+)<', page) == ["Assets", "Activity"]
    assert re.search(r'href="/assets/charge-points/" aria-current="page"', page)
    assert "#charging-pile" in page
    assert "Olga Petrova" in page
    assert "Super User" in page
    assert 'action="/logout"' in page
    assert 'id="universal-search"' in page


def test_signing_out_is_a_post_with_token(olga: CheckedClient) -> None:
    refused = olga.post("/logout")
    assert refused.status_code == 400
    assert "This page was open for too long" in text_of(refused)
    assert olga.send("/logout").location == "/login"
    assert olga.get("/assets/charge-points/").status_code == 302


def test_the_theme_is_known_before_the_page_is_drawn(olga: CheckedClient) -> None:
    assert "data-theme-auto" in text_of(olga.get("/dashboard/home/"))
    olga.set_cookie("theme", "dark")
    page = text_of(olga.get("/dashboard/home/"))
    assert '<html lang="en" data-bs-theme="dark"' in page
    assert "data-theme-auto" not in page
    olga.set_cookie("theme", '"><script>')
    assert 'data-bs-theme="light"' in text_of(olga.get("/dashboard/home/"))


def test_static_files_are_cached_for_ever_under_their_fingerprint(olga: CheckedClient) -> None:
    page = text_of(olga.get("/dashboard/home/"))
    for path in re.findall(r'(?:src|href)="(/static/[^"#]+)', page):
        answer = olga.get(path)
        assert answer.status_code == 200, path
        assert "immutable" in answer.headers["Cache-Control"], path
    assert "immutable" not in olga.get("/static/js/lists.js").headers["Cache-Control"]


def test_icons_are_those_of_the_sprite(screens: Flask) -> None:
    from admin_views.widgets.chrome import icon

    with screens.test_request_context():
        assert 'aria-hidden="true"' in icon("bolt")
        assert 'aria-label="Fast"' in icon("bolt", label="Fast")
        with pytest.raises(KeyError, match=r"static/icons\.txt"):
            icon("no-such-icon")


def test_every_icon_named_in_templates_is_in_the_sprite(screens: Flask) -> None:
    from admin_views.widgets.chrome import known_icons

    named = set()
    for template in (ROOT / "templates").rglob("*.html"):
        named |= set(re.findall(r"icon\('([a-z0-9-]*[a-z0-9])'[,)]", template.read_text()))
    assert len(named) > 20
    with screens.app_context():
        assert named <= known_icons()


def test_vendored_files_are_as_their_manifest_says() -> None:
    command = [sys.executable, str(ROOT / "tools" / "vendor_assets.py"), "--check"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    size = sum(path.stat().st_size for path in (ROOT / "static" / "vendor").rglob("*") if path.is_file())
    assert size < 4_000_000
    assert (ROOT / "static" / "vendor" / "world" / "world.json").stat().st_size < 300_000


def test_templates_have_no_inline_script_style_or_handler() -> None:
    mails = ROOT / "templates" / "mail"  # no page of ours: mail readers know inline styles only
    for template in (ROOT / "templates").rglob("*.html"):
        if template.is_relative_to(mails):
            continue
        text = template.read_text()
        assert not re.search(r"\s(style|on[a-z]+|hx-on[:a-z-]*)=[\"']", text), template
        assert "<style" not in text, template
        for tag in re.findall(r"<script[^>]*>", text):
            assert "src=" in tag or "nonce=" in tag, f"{template}: {tag}"


@pytest.mark.parametrize(
    ("html", "says"),
    [
        ("<p><b></p></b>", "closes"),
        ("<div>", "never closed"),
        ('<i id="a"></i><i id="a"></i>', "used twice"),
        ('<label for="x">X</label>', "leads nowhere"),
        ('<a hx-get="/x" hx-target="#gone">x</a>', "#gone does not exist"),
        ('<p style="x">x</p>', "policy blocks"),
        ('<p onclick="x">x</p>', "policy blocks"),
        ("<script>x</script>", "without src or nonce"),
        ('<img src="https://cdn.example/x.png">', "leaves the site"),
        ('<form method="post"></form>', "without CSRF token"),
        ("<td>None</td>", "'None' on screen"),
    ],
)
def test_the_checking_client_sees_what_is_wrong(html: str, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        check(html)
