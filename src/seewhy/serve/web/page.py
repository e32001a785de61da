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

# a bar of the predictions was pressed
_BARS = """
element.addEventListener('click', (event) => {
  const bar = event.target.closest('[data-class]');
  if (bar) trigger('select', {index: bar.dataset.class});
});
"""
_LIVE = "element.setAttribute('aria-live', 'polite');"  # what is new is read out
_OPACITY = "(value) => { document.documentElement.style.setProperty('--seewhy-opacity', value); }"
# what was saved lies behind two buttons that nobody sees
_DOWNLOAD = """
() => setTimeout(() => {
  for (const button of document.querySelectorAll('.sw-file')) (button.querySelector('a, button') ?? button).click();
}, 150)
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
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=300):
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
            with gr.Column(scale=8, min_width=300):
                result = gr.HTML(drawing.WELCOME, js_on_load=_LIVE, elem_id="result")
                with gr.Row():
                    picture = gr.Button("Download the picture", size="sm", elem_id="picture")
                    raw = gr.Button("Download the raw map (.npz)", size="sm", elem_id="raw")
                with gr.Group():
                    classes = gr.Dropdown(
                        [],
                        value=[],
                        label="Classes",
                        info=f"Any class by its name; up to {MOST_CLASSES} side by side.",
                        multiselect=True,
                        max_choices=MOST_CLASSES,
                        elem_id="classes",
                    )
                    with gr.Row():
                        method = gr.Dropdown(
                            methods, value=start, label="Method", interactive=is_free, min_width=230, elem_id="method"
                        )
                        other = gr.Dropdown(
                            [("nothing", NOTHING), *methods],
                            value=NOTHING,
                            label="Compare with",
                            interactive=is_free,
                            min_width=230,
                            elem_id="other",
                        )
                    hint = gr.HTML(about(start, NOTHING, first), elem_id="about")
                    with gr.Row():
                        layer = gr.Dropdown(**layers_of(first), label="Layer", min_width=230, elem_id="layer")
                        model = gr.Dropdown(
                            list(shelf.offered),
                            value=shelf.offered[0],
                            label="Model",
                            allow_custom_value=shelf.is_open,
                            min_width=230,
                            elem_id="model",
                        )
                    with gr.Row():
                        colours = gr.Dropdown(
                            list(choices.COLORMAPS),
                            value="viridis",
                            label="Colours",
                            min_width=230,
                            elem_id="colours",
                        )
                        opacity = gr.Slider(
                            0, 1, value=0.6, step=0.05, label="Opacity", min_width=230, elem_id="opacity"
                        )
        files = [gr.DownloadButton("file", visible="hidden", elem_classes="sw-file") for _ in range(2)]

        asked = [photo, model, classes, method, other, layer, colours]
        shown = [result, bars, classes]
        common: dict[str, Any] = {
            "concurrency_limit": AT_ONCE,
            "show_progress_on": result,
            "trigger_mode": "multiple",
            "preprocess": False,  # seewhy opens the photo itself, and has words for what is none
            "api_visibility": "private",
        }
        photo.change(handle.new_photo, asked, shown, **common)
        model.input(handle.new_model, asked, [*shown, layer, method, other, hint], **common)
        gr.on(
            [classes.input, method.input, other.input, layer.input, colours.input],
            handle.chosen,
            asked,
            [result, bars],
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
            handle.chosen, asked, [result, bars], **common
        )
        opacity.change(None, opacity, None, js=_OPACITY, api_visibility="private")
        for button, save in ((picture, handle.save_picture), (raw, handle.save_maps)):
            button.click(save, [*asked, opacity], [result, *files], show_progress="minimal", **common).then(
                None, None, None, js=_DOWNLOAD, api_visibility="private"
            )
        page.unload(handle.gone)
    return page


def _pressed(event: gr.EventData) -> list[str]:
    """The class whose bar was pressed."""
    return [str(int(event.index))]
