"""examples/xception_elephant.py: it writes its picture, and says what that is worth."""

import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image

EXAMPLE = Path(__file__).parents[2] / "examples/xception_elephant.py"

# Keras's own, under a NumPy that is newer than it
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@pytest.fixture
def example(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", [EXAMPLE.name, *arguments])
        runpy.run_path(str(EXAMPLE), run_name="__main__")

    return run


def test_it_runs_with_random_weights_and_without_a_photo(example, capsys):
    example("--weights", "random", "--target", "386")
    said = capsys.readouterr().out
    assert "These weights are random: the prediction and the picture mean nothing." in said
    assert "No photo was given: this is an embedded one, of a motorcycle." in said
    assert said.count("%  ") == 5
    assert "'African elephant'" in said
    assert said.endswith("-> elephant_cam.jpg\n")
    with Image.open("elephant_cam.jpg") as picture:
        assert picture.size == (741, 500)


def test_without_a_download_it_says_what_to_do(example, monkeypatch, tmp_path):
    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", offline)
    with pytest.raises(SystemExit, match=r"^error: the weights of keras:Xception .*--weights PATH"):
        example("elephant.jpg")
    with pytest.raises(SystemExit, match=r"^error: .*elsewhere\.h5 does not exist"):
        example("elephant.jpg", "--weights", "elsewhere.h5")
    assert not list(tmp_path.iterdir())
