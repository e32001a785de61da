"""The page docs/keras.md: its code runs on each backend, in order, and prints what the page says."""

import re
from pathlib import Path

import keras
import pytest

PAGE = Path(__file__).parents[2] / "docs/keras.md"

# Keras's own, under a NumPy that is newer than it
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def test_the_code_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    said = ""
    for found in re.finditer(r"^```(python|text)(.*?)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S):
        kind, backend, text = found.groups()
        if kind == "text":
            assert said.split() == text.split()
        elif backend.strip() in ("", keras.config.backend()):
            line = PAGE.read_text(encoding="utf-8")[: found.start(3)].count("\n")
            exec(compile("\n" * line + text, str(PAGE), "exec"), names)
            said = capsys.readouterr().out
    for picture in ("coffee_cam.jpg", "espresso_cam.jpg", "cat_cam.jpg", "own_scales.jpg", "one_scale.jpg"):
        assert Path(picture).exists()
    assert names["heatmap"].shape == (14, 14)
    assert names["fine"].shape == (448, 448)
    coffee, cat = (float(raw.max()) for raw in names["pair"].maps)
    assert 15 < coffee / cat < 25  # "about a twentieth"


def test_the_page_has_the_capture_of_each_backend():
    blocks = re.findall(r"^```python (\w+)$", PAGE.read_text(encoding="utf-8"), re.M)
    assert blocks == ["tensorflow", "jax", "torch"]
