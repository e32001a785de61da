"""What can go wrong, as one tree.

    SeewhyError
    ├── PhotoError            a photo that cannot be read or does not look like one      (ValueError)
    │   └── LargePhotoError   a photo of more pixels than are taken
    ├── InputError            images, batches or options that do not fit the call        (ValueError)
    ├── UnknownNameError      a model, layer, class, method ... nobody knows             (LookupError)
    ├── TargetError           targets of the wrong number, kind or shape                 (ValueError)
    ├── LayerError            a layer that cannot be explained: it did not run, no axes  (ValueError)
    ├── OutputError           outputs that cannot be explained: NaN, no class vector     (ValueError)
    ├── ModelError            a model that cannot be loaded                              (RuntimeError)
    ├── MissingPackageError   an optional package that is not installed                  (ImportError)
    └── SaveError             a file that cannot or must not be written                  (OSError)

Each message says what was expected, what came and what to try.
"""

import difflib
from collections.abc import Iterable


class SeewhyError(Exception):
    """The root: catch this to catch all that seewhy raises on purpose."""


class PhotoError(SeewhyError, ValueError):
    """A photo that cannot be read."""


class LargePhotoError(PhotoError):
    """A photo of more pixels than are taken."""


class InputError(SeewhyError, ValueError):
    """Images, a batch or an option that does not fit the call."""


class UnknownNameError(SeewhyError, LookupError):
    """A name that nothing goes by; the message gives the nearest ones."""


class TargetError(SeewhyError, ValueError):
    """Targets of the wrong number, kind or shape."""


class LayerError(SeewhyError, ValueError):
    """A layer that cannot be explained."""


class OutputError(SeewhyError, ValueError):
    """Model outputs that cannot be explained."""


class ModelError(SeewhyError, RuntimeError):
    """A model that cannot be loaded."""


class MissingPackageError(SeewhyError, ImportError):
    """An optional package that is not installed."""


class SaveError(SeewhyError, OSError):
    """A file that cannot, or must not, be written."""


class SeewhyWarning(UserWarning):
    """Something the reader of the picture should know; said once."""


def unknown(kind: str, name: object, known: Iterable[str], more: str = "") -> UnknownNameError:
    """The error for a name that nothing goes by, with the nearest known names.

    >>> print(unknown("method", "grad-cma", ["grad-cam", "layer-cam"]))
    unknown method 'grad-cma': did you mean 'grad-cam'?
    """
    names = list(known)
    by_folded = {n.casefold(): n for n in names}
    folded = str(name).casefold()
    close = [n for n in by_folded if folded and folded in n][:3]
    close += [n for n in difflib.get_close_matches(folded, by_folded, n=3, cutoff=0.5) if n not in close][
        : 3 - len(close)
    ]
    if close:
        hint = "did you mean " + " or ".join(repr(by_folded[c]) for c in close) + "?"
    elif names and len(names) <= 12:
        hint = "known: " + ", ".join(names)
    elif names:
        hint = "known, among others: " + ", ".join([*names[:4], "...", *names[-2:]])
    else:
        hint = "none is known here"
    return UnknownNameError(f"unknown {kind} {name!r}: {hint}" + (f" {more}" if more else ""))
