"""A page for the browser: a night photo in, its segmentation behind a slider out."""

from __future__ import annotations

import html
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from ..errors import UserInputError
from .segmentation import Segmentation
from .segmenter import Segmenter

#: Longer side of the pictures on the page in pixels; the downloads have the size of the photo.
SHOWN_SIDE = 1280
#: Seconds between two clean-ups of the results, and their largest age.
_CLEANING = (60, 300)

_INTRODUCTION = """# {title}
Upload a photo of a street at night, then drag the handle of the slider. The upload is deleted as soon as it is read,
the pictures of this page after five minutes. **For research; not for driving.**"""


def legend(result: Segmentation) -> str:
    """HTML list of the classes that a prediction shows, with colour and share of the pixels."""
    colours = dict(zip(result.classes, result.palette, strict=True))
    rows = [
        f'<li><span class="swatch" style="background: rgb{colours[name]}"></span>{html.escape(name)} '
        f'<b>{_percent(share)}</b></li>'
        for name, share in result.shares.items()
    ]
    return f'<ul class="legend" aria-label="Classes">{"".join(rows)}</ul>'


def _percent(share: float) -> str:
    return f'{share:.1%}' if share >= 0.001 else '&lt; 0.1%'


def agreement(one: Segmentation, other: Segmentation) -> float:
    """Share of the pixels on which two predictions of an image agree."""
    return float(np.mean(one.labels == other.labels))


def shown(image: Image.Image) -> Image.Image:
    """An image at the size of the page; smaller ones stay as they are."""
    longest = max(image.size)
    if longest <= SHOWN_SIDE:
        return image
    size = [max(1, round(side * SHOWN_SIDE / longest)) for side in image.size]
    return image.resize((size[0], size[1]), Image.Resampling.LANCZOS)


def check_size(path: str | os.PathLike[str], megapixels: float) -> None:
    """Check the size of an image by its header, before memory is taken for it.

    Raises:
        UserInputError: If it is larger; a file that is no image passes, and is named when it is read.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
    except Exception:  # whatever a broken file makes Pillow raise
        return
    if width * height > megapixels * 1e6:
        raise UserInputError(
            f'The photo has {width} x {height} pixels: expected at most {megapixels:g} million; make it smaller.'
        )


class PhotoReader:
    """Turns an uploaded file into what the page shows.

    Args:
        segmenter: The model.
        megapixels: Largest photo.
    """

    def __init__(self, segmenter: Segmenter, megapixels: float) -> None:
        self.segmenter, self.megapixels = segmenter, megapixels

    @property
    def pair(self) -> tuple[str, str] | None:
        """Names of the day and the night branch, if the model has both."""
        branches = self.segmenter.branches
        return ('day', 'night') if {'day', 'night'} <= set(branches) else None

    def __call__(self, path: str) -> list[Segmentation]:
        """Segment a photo and delete its file; by the branch that predicts, and before it by the day branch.

        Raises:
            UserInputError: If it is no image or too large; the sentence does not name the place of the file.
        """
        try:
            check_size(path, self.megapixels)
            names = self.pair or (None,)
            return [self.segmenter(path, branch) for branch in names]
        except UserInputError as error:
            raise UserInputError(
                str(error).replace(repr(str(path)), repr(Path(path).name))
            ) from error
        finally:
            Path(path).unlink(missing_ok=True)


def save_downloads(result: Segmentation, folder: str) -> list[str]:
    """Write ``trainids.png`` (grey, class indices) and ``overlay.png`` at the size of the photo; returns the paths."""
    target = Path(tempfile.mkdtemp(dir=folder))
    labels, overlay = target / 'trainids.png', target / 'overlay.png'
    cv2.imwrite(str(labels), result.labels)
    result.picture.save(overlay)
    return [str(labels), str(overlay)]


def build_page(read: Callable[[str], Sequence[Segmentation]], title: str, folder: str) -> Any:
    """Lay the page out.

    Args:
        read: What makes of an uploaded file its predictions, the last one to be shown first: :class:`PhotoReader`.
        title: Heading.
        folder: Where downloads are written; it is removed with the page.

    Returns:
        The ``gradio.Blocks``.
    """
    import gradio  # optional

    pair = getattr(read, 'pair', None)

    def on_upload(path: str) -> list[Any]:
        try:
            results = read(path)
        except UserInputError as error:
            gradio.Warning(str(error), duration=None, title='Not read')
            return [None] * len(outputs)
        result = results[-1]
        photo = shown(Image.fromarray(np.ascontiguousarray(result.image[..., ::-1])))
        values: list[Any] = [(photo, shown(result.picture)), legend(result)]
        if pair:
            other = results[0]
            text = f'The two branches agree on {agreement(other, result):.1%} of the pixels.\n'
            values += [(shown(other.picture), shown(result.picture)), text]
        return [*values, *save_downloads(result, folder), None]

    with gradio.Blocks(title=title, analytics_enabled=False, delete_cache=_CLEANING) as page:
        gradio.Markdown(_INTRODUCTION.format(title=title))
        with gradio.Row():
            with gradio.Column(scale=1, min_width=260):
                upload = gradio.File(label='Photo', file_types=['image'], type='filepath', elem_id='photo')  # fmt: skip
                classes = gradio.HTML(label='Classes', elem_id='classes')
                with gradio.Row():
                    labels = gradio.DownloadButton('Labels (PNG)', elem_id='labels')
                    overlay = gradio.DownloadButton('Overlay (PNG)', elem_id='overlay')
            with gradio.Column(scale=3):
                slider = _slider(gradio, 'Photo | segmentation', 'slider')
                outputs: list[Any] = [slider, classes]
                if pair:
                    outputs += [
                        _slider(gradio, 'Day branch | night branch', 'branches'),
                        gradio.Markdown(elem_id='agreement'),
                    ]
                outputs += [labels, overlay, upload]  # whose file is gone
        upload.upload(on_upload, upload, outputs, api_visibility='private', concurrency_limit=1)
    return page


def _slider(gradio: Any, label: str, element: str) -> Any:
    return gradio.ImageSlider(
        label=label, type='pil', format='png', interactive=False, elem_id=element, max_height=640
    )
