"""The tests of pages say what they lack: they are skipped on a machine without a browser, and fail in CI."""

import pytest

import browser


@pytest.mark.parametrize("ci", [False, True])
def test_without_a_browser_it_is_said_what_to_install(monkeypatch, ci):
    monkeypatch.setattr(browser.shutil, "which", lambda name: None)
    monkeypatch.setattr(browser, "find_spec", lambda name: None)
    monkeypatch.setenv("CI", "true") if ci else monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.fail.Exception if ci else pytest.skip.Exception) as raised:
        browser.need()
    for words in ("pip install", "apt-get install chromium)", "apt-get install chromium-driver"):
        assert words in str(raised.value)
