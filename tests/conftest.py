"""Shapes are checked in every test: jaxtyping is imported before seewhy, and its hook has beartype check them."""

import os
from pathlib import Path

import jaxtyping

hook = jaxtyping.install_import_hook("seewhy", "typecheck.typecheck")

import matplotlib  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

matplotlib.use("Agg")
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))

import cpu_torchvision  # noqa: E402

cpu_torchvision.allow()

from seewhy import cli  # noqa: E402

cli.keep_freed_memory = lambda: None  # this process is not seewhy's own


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def lite0():
    import seewhy

    return seewhy.load("lite0")


@pytest.fixture(scope="session")
def coffee() -> Path:
    from seewhy.photos import embedded_photo

    return embedded_photo("coffee").path
