"""A test client that checks every page it gets: balanced HTML, unique ids, references that lead somewhere,
nothing inline that the policy would block, no 'None' on screen. Product tests may use it too:
``app.test_client_class = CheckedClient``.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from flask.testing import FlaskClient

VOID = frozenset(
    [
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "source",
        "track",
        "wbr",
        "path",
        "circle",
        "rect",
        "line",
    ]
)
REFERENCES = ("for", "aria-controls", "aria-labelledby", "aria-describedby", "form", "list")


class Page(HTMLParser):
    """What was found in a response."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.problems: list[str] = []
        self.ids: list[str] = []
        self.references: list[tuple[str, str]] = []
        self.targets: list[str] = []
        self.posts_without_token: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self._form: str | None = None
        self._has_token = False
        self.feed(html)
        self.close()
        if self._open:
            self.problems.append(f"never closed: {self._open}")

    @property
    def _inert(self) -> bool:
        return "template" in self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note ids and references; remember what is open."""
        found = {name: value or "" for name, value in attrs}
        if len(found) != len(attrs):
            self.problems.append(f"<{tag}> has an attribute twice: {attrs}")
        self._forbidden(tag, found)
        if tag not in VOID:
            self._open.append(tag)
        if self._inert:
            return
        if "id" in found:
            self.ids.append(found["id"])
        for name in REFERENCES:
            for value in found.get(name, "").split():
                self.references.append((name, value))
        for name in ("hx-target", "hx-include", "data-bs-target"):
            if found.get(name, "").startswith("#"):
                self.targets.append(found[name][1:])
        if found.get("data-bs-toggle") == "tab" and found.get("href", "").startswith("#"):
            self.targets.append(found["href"][1:])
        for match in re.findall(r"from:#([\w-]+)", found.get("hx-trigger", "")):
            self.targets.append(match)
        if tag == "form":
            self._form = str(found) if found.get("method", "get").lower() == "post" else None
            self._has_token = "hx-post" in found
        if found.get("name") == "csrf_token" and found.get("value"):
            self._has_token = True

    def _forbidden(self, tag: str, found: dict[str, str]) -> None:
        for name in found:
            if name == "style" or name.startswith(("on", "hx-on")):
                self.problems.append(f"<{tag}> has {name}, which the policy blocks")
        if tag == "script" and "src" not in found and "nonce" not in found:
            self.problems.append("a script without src or nonce")
        if tag == "style":
            self.problems.append("an inline style sheet")
        for name in ("src", "href", "action", "hx-get", "hx-post"):
            if found.get(name, "").startswith(("http:", "https:", "//", "javascript:")):
                self.problems.append(f"<{tag} {name}={found[name]!r}> leaves the site")

    def handle_endtag(self, tag: str) -> None:
        """Check that what is closed was opened last."""
        if tag in VOID:
            return
        if not self._open or self._open[-1] != tag:
            self.problems.append(f"</{tag}> closes {self._open[-1:] or 'nothing'} at {self.getpos()}")
            if tag in self._open:
                while self._open.pop() != tag:
                    pass
            return
        self._open.pop()
        if tag == "form":
            if self._form is not None and not self._has_token:
                self.posts_without_token.append(self._form)
            self._form = None

    def handle_data(self, data: str) -> None:
        """Keep the words shown."""
        if not self._open or self._open[-1] not in ("script", "template", "title"):
            self.words.append(data)


def check(html: str, *, known_ids: frozenset[str] = frozenset()) -> Page:
    """Raise AssertionError for whatever is wrong with a page or (with ``known_ids`` of its page) a part of one."""
    page = Page(html)
    wrong = list(page.problems)
    twice = {found for found in page.ids if page.ids.count(found) > 1}
    if twice:
        wrong.append(f"ids used twice: {sorted(twice)}")
    there = set(page.ids) | known_ids
    wrong += [f"{name}={value!r} leads nowhere" for name, value in page.references if value not in there]
    wrong += [f"target #{value} does not exist" for value in page.targets if value not in there]
    wrong += [f"a form posts without CSRF token: {form}" for form in page.posts_without_token]
    if re.search(r"(?<![\w“])None(?![\w”])", " ".join(page.words)):
        wrong.append("'None' on screen")
    assert not wrong, "\n".join(wrong)
    return page


class CheckedClient(FlaskClient):
    """Checks HTML, carries the CSRF token, and can act as htmx."""

    page_ids: frozenset[str] = frozenset()
    token = ""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        """As FlaskClient.open, then check."""
        response = super().open(*args, **kwargs)
        if response.mimetype == "text/html" and not 300 <= response.status_code < 400:
            html = response.get_data(as_text=True)
            whole = "<!doctype html>" in html[:200].lower()
            page = check(html, known_ids=frozenset() if whole else self.page_ids)
            if whole:
                self.page_ids = frozenset(page.ids)
                found = re.search(r'name="csrf-token" content="([^"]+)"', html)
                self.token = found[1] if found else self._token_of(html)
        return response

    @staticmethod
    def _token_of(html: str) -> str:
        found = re.search(r'name="csrf_token" value="([^"]+)"', html)
        return found[1] if found else ""

    def sign_in(self, email: str) -> None:
        """Through the login page."""
        self.get("/login")
        answer = self.post("/login", data={"email": email, "password": "x", "csrf_token": self.token})
        assert answer.status_code == 302, answer.get_data(as_text=True)
        self.get("/dashboard/home/")

    def send(self, path: str, data: Any = None, **options: Any) -> Any:
        """POST with the CSRF token of the last page."""
        fields = dict(data or {})
        fields.setdefault("csrf_token", self.token)
        return self.post(path, data=fields, **options)

    def htmx(self, path: str, method: str = "GET", data: Any = None, target: str = "div#list", **headers: str) -> Any:
        """As htmx asks for a part of the open page."""
        sent = {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": target, **headers}
        if method == "POST":
            sent["X-CSRFToken"] = self.token
        return self.open(path, method=method, data=data, headers=sent)
