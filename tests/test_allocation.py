"""Memory that is freed and taken again, counted in pages that the system had to fetch."""

import os
import subprocess
import sys

import pytest

PAGES = """
import resource, sys
import numpy as np
from seewhy import allocation
if "keep" in sys.argv:
    allocation.keep_freed_memory()
def fetched():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(50_000_000, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
fetched()
print(allocation.is_kept(), max(fetched() for _ in range(5)))
"""


def ask(*words):
    kept, pages = subprocess.check_output([sys.executable, "-c", PAGES, *words], text=True).split()
    return kept == "True", int(pages)


@pytest.mark.skipif("CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", ()), reason="not glibc")
def test_freed_memory_is_taken_again_and_not_fetched_anew():
    assert ask("keep") == (True, pytest.approx(0, abs=100))


def test_a_library_leaves_the_process_as_it_is():
    assert not ask()[0]


def test_another_c_library_is_left_alone(monkeypatch):
    def unknown(name):
        raise ValueError(name)

    from seewhy import allocation

    monkeypatch.setattr(os, "confstr", unknown)
    monkeypatch.setattr(allocation, "_kept", False)
    allocation.keep_freed_memory()
    assert not allocation.is_kept()
