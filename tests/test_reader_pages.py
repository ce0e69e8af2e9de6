"""Pages for readers who are new: the FAQ, the features, the card, own day-night data."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.logging import MessageHub, MMLogger
from mmseg.visualization import SegLocalVisualizer
from tool_project import load_tool, run_tool

from mmseg_ccdistill.mini_night import write_mini_night

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / 'docs'


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding='utf-8')


QUOTED = re.findall(r'^### `(.*)`$', page('faq.md'), flags=re.M)
ROWS = [
    [cell.strip() for cell in row.split('|')]
    for row in re.findall(r'^\| (.*)\|$', page('features.md'), flags=re.M)
][1:]


@pytest.fixture(scope='module')
def sentences() -> list[str]:
    """Texts of the package, with a sign where a value comes in."""
    found = []
    for path in sorted((ROOT / 'mmseg_ccdistill').rglob('*.py')):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else '…' for p in node.values)
                found.append(''.join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


@pytest.mark.parametrize('quoted', QUOTED)
def test_the_faq_quotes_what_the_package_says(quoted: str, sentences: list[str]) -> None:
    pattern = re.compile('.*'.join(re.escape(part) for part in quoted.split('…')), re.S)
    assert any(pattern.search(text) for text in sentences)


def test_the_faq_has_the_messages_of_every_part() -> None:
    assert len(QUOTED) >= 20 and len(set(QUOTED)) == len(QUOTED)


def test_every_feature_has_a_link_and_a_test_or_is_not_there() -> None:
    assert len(ROWS) == 20
    for name, where, test in ROWS:
        if where.startswith('not there'):
            continue
        assert re.search(r'\]\(|`make docs`', where), name
        file, _, function = test.strip('`').partition('::')
        assert (ROOT / file).is_file(), name
        assert f'def {function or "test_"}' in (ROOT / file).read_text(), name


def test_the_card_asks_for_what_a_reader_must_know() -> None:
    card = page('model_card.md')
    for part in ('Not for driving', 'licence', 'seeds', 'SHA-256', 'IoU of each class', 'Failures'):
        assert part in card


def test_every_data_set_has_its_line_on_the_licence_page() -> None:
    text = page('licences.md')
    for name in ('Cityscapes', 'Dark Zurich', 'ACDC', 'BDD100K', 'Nighttime Driving', 'CamVid'):
        assert f'| {name} |' in text


def test_the_licence_page_says_which_terms_were_read() -> None:
    rows = re.findall(r'^\| (.*) \|$', page('licences.md'), flags=re.M)
    tables = [
        row.split(' | ')
        for row in rows
        if not row.startswith(('what |', 'weights |', 'data set |'))
    ]
    assert len(tables) >= 19
    for name, *_, text in tables:
        assert 'read' in text or 'not checked' in text or name.startswith('weights that'), name


def test_five_pairs_of_ones_own_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """docs/own_pairs.md: its list, its config, two steps."""
    text = page('own_pairs.md')
    listed = re.search(r'```\n((?:night_\d,day_\d\n)+)```', text)
    config = re.search(r'`configs/my_town.py`.*?```python\n(.*?)```', text, flags=re.S)
    assert listed is not None and config is not None
    photos = tmp_path / 'data/my_town/photos'
    photos.mkdir(parents=True)
    (photos.parent / 'pairs.csv').write_text(listed[1])
    random = np.random.default_rng(0)
    for name in re.findall(r'\w+_\d', listed[1]):
        noise = random.integers(0, 80 if 'night' in name else 256, (27, 48, 3), np.uint8)
        assert cv2.imwrite(str(photos / f'{name}.jpg'), cv2.resize(noise, (480, 270)))
    assert len(list(photos.iterdir())) == 10
    write_mini_night(
        tmp_path / 'data/mini_night',
        num_source_train=4,
        num_source_val=1,
        num_pairs=2,
        num_target_val=1,
    )
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    monkeypatch.chdir(tmp_path)
    own = tmp_path / 'own/configs'
    own.mkdir(parents=True)
    for folder in ('_base_', 'ccdistill'):
        (own / folder).symlink_to(ROOT / 'configs' / folder)
    (own / 'my_town.py').write_text(config[1])
    for kept in (SegLocalVisualizer, MMLogger, MessageHub):  # mmengine keeps one of each
        kept._instance_dict.clear()
    options = ['load_from=None', 'train_cfg.max_iters=2', 'default_hooks.logger.interval=1']
    options += ['val_dataloader=None', 'val_evaluator=None', 'val_cfg=None']
    tool = load_tool('tools/train.py')
    code = run_tool(tool, monkeypatch, 'own/configs/my_town.py', '--cfg-options', *options)
    assert code == 0, capsys.readouterr().err
    assert Path('work_dirs/my_town/iter_2.pth').is_file()
