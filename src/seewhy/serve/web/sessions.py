"""What each visitor of a page looks at: one photo, and what a model's pass over it left."""

import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from seewhy.errors import PhotoError, SeewhyError
from seewhy.explanation import Explanation
from seewhy.images import Photo
from seewhy.look import Look
from seewhy.serve._limits import Limits
from seewhy.serve._photos import open_photo
from seewhy.serve.web.models import Loaded
from seewhy.stream import reporting


class Superseded(SeewhyError):
    """The visitor asked for something else meanwhile."""


@dataclass(frozen=True)
class Wish:
    """What a visitor asks of a photo."""

    classes: tuple[int, ...]
    """None of them: the predicted class."""
    methods: tuple[str, ...]
    layer: str | None
    """None: the model's own."""


@dataclass(eq=False)
class Session:
    """One visitor: the photo that was opened, the passes over it that are kept, and what was answered last.

    `pixels` is the largest photo that is opened.

    All of it belongs to one photo and one model: a new one takes the place of the old.
    """

    pixels: int = Limits.pixels
    drawn: tuple[list[Explanation], str] | None = None
    """What the page shows, and in which colours; None where it shows something else."""
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _latest: tuple[Loaded, Path, Wish] | None = None
    _of: tuple[object, ...] | None = None
    _look: Look | None = None
    _answered: tuple[tuple[Wish, Wish], list[Explanation]] | None = None
    """What was wished, also in words of the classes that were found."""
    _folder: Path | None = None

    def ask(
        self,
        model: Loaded,
        photo: Path,
        wish: Wish,
        tell: Callable[[str, int, int], None] = lambda doing, done, total: None,
    ) -> list[Explanation]:
        """An explanation for each method; what was answered last, or is asked twice at once, is computed once.

        `tell` hears how far long runs have come. Raises Superseded in a long run once something else is asked, and what
        `seewhy.explain` raises.
        """
        asked = self._latest = (model, photo, wish)

        def going_on(doing: str, done: int, total: int) -> None:
            if self._latest != asked:
                raise Superseded("something else was asked meanwhile")
            tell(doing, done, total)

        with self._turn:
            if self._latest != asked:
                raise Superseded("something else was asked meanwhile")
            look = self._looking(model, photo)
            if self._answered is not None and wish in self._answered[0]:
                return self._answered[1]
            target = list(wish.classes) or None
            with reporting(going_on):
                found = look.compare(target, wish.methods, wish.layer)
            classes = tuple(one.index for one in found[0].targets[0] if one.index is not None)
            self._answered = ((wish, replace(wish, classes=classes)), found)
            return found

    def folder(self) -> Path:
        """A folder for files of this visitor; it is gone when the session is."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="seewhy-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder

    def _looking(self, model: Loaded, photo: Path) -> Look:
        of = (model, str(photo), photo.stat().st_mtime_ns)
        if self._look is None or self._of != of:
            self._of = self._look = self._answered = None  # before more memory is taken
            opened = _opened(photo, self.pixels)
            self._look = Look(model.explainer, Photo(opened.image, opened.name))
            self._of = of
        return self._look


def _opened(photo: Path, pixels: int) -> Photo:
    """The photo, within the bounds of the API; where it cannot be read, its name is said, and not where it lies."""
    try:
        data = photo.read_bytes()
    except OSError as error:
        raise PhotoError(f"{photo.name} is not there any more: choose the photo again") from error
    return open_photo(data, photo.name, pixels)


class Sessions:
    """The visitors of a page; of more than `most` at once, the one who asked longest ago is forgotten.

    A visitor who was forgotten notices nothing but that the next answer takes a pass of the model again.
    """

    def __init__(self, most: int = 16, pixels: int = Limits.pixels) -> None:
        self._most, self._pixels = most, pixels
        self._sessions: dict[str, Session] = {}
        self._turn = threading.Lock()

    def __len__(self) -> int:
        return len(self._sessions)

    def of(self, visitor: str) -> Session:
        """The session of a visitor, new or as it was left."""
        with self._turn:
            session = self._sessions.pop(visitor, None) or Session(self._pixels)
            self._sessions[visitor] = session  # the last in order
            while len(self._sessions) > self._most:
                del self._sessions[next(iter(self._sessions))]
            return session

    def drop(self, visitor: str) -> None:
        """Forget a visitor who has left."""
        with self._turn:
            self._sessions.pop(visitor, None)
