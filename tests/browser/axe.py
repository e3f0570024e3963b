"""What axe-core finds on a page as it stands."""

from __future__ import annotations

from functools import cache
from typing import Any

from playwright.sync_api import Page

from tests.support.product import ROOT

#: structure does not change with the colours: these are all the rules that look at them
COLOUR_RULES = ("color-contrast", "link-in-text-block")
_RUN = """
async rules => {
  const options = {resultTypes: ['violations'], preload: false};
  if (rules.length) options.runOnly = {type: 'rule', values: rules};
  const {violations} = await axe.run(document, options);
  return violations.flatMap(rule => rule.nodes.map(node =>
    [rule.id, node.target.join(' '), node.failureSummary.split('\\n').slice(1, 3).join(' '), node.html.slice(0, 200)]
      .join(': ')));
}
"""


@cache
def _source() -> str:
    return (ROOT / "tests" / "vendor" / "axe.min.js").read_text()


def violations(page: Page, *, rules: tuple[str, ...] = ()) -> list[str]:
    """What axe finds, by all of its rules or by some. It comes past the page's policy, as developer tools would.

    A list is pale while it is fetched anew: that is over before it is looked at.
    """
    page.wait_for_function("() => !document.querySelector('.htmx-request')")
    if not page.evaluate("() => Boolean(window.axe)"):
        session = page.context.new_cdp_session(page)
        session.send("Runtime.evaluate", {"expression": _source()})
        session.detach()
    found: Any = page.evaluate(_RUN, list(rules))
    return [str(line) for line in found]
