"""What a page shows, as HTML: the predictions as bars, the photo beside its explanations, errors in words.

The heatmap is a picture of its own on top of the photo, as opaque as there is evidence: how much of it is seen is then
a matter of the browser alone, and the slider needs no server. It is what seewhy.render.overlay.blend computes:
photo + opacity * heatmap * (colours - photo).
"""

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
from PIL import Image

from seewhy.explanation import Explanation
from seewhy.maps import covered
from seewhy.preprocess import Geometry
from seewhy.render.colormap import colours
from seewhy.sentence import SHARE, WHOLE, percent
from seewhy.types import Heatmap, Prediction

LONGEST = 1024
"""Pixels along the longer side of a picture in the page; what is downloaded is as large as the photo."""
UNSEEN = 0.01
"""Of a class that is less probable the model sees next to nothing, and that is said."""
FAINT = 0.22
"""Where the positions that hold most of the evidence are weaker on average, the picture looks empty, and why is said.
At the last layers it is about 0.5, at the first ones of a model often below 0.2."""

WELCOME = (
    '<div class="sw-note"><p class="sw-lead">Where did the model look?</p>'
    "<p>Drop a photo, take one, or click an example. You will see what the model recognises, and which parts of the "
    "photo speak for it.</p></div>"
)


def problem(words: str, then: str = "") -> str:
    """An error, in words, and what follows from it.

    >>> problem("cat.txt is <no image>")
    '<div class="sw-note sw-problem" role="alert"><p class="sw-lead">That did not work</p>\
<p>cat.txt is &lt;no image&gt;</p></div>'
    """
    return (
        '<div class="sw-note sw-problem" role="alert"><p class="sw-lead">That did not work</p>'
        f"<p>{escape(words)}</p>{f'<p>{escape(then)}</p>' if then else ''}</div>"
    )


def bars(predictions: Sequence[Prediction], chosen: Sequence[int]) -> str:
    """The predictions as bars that are buttons: pressed are those that are explained."""
    if not predictions:
        return '<p class="sw-quiet">This model gives no probabilities of classes.</p>'
    rows = []
    for one in predictions:
        pressed = "true" if one.index in chosen else "false"
        rows.append(
            f'<button type="button" class="sw-bar" data-class="{one.index}" aria-pressed="{pressed}" '
            f'title="Show what speaks for {escape(one.label)}">'
            f'<span class="sw-fill" style="width:{100 * one.probability:.1f}%"></span>'
            f'<span class="sw-name">{escape(one.label)}</span>'
            f'<span class="sw-share">{percent(one.probability)}</span></button>'
        )
    return f'<div class="sw-bars" role="group" aria-label="Predictions">{"".join(rows)}</div>'


def results(found: Sequence[Explanation], colormap: str) -> str:
    """The photo, and beside it an explanation for each class and method, with what is to be said of it."""
    one = found[0]
    picture = Image.fromarray(one.views[0].picture())
    width, height = picture.size
    figures = [_figure("", "", "The photo", "The photo as it is", "")]
    for j in range(len(one.labels[0])):
        for explanation in found:
            figures.append(_explained(explanation, j, colormap, several=len(found) > 1))
    predicted = one.describe(j=0).removesuffix(one.describe(j=0, predicted=False)).strip()
    return (
        f'<div class="sw-results" style="--photo:url({_uri(_fitted(picture), "JPEG")});--ratio:{width}/{height}">'
        f'<p class="sw-said">{escape(predicted)}</p>'
        f'<div class="sw-grid{" sw-pairs" if len(found) == 2 else ""}">{"".join(figures)}</div>'
        f"{_legend(colormap, one.views[0].geometry)}</div>"
    )


def _explained(explanation: Explanation, j: int, colormap: str, *, several: bool) -> str:
    caption = explanation.caption(0, j)
    title = f"{caption}, by {explanation.method}" if several else caption
    sentence = explanation.describe(j=j, predicted=False)
    where = f"{explanation.method} at {explanation.layer}"
    heatmap = explanation.heatmap(0, j, scale="robust" if explanation.pixels else "image")
    if not heatmap.any():
        return _figure("", f'<span class="sw-empty">{escape(sentence)}</span>', title, sentence, where)
    said = [sentence]
    sure, c = explanation.probabilities, explanation.targets[0][j].index
    is_unseen = sure is not None and c is not None and sure[0, c] < UNSEEN
    if is_unseen and not explanation.control:
        said.insert(0, "The model hardly sees it here: this is what comes nearest.")
    if _is_faint(heatmap):
        said.append("A few points are far stronger than the rest, which is hardly visible.")
    return _figure(_heat(explanation, heatmap, colormap), "", title, " ".join(said), where)


def _is_faint(heatmap: Heatmap) -> bool:
    """Are all but a few of the positions that hold most of the evidence next to invisible?"""
    ordered = np.sort(heatmap.ravel())[::-1].cumsum(dtype=np.float64)
    last = int(np.searchsorted(ordered, SHARE * ordered[-1]))
    return bool(ordered[last] / (last + 1) < FAINT)


def _figure(heat: str, note: str, title: str, sentence: str, where: str) -> str:
    layer = f'<img class="sw-heat" alt="" src="{heat}">' if heat else ""
    words = f'<span class="sw-sentence">{escape(sentence)}</span>' if where else ""
    small = f'<span class="sw-quiet">{escape(where)}</span>' if where else ""
    return (
        f'<figure><div class="sw-stack" role="img" aria-label="{escape(title)}. {escape(sentence)}">{layer}{note}</div>'
        f"<figcaption><strong>{escape(title)}</strong>{words}{small}</figcaption></figure>"
    )


def _heat(explanation: Explanation, heatmap: Heatmap, colormap: str) -> str:
    """The colours of a heatmap, as opaque as there is evidence, as a data: URI."""
    geometry = explanation.views[0].geometry
    seen = covered(geometry.size, geometry.region)
    alpha = np.rint(255 * np.where(seen, heatmap, 0)).astype(np.uint8)
    return _uri(_fitted(Image.fromarray(np.dstack([colours(heatmap, colormap), alpha]))), "WEBP")


def _fitted(picture: Image.Image) -> Image.Image:
    shrink = LONGEST / max(picture.size)
    if shrink >= 1:
        return picture
    size = max(1, round(picture.width * shrink)), max(1, round(picture.height * shrink))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _uri(picture: Image.Image, kind: str) -> str:
    file = io.BytesIO()
    picture.save(file, kind, quality=88)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _legend(colormap: str, geometry: Geometry) -> str:
    steps = colours(np.linspace(0, 1, 9, dtype=np.float32)[None], colormap)[0]
    stops = ", ".join(f"rgb({r} {g} {b})" for r, g, b in steps)
    words = (
        "Each picture has its own scale: its strongest evidence has the colour at the right. "
        "Where the photo is unchanged, there is none."
    )
    if covered(geometry.size, geometry.region).mean() < WHOLE:
        sides = zip(geometry.size, geometry.region, strict=True)
        part = "the middle" if all(abs(low + high - length) <= 2 for length, (low, high) in sides) else "a part"
        words += f" The model saw only {part} of the photo: of what lies outside, nothing can be told."
    return (
        '<p class="sw-legend"><span>less</span>'
        f'<span class="sw-scale" style="background:linear-gradient(to right, {stops})"></span>'
        f'<span>more evidence</span></p><p class="sw-quiet">{words}</p>'
    )


def hint(name: str, line: str) -> str:
    """One line on a method."""
    return f'<p class="sw-hint"><strong>{escape(name)}</strong>: {escape(line)}</p>'
