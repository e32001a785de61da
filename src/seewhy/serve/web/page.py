"""The page: what stands where, and what leads to what.

What happens when something is chosen is in handlers.py, what is shown in drawing.py, what there is to choose from in
choices.py. Opacity is the browser's alone.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from seewhy.serve.web import choices, drawing
from seewhy.serve.web.handlers import MOST_CLASSES, NOTHING, Handlers, about, layers_of, method_of, told
from seewhy.serve.web.models import Shelf
from seewhy.serve.web.sessions import Sessions

AT_ONCE = 4
"""How many visitors are answered at the same time; others wait for their turn."""
ALL = 10_000
"""How many choices a list shows: more than there are layers or methods."""

# a bar of the predictions was pressed
_BARS = """
element.addEventListener('click', (event) => {
  const bar = event.target.closest('[data-class]');
  if (bar) trigger('select', {index: bar.dataset.class});
});
"""
_LIVE = "element.setAttribute('aria-live', 'polite');"  # what is new is read out
# what is typed may lie outside
_OPACITY = """
(value) => {
  const opacity = Math.min(1, Math.max(0, value));
  document.documentElement.style.setProperty('--seewhy-opacity', opacity);
  return opacity;
}
"""
# what was saved lies behind a button that nobody sees
_DOWNLOAD = """
() => setTimeout(() => {
  const button = document.querySelector('#file');
  (button.querySelector('a, button') ?? button).click();
}, 150)
"""
# the examples are pictures without words, and there only after a while
_NAMES = """
() => {
  const waiting = setInterval(() => {
    for (const picture of document.querySelectorAll('.gallery-item img')) {
      picture.closest('button').setAttribute('aria-label', `Example: ${picture.src.split('/').pop()}`);
      clearInterval(waiting);
    }
  }, 100);
}
"""


def build(
    shelf: Shelf,
    sessions: Sessions,
    examples: Sequence[Path],
    in_words: Callable[[Exception], str],
) -> gr.Blocks:
    """The page as Gradio's blocks; `in_words` says what went wrong where seewhy did not foresee it."""
    handle = Handlers(shelf, sessions, in_words)
    first = shelf.get(shelf.offered[0])
    methods = choices.methods(shelf.methods)
    usual = "grad-cam" if shelf.methods is None or "grad-cam" in shelf.methods else methods[0][1]
    start, is_free = method_of(first, usual), first.own is None
    with gr.Blocks(title="seewhy", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.HTML('<div class="sw-head"><h1>seewhy</h1><p>See where a vision model looked.</p></div>', elem_id="head")
        with gr.Row(equal_height=False, elem_id="desk"):
            with gr.Column(elem_id="given", min_width=0):
                photo = gr.Image(
                    label="Photo",
                    type="filepath",
                    image_mode=None,
                    sources=["upload", "webcam", "clipboard"],
                    height=260,
                    buttons=[],
                    elem_id="photo",
                    placeholder="Drop a photo here\n- or -\nclick to choose one",
                )
                if examples:
                    gr.Examples([[str(path)] for path in examples], photo, label="Examples", cache_examples=False)
                bars = gr.HTML("", js_on_load=_BARS, elem_id="predictions")
            with gr.Column(elem_id="seen", min_width=0):
                result = gr.HTML(drawing.WELCOME, js_on_load=_LIVE, elem_id="result")
                with gr.Row():
                    picture = gr.Button("Download the picture", size="sm", interactive=False, elem_id="picture")
                    raw = gr.Button("Download the raw map (.npz)", size="sm", interactive=False, elem_id="raw")
            with gr.Column(elem_id="controls", min_width=0), gr.Group():
                classes = gr.Dropdown(
                    [],
                    value=[],
                    label="Classes",
                    info=f"Of a photo: any class by its name, up to {MOST_CLASSES} side by side.",
                    multiselect=True,
                    elem_id="classes",
                )
                method = gr.Dropdown(
                    methods, value=start, label="Method", interactive=is_free, num_choices_shown=ALL, elem_id="method"
                )
                other = gr.Dropdown(
                    [("nothing", NOTHING), *methods],
                    value=NOTHING,
                    label="Compare with",
                    interactive=is_free,
                    num_choices_shown=ALL,
                    elem_id="other",
                )
                hint = gr.HTML(about(start, NOTHING, first), elem_id="about")
                layer = gr.Dropdown(**layers_of(first), label="Layer", num_choices_shown=ALL, elem_id="layer")
                model = gr.Dropdown(
                    list(shelf.offered),
                    value=shelf.offered[0],
                    label="Model",
                    allow_custom_value=shelf.is_open,
                    elem_id="model",
                )
                colours = gr.Dropdown(list(choices.COLORMAPS), value="viridis", label="Colours", elem_id="colours")
                opacity = gr.Slider(0, 1, value=0.6, step=0.05, label="Opacity", elem_id="opacity")
        file = gr.DownloadButton("file", visible="hidden", elem_id="file")
        before = gr.Textbox(shelf.offered[0], visible="hidden")  # the model that is shown

        asked = [photo, model, classes, method, other, layer, colours]
        shown = [result, bars, classes, picture, raw]
        common: dict[str, Any] = {
            "concurrency_limit": AT_ONCE,
            "show_progress_on": result,
            "trigger_mode": "multiple",
            "preprocess": False,  # seewhy opens the photo itself, and has words for what is none
            "api_visibility": "private",
        }
        photo.change(handle.new_photo, asked, [*shown, photo], **common)
        photo.clear(handle.no_photo, None, shown, queue=False, show_progress="hidden", api_visibility="private")
        model.input(handle.new_model, [*asked, before], [*shown, layer, method, other, hint, model, before], **common)
        gr.on(
            # of classes the change: Gradio tells no input where the last one is taken away
            [classes.change, method.input, other.input, layer.input, colours.input],
            handle.chosen,
            asked,
            [result, bars, classes],
            **common,
        )
        gr.on(
            [method.input, other.input],
            told,
            [method, other],
            [hint, layer],
            queue=False,
            show_progress="hidden",
            preprocess=False,
            api_visibility="private",
        )
        bars.select(_pressed, None, classes, queue=False, show_progress="hidden", api_visibility="private").then(
            handle.chosen, asked, [result, bars, classes], **common
        )
        opacity.change(None, opacity, opacity, js=_OPACITY, api_visibility="private")
        for button, save in ((picture, handle.save_picture), (raw, handle.save_maps)):
            button.click(save, [*asked, opacity], [result, file], show_progress="minimal", **common).then(
                None, None, None, js=_DOWNLOAD, api_visibility="private"
            )
        if examples:
            page.load(None, None, None, js=_NAMES, api_visibility="private")
        page.unload(handle.gone)
    return page


def _pressed(event: gr.EventData) -> list[str]:
    """The class whose bar was pressed."""
    return [str(int(event.index))]
