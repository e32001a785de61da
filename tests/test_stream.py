"""Long runs in chunks: what they tell of themselves, and how they end."""

import io
import sys
import threading

import pytest

from seewhy import stream


class Terminal(io.StringIO):
    def isatty(self):
        return True


def terminal_on(monkeypatch):
    """A terminal on stderr, and no patience. No fixture: between fixtures and test pytest sets stderr anew."""
    fake = Terminal()
    monkeypatch.setattr(sys, "stderr", fake)
    monkeypatch.setattr(stream, "PATIENCE", -1.0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return fake


def double(part):
    return [2 * i for i in range(part.start, part.stop)]


def test_chunks_cover_every_row_once():
    for total in range(12):
        for size in (1, 2, 5, 20):
            rows = [i for part in stream.slices(total, size) for i in range(part.start, part.stop)]
            assert rows == list(range(total))
    assert list(stream.run(5, 2, double, "doubling")) == [[0, 2], [4, 6], [8]]


def test_memory_counts_what_the_model_holds():
    mib = 2**20
    assert stream.rows_within(17, mib) == 1
    assert stream.rows_within(40, mib, mib) == 2
    with pytest.raises(
        ValueError, match=r"memory=17 MiB is too small: one changed input.* take 18 MiB: pass memory=18"
    ):
        stream.rows_within(17, mib, mib)


def test_a_long_run_draws_a_bar_on_a_terminal_and_wipes_it_away(monkeypatch):
    terminal = terminal_on(monkeypatch)
    list(stream.run(6, 2, double, "Some-CAM"))
    drawn = terminal.getvalue()
    assert "Some-CAM" in drawn
    assert drawn.rstrip().endswith("\x1b[2K")  # the last thing is that its line is wiped


def test_a_short_run_one_chunk_and_no_terminal_draw_nothing(monkeypatch):
    terminal = terminal_on(monkeypatch)
    list(stream.run(6, 6, double, "Some-CAM"))
    monkeypatch.setattr(stream, "PATIENCE", 60.0)
    list(stream.run(6, 2, double, "Some-CAM"))
    monkeypatch.setattr(stream, "PATIENCE", -1.0)
    thread = threading.Thread(target=lambda: list(stream.run(6, 2, double, "Some-CAM")))
    thread.start()
    thread.join()
    assert terminal.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    list(stream.run(6, 2, double, "Some-CAM"))
    assert sys.stderr.getvalue() == ""


def test_an_interrupt_ends_the_run_and_its_bar(monkeypatch):
    terminal = terminal_on(monkeypatch)

    def work(part):
        if part.start >= 4:
            raise KeyboardInterrupt
        return part.start

    seen = []
    with pytest.raises(KeyboardInterrupt):
        seen.extend(stream.run(8, 2, work, "Some-CAM"))
    assert "Some-CAM" in terminal.getvalue()
    assert "\x1b[?25h" in terminal.getvalue()  # the cursor is shown again
    assert all(t.done.is_set() for t in threading.enumerate() if "Refresh" in type(t).__name__)


def test_who_draws_a_bar_of_its_own_is_told_instead(monkeypatch):
    terminal = terminal_on(monkeypatch)
    told = []
    with stream.reporting(lambda *how_far: told.append(how_far)):
        list(stream.run(5, 2, double, "Some-CAM"))
    assert told == [("Some-CAM", 2, 5), ("Some-CAM", 4, 5), ("Some-CAM", 5, 5)]
    assert terminal.getvalue() == ""
    list(stream.run(5, 2, double, "Some-CAM"))
    assert len(told) == 3
