from __future__ import annotations

import re
from xml.etree import ElementTree

from mmseg_ccdistill.reports.svg import draw, inline_svg, svg


def figure():
    def fill(axes):
        axes[0, 0].plot([0, 1], [0, 1])
        axes[0, 0].set_title('a & b')

    return draw(1.5, 1, 2, fill)


def test_equal_figures_give_equal_files_that_parse() -> None:
    assert svg(figure()) == svg(figure())
    ElementTree.fromstring(svg(figure()))


def test_ids_of_an_element_are_its_own_and_its_references_lead_to_them() -> None:
    text = inline_svg(figure(), 'one', 'a "quoted" <text>')
    assert text.startswith('<svg role="img" aria-label="a &quot;quoted&quot; &lt;text&gt;"')
    ids = set(re.findall(r'\bid="([^"]*)"', text))
    used = set(re.findall(r'(?:href="#|url\(#)([^")]*)', text))
    assert ids and used <= ids and all(name.startswith('one-') for name in ids)
