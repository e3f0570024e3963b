"""Where the machine's Chromium is, and what becomes of the browser tests without one."""

from __future__ import annotations

import os
import shutil
import sys

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
#: nothing of the browser's own may leave the machine, and no display or GPU is needed
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage")
#: with this set to 1 (as CI does) a missing Chromium is an error
REQUIRED = "SYNC_REQUIRE_BROWSER"
MARK = "browser"


def find() -> str | None:
    """The path of the first Chromium found."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


def executable() -> str:
    """The same, for a test that was not left out: one that must run fails in plain words when there is none."""
    found = find()
    if found is None:
        pytest.fail(f"{REQUIRED}=1, but there is no Chromium on this machine: apt-get install chromium", pytrace=False)
    return found


def deselect_without(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take the browser tests out when there is no Chromium, and say so once; where CI needs them they stay and fail."""
    ours = [item for item in items if item.get_closest_marker(MARK)]
    if find() is not None or not ours or os.environ.get(REQUIRED) == "1":
        return
    config.hook.pytest_deselected(items=ours)
    items[:] = [item for item in items if not item.get_closest_marker(MARK)]
    _say(config, f"{len(ours)} browser tests left out: there is no Chromium on this machine (apt-get install chromium)")


def _say(config: pytest.Config, line: str) -> None:
    """Print a line past pytest's capture; of several workers only the first speaks."""
    worker = getattr(config, "workerinput", {}).get("workerid", "gw0")
    if worker != "gw0":
        return
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n{line}", file=sys.stderr, flush=True)  # noqa: T201 (to whoever runs the tests)
