"""What was shown to the model."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seewhy.errors import InputError
from seewhy.images import Photo
from seewhy.maps import scale
from seewhy.preprocess import Geometry


@dataclass(frozen=True)
class View:
    """What was shown to the model, and where it lies on the photo."""

    geometry: Geometry
    photo: Photo | None
    ready: Callable[[], npt.NDArray[np.float32]] | None = None
    """For an image of a ready batch: gives it as NumPy (c, *s)."""

    def picture(self) -> npt.NDArray[np.uint8]:
        """The photo, or for a ready batch the input stretched to its own range, as uint8 (H, W, 3)."""
        if self.photo is not None:
            return np.asarray(self.photo.image)
        if self.ready is None or len(self.geometry.size) != 2:
            raise InputError(
                f"only images can be drawn, and this input has the spatial axes {self.geometry.size}: "
                "use .heatmap() or .maps"
            )
        values = self.ready()
        values = values if values.shape[0] == 3 else np.repeat(values.mean(axis=0, keepdims=True), 3, axis=0)
        stretched = scale(values, float(values.min()), float(values.max()))
        return np.rint(stretched.transpose(1, 2, 0) * 255).astype(np.uint8)
