"""What is said of a config: sizes, rates, data, and what differs from the paper's config."""

from __future__ import annotations

import pytest

from mmseg_ccdistill.engine.explanation import count_parameters, explain, paper_config
from mmseg_ccdistill.runtime.command_line import load_config

PAPER = 'ccdistill/refinenet_r101_cs2dz'


def test_parameters_of_the_papers_model() -> None:
    counts = count_parameters(load_config(PAPER))
    # Two RefineNet-R101, and the projection head of 2048 channels (tests/test_schedules.py).
    assert counts.deployed == 118_047_827
    assert counts.total == counts.trained == 2 * 118_047_827 + 4_720_896


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        (PAPER, PAPER),
        ('ccdistill/refinenet_small_mini_day2night_matched', PAPER),
        ('dannet/deeplabv2_r101_cs2dz', 'dannet/refinenet_r101_cs2dz'),
        ('refinenet/refinenet_r101_cityscapes', None),
    ],
)
def test_the_config_to_compare_with_is_that_of_the_method(name, expected) -> None:
    assert paper_config(load_config(name)) == expected


@pytest.fixture(scope='module')
def lines() -> list[str]:
    config = load_config('ccdistill/refinenet_r101_cs2dz_matched', {'train_cfg.max_iters': 40000})
    return explain(config, (PAPER, load_config(PAPER))).splitlines()


@pytest.mark.parametrize(
    ('heading', 'text'),
    [
        ('  loss_cdc', 'CDCLoss(loss_weight=2.0, js_tau=0.1, js_positions=2.5, parallax=1)'),
        ('starts from', 'work_dirs/refinenet/refinenet_r101_cityscapes/iter_40000.pth'),
        ('train', 'CrossDomainDataset: batches of 2, 8 workers'),
        ('  source', 'CityscapesDataset: data/cityscapes/ leftImg8bit/train gtFine/train'),
        ('  together', 'LABTransfer -> PackCrossDomainInputs'),
        ('schedule', '40000 iterations'),
        ('  optimizer', 'SGD(lr=0.00025, momentum=0.9, weight_decay=0.0005)'),
        ('  rate', '0.00025 at 0, 0.000158 at 20000, 5.87e-05 at 39999 (PolyLR)'),
    ],
)
def test_a_line(lines, heading, text) -> None:
    assert f'{heading:<19}  {text}' in lines


def test_what_differs_from_the_paper(lines) -> None:
    assert lines[lines.index(f'differs from {PAPER}:') + 1 :] == [
        '  train_cfg.max_iters: 50000 -> 40000',
        "  model.feature: 'backbone.-1' -> 'decode_head'",
        '  model.projection_head.in_channels: 2048 -> 256',
        '  model.projection_head.out_channels=64 is added',
        "  model.projection_head.embedding_norm='whiten' is added",
        '  model.loss_cdc.js_tau=0.1 is added',
        '  model.loss_cdc.js_positions=2.5 is added',
        '  model.loss_cdc.parallax=1 is added',
        "  model.distill_into='target_night' is added",
    ]


def test_a_config_is_like_itself() -> None:
    config = load_config('refinenet/refinenet_small_mini')
    text = explain(config, ('itself', config))
    assert text.endswith('\ndoes what itself does')
    images = 'CityscapesDataset: data/mini_night/cityscapes/ leftImg8bit/train gtFine/train'
    assert f'{"  images":<19}  {images}' in text  # inside a DrawnDataset


def test_without_a_paper() -> None:
    text = explain(load_config('refinenet/refinenet_small_mini'), None)
    assert 'no config of a paper has this model; --against CONFIG compares' in text
