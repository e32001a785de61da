"""Photos as clients send them: decoded in memory, within limits, and made ready for the model."""

import base64
import binascii
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seewhy.errors import LargePhotoError, PhotoError
from seewhy.explain import Explainer
from seewhy.images import Photo, open_bytes
from seewhy.preprocess import Geometry
from seewhy.serve._refusals import Refusal

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""What is tried of Pillow's formats: none that runs another program, or follows a name to another file."""


@dataclass(frozen=True)
class Prepared:
    """One image as the model takes it, channels first unless `ready`, and where it lies on its photo."""

    array: npt.NDArray[np.float32]
    geometry: Geometry | None
    """None for what came as a ready input."""

    @property
    def ready(self) -> bool:
        return self.geometry is None


def prepare(explainer: Explainer, data: bytes, name: str, pixels: int) -> Prepared:
    """A photo's bytes made ready for the model. The decoded photo is let go: what waits is small.

    Raises Refusal where it is no photo, or too large.
    """
    try:
        assert explainer.preprocess is not None  # or it would not be served
        array, geometry = explainer.preprocess(open_photo(data, name, pixels))
    except LargePhotoError as error:
        raise Refusal(413, str(error)) from error
    except PhotoError as error:
        raise Refusal(400, str(error)) from error
    return Prepared(array, geometry)


def open_photo(data: bytes, name: str, pixels: int) -> Photo:
    return open_bytes(data, name, formats=FORMATS, pixels=pixels)


def from_base64(text: str, name: str) -> bytes:
    """Bytes from base64, with or without the "data:image/png;base64," of browsers.

    >>> from_base64("aGk=", "photo 1")
    b'hi'
    """
    if text[:5].lower() == "data:":
        head, comma, text = text.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise Refusal(400, f"{name}: expected a data URL as data:image/...;base64,...")
    elif text[:8].lower().startswith(("http:", "https:", "file:", "ftp:", "s3:", "gs:")):
        raise Refusal(400, f"{name} is a URL: this server fetches nothing; send the photo itself, in base64")
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(400, f"{name} is not base64: send the photo's bytes in base64, without line breaks") from None
