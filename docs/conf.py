"""The documentation site: ``make docs`` writes it to ``build/docs``.

The pages are those that GitHub shows; nothing is written twice. ``docs/index.md`` has four doors, and the side bar is
made from its lists. A link to a file that is no page, such as a module, gives that file.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

from sphinx.ext import apidoc

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'docs'))  # for equations.py
project = 'mmseg-ccdistill'
author = 'the authors of mmseg-ccdistill'
version = release = re.findall(r"'(.*)'", (ROOT / 'mmseg_ccdistill/version.py').read_text())[0]
extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
extensions += ['sphinx.ext.viewcode', 'equations']
# The source folder is the root of the repository: the front page and the configs' pages are part of the site.
root_doc = 'docs/index'
include_patterns = [
    '*.md',
    'docs/*.md',
    'docs/studies/*.md',
    'docs/api.rst',
    'docs/api/*',
    'configs/*/*.md',
]
source_suffix = {'.md': 'markdown', '.rst': 'restructuredtext'}

myst_enable_extensions = ['dollarmath', 'amsmath']
myst_fence_as_directive = ['math']
myst_heading_anchors = 4
highlight_language = 'none'  # of blocks that name none: commands and layouts

html_theme = 'furo'
html_title = f'mmseg-ccdistill {version}'
html_show_sourcelink = False
html_math_renderer = 'mathml'
html_static_path = ['static']
html_css_files = ['pages.css']

napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes stand in the class alone, not once more as members
# What a package gives out under a shorter name is documented where it is written.
autodoc_default_options = {'ignore-module-all': True}
autodoc_member_order = 'bysource'
autodoc_typehints = 'description'
autodoc_inherit_docstrings = False

_LINK = re.compile(r'\[[^\]\n]*\]\(([^)\s#]+)[^)]*\)')


def add_side_bar(app: Any, name: str, source: list[str]) -> None:
    """Add a table of contents to the index for each of its doors, of the pages that stand under it."""
    if name != root_doc:
        return
    page = Path(app.env.doc2path(name))
    listed_before: set[Path] = set()
    for door, text in re.findall(r'^## ([^\n]*)\n(.*?)(?=^## |\Z)', source[0], flags=re.M | re.S):
        pages = dict.fromkeys(target for target in _LINK.findall(text) if target.endswith('.md'))
        paths = [(page.parent / target).resolve().relative_to(ROOT) for target in pages]
        listed = '\n'.join(f'/{p.with_suffix("")}' for p in paths if p not in listed_before)
        listed_before.update(paths)
        more = '\n/docs/api' if door == 'Look up' else ''
        source[0] += (
            f'\n```{{toctree}}\n:hidden:\n:maxdepth: 1\n:caption: {door}\n\n{listed}{more}\n```\n'
        )


def write_api_pages(app: Any) -> None:
    """Write a page for each module of the package to ``docs/api``, which git ignores."""
    shutil.rmtree(ROOT / 'docs/api', ignore_errors=True)
    options = ['--separate', '--module-first', '--no-toc', '--output-dir', str(ROOT / 'docs/api')]
    apidoc.main(['-q', *options, str(ROOT / 'mmseg_ccdistill')])
    for page in (ROOT / 'docs/api').glob('mmseg_ccdistill.*.rst'):
        title, _, rest = page.read_text().split('\n', 2)
        short = title.rpartition(' ')[0].removeprefix(r'mmseg\_ccdistill.')  # without "module"
        page.write_text(f'{short}\n{"=" * len(short)}\n{rest}')


def keep_colons(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Keep the words before the first colon of a variable's comment, which Napoleon takes for its type."""
    if what in ('data', 'attribute') and lines and ':' in lines[0]:
        lines[0] = f': {lines[0]}'


def setup(app: Any) -> None:
    """Register the three steps."""
    app.connect('autodoc-process-docstring', keep_colons, priority=400)  # before Napoleon
    app.connect('builder-inited', write_api_pages)
    app.connect('source-read', add_side_bar)
