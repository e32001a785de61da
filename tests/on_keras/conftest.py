"""What all tests on Keras share. The backend is the one that KERAS_BACKEND names; the Makefile runs them on each."""

import random
import tempfile
import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # TensorFlow's own, while it is imported
    import keras

if keras.config.backend() == "jax":
    import jax

    # small nets are compiled longer than they run, and alike ones again and again
    _compiled = tempfile.TemporaryDirectory()
    jax.config.update("jax_disable_most_optimizations", True)
    jax.config.update("jax_compilation_cache_dir", _compiled.name)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def pytest_configure(config: pytest.Config) -> None:
    # Keras's own on PyTorch, under a NumPy that is newer than it
    config.addinivalue_line(
        "filterwarnings", "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
    )


@pytest.fixture(autouse=True)
def _seeded() -> None:
    random.seed(0)  # from which Keras draws the seeds of its layers; its own set_random_seed imports TensorFlow


@pytest.fixture
def double():
    """All that is built and computed is float64, so that a difference is a mistake, and not a matter of rounding."""
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")  # one that was set once counts from then on, whatever floatx is
    _set_jax(True)
    yield
    _set_jax(False)
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


def _set_jax(double: bool) -> None:
    if keras.config.backend() == "jax":
        jax.config.update("jax_enable_x64", double)
