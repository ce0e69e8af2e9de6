"""Labelled sets with a share each: every sample is a function of (seed, number of its draw)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmseg.registry import DATASETS
from tiny_data import make_cityscapes, source_config

from mmseg_ccdistill.datasets import DatasetCheckError, Draw, DrawSampler, MixedDataset
from mmseg_ccdistill.datasets.file_check import check_dataset, leaf_datasets
from mmseg_ccdistill.datasets.mixed import choose_image
from mmseg_ccdistill.datasets.unreadable import REPLACED_KEY
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.random_state import get_random_state, same_random_state


def part(root: Path, **kwargs: Any) -> dict[str, Any]:
    config = source_config(root, **kwargs)
    return dict(config, pipeline=[*config['pipeline'], dict(type='PackSegInputs')])


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    return make_cityscapes(tmp_path / 'day'), make_cityscapes(tmp_path / 'dusk', count=3)


@pytest.fixture
def mixed(roots: tuple[Path, Path]) -> MixedDataset:
    parts = [
        dict(name=root.name, dataset=part(root), share=share)
        for root, share in zip(roots, (3, 1), strict=True)
    ]
    return DATASETS.build(dict(type='MixedDataset', parts=parts))


def facts(sample: dict) -> tuple[str, str]:
    meta = sample['data_samples'].metainfo
    return meta['part'], meta['img_path']


def test_part_and_image_follow_from_seed_and_number(mixed: MixedDataset) -> None:
    before = get_random_state()
    samples = [mixed[Draw(0, number, 5)] for number in range(12)]
    assert same_random_state(before, get_random_state())
    np.random.seed(3)
    for number, sample in enumerate(samples):
        again = mixed[Draw(4, number, 5)]  # the index of the draw is not read
        assert facts(again) == facts(sample)
        assert (again['inputs'] == sample['inputs']).all()
        name, path = facts(sample)
        assert f'/{name}/' in path
    assert {name for name, _ in map(facts, samples)} == {'day', 'dusk'}
    others = [facts(mixed[Draw(0, number, 6)]) for number in range(12)]
    assert others != [facts(sample) for sample in samples]


def test_shares_and_images_are_met() -> None:
    drawn = Counter(choose_image((3, 1), (5, 2), 0, number) for number in range(8000))
    parts = Counter({k: sum(n for (p, _), n in drawn.items() if p == k) for k in (0, 1)})
    assert set(drawn) == {(0, k) for k in range(5)} | {(1, k) for k in range(2)}
    assert abs(parts[0] / 8000 - 0.75) < 0.015  # three standard deviations
    assert all(abs(drawn[0, k] / 8000 - 0.15) < 0.012 for k in range(5))
    # The stream is frozen: a run that is resumed under another numpy draws the same images.
    assert [choose_image((1, 1), (10, 10), 0, number) for number in range(8)] == FROZEN
    assert choose_image((0.5, 0.5), (10, 10), 0, 6) == FROZEN[6]  # shares need not sum to 1


FROZEN = [(0, 6), (0, 8), (0, 4), (0, 0), (1, 7), (1, 0), (1, 9), (0, 4)]


def test_shares_by_the_number_of_images_are_those_of_a_common_list() -> None:
    """2975 labelled images beside 2920 of twilight or 3041 of day: the weights of the released lists."""
    assert 2975 / (2975 + 2920) == pytest.approx(0.504665, abs=5e-7)
    assert 2920 / 2975 == pytest.approx(0.981513, abs=5e-7)
    assert 2975 / (2975 + 3041) == pytest.approx(0.494515, abs=5e-7)
    assert 3041 / 2975 == pytest.approx(1.022185, abs=5e-7)


def test_with_an_index_the_parts_stand_one_behind_the_other(mixed: MixedDataset) -> None:
    assert len(mixed) == 8
    names = [facts(mixed[index])[0] for index in range(8)]
    assert names == ['day'] * 5 + ['dusk'] * 3
    assert mixed.get_data_info(6)['img_path'] == facts(mixed[6])[1]
    assert facts(mixed[-1]) == facts(mixed[7])
    with pytest.raises(IndexError):
        mixed[8]
    assert len(mixed.metainfo['classes']) == 19


def test_the_checks_see_every_part(mixed: MixedDataset, roots: tuple[Path, Path]) -> None:
    assert list(leaf_datasets(mixed)) == mixed.datasets
    label = next((roots[1] / 'gtFine').rglob('*.png'))
    cv2.imwrite(str(label), np.full((40, 80), 33, np.uint8))
    with pytest.raises(DatasetCheckError, match='holds the value'):
        check_dataset(mixed)


def test_an_unreadable_image_is_replaced_by_one_of_its_part(
    mixed: MixedDataset, roots: tuple[Path, Path]
) -> None:
    number = next(n for n in range(50) if facts(mixed[Draw(0, n, 0)])[0] == 'dusk')
    path = facts(mixed[Draw(0, number, 0)])[1]
    Path(path).write_bytes(b'no image')
    sample = mixed[Draw(0, number, 0)]
    assert facts(sample)[0] == 'dusk' and facts(sample)[1] != path
    assert sample['data_samples'].metainfo[REPLACED_KEY] == (path,)


def test_ranks_take_the_draws_in_turn_and_a_run_skips_to_its_draw(
    mixed: MixedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def numbers(rank: int, skipped: int) -> list[int]:
        import mmseg_ccdistill.datasets.draw_sampler as module

        monkeypatch.setattr(module, 'get_dist_info', lambda: (rank, 2))
        sampler = DrawSampler(mixed, seed=1)
        sampler.skip(skipped)
        return [draw.number for draw, _ in zip(sampler, range(3), strict=False)]

    assert numbers(0, 0) == [0, 2, 4] and numbers(1, 2) == [5, 7, 9]


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda parts: [], r'is \[\]: expected a list of dict\(dataset=..., share=...\)'),
        (
            lambda parts: [parts[0], dict(parts[1], share=0)],
            'number 1 has share=0: expected a positive number, how often the part is drawn',
        ),
        (lambda parts: [dict(parts[0], share=-0.5), parts[1]], 'number 0 has share=-0.5'),
        (lambda parts: [dict(parts[0], share='half'), parts[1]], "number 0 has share='half'"),
        (lambda parts: [dict(parts[0], share=float('nan'))], 'number 0 has share=nan'),
        (lambda parts: [dict(dataset=parts[0]['dataset'])], "number 0 lacks 'share'"),
        (
            lambda parts: [dict(parts[0], weight=1)],
            "number 0 has 'weight': expected dataset, share",
        ),
        (
            lambda parts: [dict(parts[0], name='a'), dict(parts[1], name='a')],
            "two have the name 'a': expected different ones",
        ),
        (lambda parts: [dict(parts[0], name='my_loss')], "one has the name 'my_loss': expected"),
    ],
)
def test_wrong_parts_are_one_sentence(roots: tuple[Path, Path], change: Any, words: str) -> None:
    parts = [dict(dataset=part(root), share=1) for root in roots]
    with pytest.raises(UserInputError, match=words) as info:
        MixedDataset(change(parts))
    assert str(info.value).count('. ') == 0


def test_a_part_without_images_is_named(roots: tuple[Path, Path]) -> None:
    for image in (roots[1] / 'leftImg8bit').rglob('*.png'):
        image.unlink()
    parts = [dict(name=root.name, dataset=part(root), share=1) for root in roots]
    lazy = MixedDataset(parts, lazy_init=True)
    with pytest.raises(
        DatasetCheckError, match="^Part 'dusk' of MixedDataset: CityscapesDataset has no images: "
    ):
        lazy.full_init()


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(metainfo=dict(classes=('road', 'car'))), "only in 'part0'"),
        (dict(ignore_index=254), 'ignore_index 255 and 254'),
    ],
)
def test_other_labels_in_one_part_are_one_sentence(
    roots: tuple[Path, Path], change: dict, words: str
) -> None:
    parts = [dict(dataset=part(roots[0]), share=1), dict(dataset=part(roots[1], **change), share=1)]
    with pytest.raises(DatasetCheckError, match=words):
        MixedDataset(parts)


def test_rare_classes_are_refused(mixed: MixedDataset) -> None:
    with pytest.raises(UserInputError, match='chooses its images by the shares of its parts'):
        DrawSampler(mixed, seed=0, rare_classes=dict())
