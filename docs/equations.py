"""Equations of the site as MathML, which a browser draws by itself: no script, no network."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.errors import ExtensionError


def mathml(tex: str, display: str) -> str:
    """Turn LaTeX into MathML.

    Args:
        tex: The equation. Of several lines, ``&`` says where they are aligned and two backslashes end one.
        display: ``'inline'`` or ``'block'``.

    Raises:
        ExtensionError: If it holds a command that cannot be turned into MathML.
    """
    if r'\\' in tex and r'\begin' not in tex:
        tex = rf'\begin{{align*}}{tex}\end{{align*}}'
    tex = tex.replace('{aligned}', '{align*}')  # the same inside an equation of its own
    markup = convert(tex, display=display)
    unknown = re.search(r'\\\w*|&(?=<)', markup)
    if unknown is not None:
        raise ExtensionError(
            f'the equation {tex!r} has {unknown[0]}, which latex2mathml does not read: write it in another way'
        )
    return markup


def _inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(f'<span class="math">{mathml(node.astext(), "inline")}</span>')
    raise nodes.SkipNode


def _block(writer: Any, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="math">{mathml(node.astext(), "block")}</div>\n')
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Register the renderer."""
    app.add_html_math_renderer('mathml', (_inline, None), (_block, None))
    return dict(parallel_read_safe=True, parallel_write_safe=True)
