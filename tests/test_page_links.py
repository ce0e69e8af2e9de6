"""Links between the pages lead somewhere, and docs/index.md leads to every page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [*ROOT.glob('*.md'), *(ROOT / 'docs').rglob('*.md'), *(ROOT / 'configs').rglob('*.md')]
)
LINK = re.compile(r'!?\[[^\]]*\]\(([^)\s]+)\)')
DOORS = ['Learn', 'Do', 'Look up', 'Understand']


def text_of(page: Path) -> str:
    """A page without its code, in which brackets mean other things."""
    text = re.sub(r'^( *)```.*?^\1```', '', page.read_text(encoding='utf-8'), flags=re.S | re.M)
    return re.sub(r'`[^`\n]*`', lambda code: re.sub(r'[\[\]()]', '', code[0]), text)


def headings(page: Path) -> set[str]:
    """Anchors of a page, as GitHub makes them of its headings."""
    lines = re.findall(r'^#+ (.*)$', text_of(page), flags=re.M)
    return {re.sub(r'[^\w\- ]', '', line.lower()).replace(' ', '-') for line in lines}


def links(page: Path) -> list[str]:
    return [link for link in LINK.findall(text_of(page)) if '://' not in link]


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in links(page):
        name, _, anchor = link.partition('#')
        target = (page.parent / name).resolve() if name else page
        assert target.exists() and target.is_relative_to(ROOT), f'{page}: {link}'
        if anchor:
            assert anchor in headings(target), f'{page}: {link}'


def test_the_index_has_four_doors_and_leads_to_every_page() -> None:
    index = ROOT / 'docs' / 'index.md'
    assert re.findall(r'^## (.*)$', index.read_text(encoding='utf-8'), flags=re.M) == DOORS
    linked = {(index.parent / link.partition('#')[0]).resolve() for link in links(index)}
    outside = [
        ROOT / name for name in ('README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md')
    ]
    pages = [page for page in PAGES if page.parent != ROOT and page != index]
    assert {*pages, *outside} <= linked


def test_the_front_page_leads_to_the_index() -> None:
    assert 'docs/index.md' in links(ROOT / 'README.md')
