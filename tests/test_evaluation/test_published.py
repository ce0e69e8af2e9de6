"""The file of published numbers agrees with itself and with its sources' arithmetic."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from mmseg.datasets import CityscapesDataset

from mmseg_ccdistill.evaluation import load_published, published_rows

ROOT = Path(__file__).resolve().parents[2]


def test_every_row_names_a_known_set_and_source() -> None:
    content = load_published()
    assert tuple(content['classes']) == CityscapesDataset.METAINFO['classes']
    for row in published_rows():
        assert row['set'] in content['sets'] and row['source'] in content['sources']
        assert 0 < row['mIoU'] < 100
    assert {row['source'] for row in published_rows()} == set(content['sources'])


def test_tables_1_and_3_are_on_dark_zurich_test_only() -> None:
    """The 151 images whose labels are on the server; never the 50 of val."""
    for table in ('table_1', 'table_3'):
        assert {row['set'] for row in published_rows(table=table)} == {'DZ-test'}
    assert load_published()['sets']['DZ-test']['images'] == 151
    with pytest.raises(KeyError):
        published_rows(table='table_4')


def test_table_1_means_of_classes_round_to_the_printed_means() -> None:
    rows = published_rows(table='table_1')
    assert [row['mean_of_classes'] for row in rows] == [28.48, 44.31, 47.46]
    for row in rows:
        assert round(row['mean_of_classes'], 1) == row['mIoU']


#: Names of the paper that differ from ours; a day-to-night suffix of the paper is left out.
NAMES = {
    'DeepLab-v2-Cityscapes': 'DeepLab-v2 (source-only)',
    'RefineNet-Cityscapes': 'RefineNet (source-only)',
    'MGCDA': 'MGCDA (RefineNet)',
    'DANNet(RefineNet)': 'DANNet (RefineNet)',
    'Ours': 'CCDistill (RefineNet)',
}
PRINTED = json.loads(
    (ROOT / 'tests/test_evaluation/ccdistill_tables.json').read_text(encoding='utf-8')
)


def our_name(name: str) -> str:
    return NAMES.get(name, name.removesuffix('-Cityscapes→DZ-night'))


def test_table_1_is_the_papers_class_by_class() -> None:
    rows = [row for key in ('table_1', 'table_1_rivals') for row in published_rows(table=key)]
    ours = {row['method']: {**row['per_class'], 'mIoU': row['mIoU']} for row in rows}
    printed = {our_name(name): values for name, values in PRINTED['table_1'].items()}
    assert len(printed) == 11
    assert {name: ours[name] for name in printed} == printed
    unchecked = set(ours) - set(printed)
    (note,) = (text for text in load_published()['not_verified'] if 'IoU by class' in text)
    assert len(unchecked) == 4 and all(name in note for name in unchecked)
    of_paper = {row['method'] for row in rows if row['source'] == 'CCDistill'}
    assert of_paper <= set(printed)


def test_table_2_is_the_papers() -> None:
    rows = published_rows(table='table_2')
    ours = {(row['method'], row['set']): row['mIoU'] for row in rows}
    printed = {
        (our_name(name), dataset): value
        for name, values in PRINTED['table_2'].items()
        for dataset, value in values.items()
        if value is not None
    }
    assert ours == printed and len(rows) == len(printed) == 20


def test_table_3_is_the_papers() -> None:
    plain = {'w/o L_{JS} in CDC': 'w/o L_JS in CDC'}
    printed = {
        plain.get(name, name.replace('correlation in CDC', 'correlation')): value
        for name, value in PRINTED['table_3'].items()
    }
    rows = published_rows(table='table_3')
    assert {row['method']: row['mIoU'] for row in rows} == printed and len(rows) == 10


def test_no_method_has_two_numbers_on_one_set() -> None:
    """Methods are named alike wherever they come from, so each number is written once."""
    rows = published_rows(table='other_methods')
    assert len({(row['method'], row['set']) for row in rows}) == len(rows)


def test_table_3_deltas_are_differences_from_ours() -> None:
    rows = published_rows(table='table_3')
    assert len(rows) == 10 and rows[-1]['method'] == 'Ours'
    for row in rows:
        assert row['delta'] == pytest.approx(row['mIoU'] - rows[-1]['mIoU'])


def test_class_lists_give_their_means_with_absent_classes_as_0() -> None:
    rows = [row for row in published_rows() if row['source'] == 'SePiCo resources']
    assert [(row['set'], row['mIoU']) for row in rows] == [
        ('DZ-test', 54.21),
        ('BDD100K-night', 40.56),
        ('Night Driving', 56.9),
    ]
    for row in rows:
        assert len(row['per_class']) == 19
        assert np.mean(list(row['per_class'].values())) == pytest.approx(row['mIoU'], abs=0.0051)
        assert all(row['per_class'][name] == 0 for name in row['absent'])


def test_classes_of_dark_zurich_test_give_the_printed_means() -> None:
    rows = [row for key in ('table_1', 'table_1_rivals') for row in published_rows(table=key)]
    assert len(rows) == 15
    for row in rows:
        assert tuple(row['per_class']) == CityscapesDataset.METAINFO['classes']
        mean = np.mean(list(row['per_class'].values()))
        assert mean == pytest.approx(row.get('mean_of_classes', mean), abs=0.0051)
        assert mean == pytest.approx(row['mIoU'], abs=0.051)


def test_what_could_not_be_checked_is_said() -> None:
    text = ' '.join(load_published()['not_verified'])
    assert 'MIC (HRDA)' in text and 'Table 2' not in text


def section(page: str, heading: str) -> str:
    text = (ROOT / 'docs' / page).read_text(encoding='utf-8')
    return text.split(f'\n## {heading}\n')[1].split('\n## ')[0]


def cells(text: str) -> list[list[str]]:
    """Cells of the tables of a text, heads included."""
    lines = [line.strip('| ') for line in text.splitlines() if line.startswith('|')]
    return [
        [c.strip() for c in re.split(r' ?\| ?', line)] for line in lines if set(line) - set('|-: ')
    ]


def test_the_page_shows_every_published_number_with_its_set_and_source() -> None:
    text = section('evaluation.md', 'Published numbers')
    shown, by_class, head = [], [], []
    for row in cells(text):
        if row[0] in ('table', 'method', 'by class'):
            head = row
        elif head[0] == 'by class':
            by_class.append((row[0], [float(cell) for cell in row[1:-1]], row[-1]))
        elif head[0] == 'table':
            key = row[0].lower().replace(' ', '_')
            shown.append((key, *row[1:3], float(row[3])))
        else:
            for name, cell in zip(head[1:-1], row[1:-1], strict=True):
                if cell:
                    method, number = row[0].replace('\\', ''), float(cell.rstrip(' †‡'))
                    shown.append(('other_methods', method, name, number))
    content = load_published()
    images = {name: entry['images'] for name, entry in content['sets'].items()}
    expected = [
        (key, row['method'], f'{row["set"]} ({images[row["set"]]})', row['mIoU'])
        for key, table in content['tables'].items()
        for row in table['rows']
        if key != 'table_1_rivals'
    ]
    assert Counter(shown) == Counter(expected)
    assert by_class == [
        (row['method'], [*row['per_class'].values(), row['mIoU']], row['source'])
        for key in ('table_1', 'table_1_rivals')
        for row in published_rows(table=key)
    ]
    sources = {row[0].replace('\\', ''): row[-1] for row in cells(text) if len(row) == 8}
    for row in published_rows(table='other_methods'):
        assert row['source'] in sources[row['method']]
        note = row.get('note', '')
        assert note.split(';')[0].lower().rstrip('.') in ' '.join(text.lower().split())


def test_no_page_has_another_number_for_a_published_one() -> None:
    """The sentences of docs/evaluation.md, and Table 3 in docs/paper.md."""
    known = {f'{row["mIoU"]}' for row in published_rows()}
    for heading in ('Val is not test', 'Published numbers'):
        prose = re.sub(r'^\|.*$', '', section('evaluation.md', heading), flags=re.MULTILINE)
        assert set(re.findall(r'\b\d+\.\d+\b', prose)) <= known
    by_row = {row['method']: row['mIoU'] for row in published_rows(table='table_3')}
    shown = {row[0]: float(row[1]) for row in cells(section('paper.md', 'Table 3'))[1:]}
    assert shown == by_row
