"""Figures as SVG elements for a page that needs no other file, and the look that they share."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

#: Colours that readers with any colour vision tell apart (Okabe and Ito, 2008); its yellow is too pale on white.
OKABE_ITO = ('#000000', '#E69F00', '#0072B2', '#009E73', '#D55E00', '#CC79A7', '#56B4E9')
INK, GREY = '#222222', '#8a8a8a'

_LOOK: dict[Any, Any] = {
    'font.size': 9,
    'axes.edgecolor': GREY,
    'axes.labelcolor': INK,
    'axes.spines.right': False,
    'axes.spines.top': False,
    'axes.titlesize': 9,
    'svg.hashsalt': 'mmseg-ccdistill',
    'text.color': INK,
    'xtick.color': INK,
    'ytick.color': INK,
}
#: Width of every figure in inches.
WIDTH = 7.2


def draw(height: float, rows: int, columns: int, fill: Callable[[np.ndarray], None]) -> Figure:
    """A figure of a grid of axes, filled in the look of the page.

    Args:
        height: In inches.
        rows: Rows of axes.
        columns: Columns of axes.
        fill: Draws into the ``(rows, columns)`` array of axes.
    """
    with rc_context(_LOOK):
        figure = Figure(figsize=(WIDTH, height), layout='constrained')
        fill(figure.subplots(rows, columns, squeeze=False))
    return figure


def svg(figure: Figure) -> str:
    """A figure as the text of an SVG file; equal figures give equal files."""
    out = io.StringIO()
    with rc_context(_LOOK):  # with its salt, equal figures have equal ids
        figure.savefig(out, format='svg', metadata={'Date': None})
    return out.getvalue()


def inline_svg(figure: Figure, name: str, description: str) -> str:
    """A figure as an SVG element for a page that holds several.

    Args:
        figure: The figure.
        name: Prefix that makes the element's ids its own.
        description: What it shows, for those who do not see it.

    Returns:
        ``<svg>`` without prolog and metadata.
    """
    text = svg(figure)
    text = text[text.index('<svg') :]
    text = re.sub(r'<metadata>.*?</metadata>', '', text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    text = text.replace('url(#', f'url(#{name}-')
    label = html.escape(description, quote=True)
    return text.replace('<svg', f'<svg role="img" aria-label="{label}"', 1).strip()
