"""The embedded photos: CC0 photographs that come in scikit-image's wheel, for the demo, the docs and the tests."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from seewhy.errors import InputError, MissingPackageError, unknown
from seewhy.explain import explain
from seewhy.explanation import Explanation
from seewhy.images import Photo, open_photo
from seewhy.preprocess import Preprocess
from seewhy.vision_model import VisionModel

FILES = {"cat": "chelsea.png", "coffee": "coffee.png", "motorcycle": "motorcycle_left.png", "rocket": "rocket.jpg"}
GRID_CLASSES = {"cat": 282, "coffee": 967, "motorcycle": 670, "rocket": 657}
"""The ImageNet class that the demo asks for in each quarter of the grid."""


def embedded_photo(name: str) -> Photo:
    """One of the embedded photos: cat, coffee, motorcycle, rocket.

    Raises MissingPackageError where scikit-image is not installed, UnknownNameError for another name.

    >>> embedded_photo("coffee").image.size
    (600, 400)
    """
    if name not in FILES:
        raise unknown("embedded photo", name, FILES)
    spec = find_spec("skimage")  # found, not imported: only its files are wanted
    if spec is None or not spec.submodule_search_locations:
        raise MissingPackageError('the embedded photos come with scikit-image: pip install "seewhy[demo]"')
    photo = open_photo(Path(spec.submodule_search_locations[0]) / "data" / FILES[name])
    return Photo(photo.image, name, photo.path)


def grid(side: int = 448) -> Photo:
    """The four embedded photos as one square photo: cat and coffee above, motorcycle and rocket below.

    >>> grid().image.size
    (448, 448)
    """
    sheet, half = Image.new("RGB", (side, side)), side // 2
    for place, name in enumerate(FILES):
        image = embedded_photo(name).image
        edge = min(image.size)
        left, top = (image.width - edge) // 2, (image.height - edge) // 2
        square = image.resize((half, half), Image.Resampling.BICUBIC, (left, top, left + edge, top + edge))
        sheet.paste(square, (place % 2 * half, place // 2 * half))
    return Photo(sheet, "grid")


def explain_grid(model: VisionModel) -> Explanation:
    """The grid at 448 px, explained by an ImageNet classifier for the class of each quarter, in one pass."""
    if not isinstance(model.preprocess, Preprocess):
        raise InputError(f"{model.name} must say how photos are prepared, to show it one of another size")
    preprocess = replace(model.preprocess, size=(448, 448), resize=None)
    return explain(model, grid(448), list(GRID_CLASSES.values()), preprocess=preprocess)
