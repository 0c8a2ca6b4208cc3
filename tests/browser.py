"""
A headless Chromium, started once for the tests of a module.
"""

import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


# Not for the whole session: while it is open, an event loop runs in this thread.
@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here; `make services` installs one, as root")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        found = play.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield found
        found.close()
