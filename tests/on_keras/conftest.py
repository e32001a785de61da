"""What all tests on Keras share. The backend is the one that KERAS_BACKEND names; the Makefile runs them on each."""

import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # TensorFlow's own, while it is imported
    import keras


def pytest_configure(config: pytest.Config) -> None:
    # Keras's own on PyTorch, under a NumPy that is newer than it
    config.addinivalue_line(
        "filterwarnings", "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
    )


@pytest.fixture(autouse=True)
def _seeded() -> None:
    keras.utils.set_random_seed(0)


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
        import jax

        jax.config.update("jax_enable_x64", double)
        jax.config.update("jax_disable_most_optimizations", double)  # small nets are compiled longer than they run
