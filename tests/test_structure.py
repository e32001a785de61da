"""What holds for the program as a whole."""

import importlib
import importlib.metadata
import pkgutil
import subprocess
import sys
from importlib.metadata import EntryPoint, requires

import pytest
import torch

import nets
import seewhy
from seewhy import catalog

FRAMEWORKS = ["torch", "tensorflow", "keras", "jax", "torchvision", "timm", "transformers", "onnxruntime", "onnx"]
LATER = ["matplotlib.pyplot", "scipy", "skimage", "IPython", "fastapi", "uvicorn", "pydantic", "gradio"]


def fresh(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_seewhy_imports_no_framework():
    code = "import sys, seewhy, seewhy.cli; seewhy.methods(); seewhy.targets(); print(*sys.modules)"
    loaded = fresh(code).split()
    assert "seewhy.cli.explain" in loaded
    assert not [name for name in (*FRAMEWORKS, *LATER) if name in loaded]


def test_the_public_surface():
    surface = """Check Explainer Explanation Explanations LayerInfo Look Prediction Preprocess SeewhyError SeewhyWarning
                 Table VisionModel __version__ check class_difference compare evaluate explain export finer layers load
                 methods metrics negative open open_table region targets top"""
    assert sorted(seewhy.__all__) == sorted(surface.split())
    assert all(hasattr(seewhy, name) for name in seewhy.__all__)


def test_functions_keep_their_names_after_the_packages_of_that_name_are_imported():
    code = "import seewhy, seewhy.methods.grad_cam, seewhy.targets.top, seewhy.explain, seewhy.models.lite0\n"
    assert fresh(code + "print(callable(seewhy.methods), callable(seewhy.metrics), callable(seewhy.evaluate))") == (
        "True True True"
    )


def test_the_core_needs_seven_packages():
    core = {line.split(">=")[0] for line in requires("seewhy") if "extra ==" not in line}
    assert core == {"numpy", "pillow", "scipy", "matplotlib", "array-api-compat", "typer", "rich"}


def test_every_public_thing_has_a_docstring():
    modules = [importlib.import_module(m.name) for m in pkgutil.walk_packages(seewhy.__path__, "seewhy.")]
    assert not [module.__name__ for module in modules if not module.__doc__]
    assert not [name for name in seewhy.__all__ if not getattr(seewhy, name).__doc__]
    for kind in ("methods", "targets"):
        for name in catalog.names(kind):
            assert ">>>" in catalog.get(kind, name).__doc__, name


def plugin_method(capture):
    """A method from elsewhere."""
    return capture.activations.mean(1, keepdim=True)


def test_plugins_come_in_by_the_same_door(monkeypatch, request):
    points = [
        EntryPoint("mean-cam", "test_structure:plugin_method", "seewhy.methods"),
        EntryPoint("broken", "test_structure:nothing", "seewhy.methods"),
    ]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [p for p in points if p.group == group])
    catalog._plugins.cache_clear()
    request.addfinalizer(catalog._plugins.cache_clear)
    assert "mean-cam" in catalog.names("methods")
    net = nets.seeded(nets.Plain())
    x = torch.rand(1, 3, 6, 6, dtype=torch.float64)
    explanation = seewhy.explain(net, x, 0, method="mean-cam", layer="features")
    torch.testing.assert_close(explanation.maps[:, 0], net.features(x).detach().mean(1).clamp(min=0))
    with pytest.raises(seewhy.SeewhyError, match="'broken' does not load"):
        seewhy.explain(net, x, 0, method="broken")
    assert seewhy.methods()["mean-cam"] == "A method from elsewhere."  # a broken plugin costs no other
    assert "does not load" in seewhy.methods()["broken"]


def test_models_of_no_known_framework_are_named():
    with pytest.raises(seewhy.SeewhyError, match=r"expected a model of keras or onnxruntime or torch.*got dict"):
        seewhy.explain({}, None)


def test_models_of_keras_2_are_told_what_to_do():
    keras_2 = type("Functional", (), {"__module__": "tf_keras.src.engine.functional"})
    with pytest.raises(seewhy.SeewhyError, match=r"tf_keras \(Keras 2\).*model\.h5.*load it in Keras 3"):
        seewhy.explain(keras_2(), None)
