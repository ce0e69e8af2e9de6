from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import MODELS
from tool_project import error_of, load_tool, make_project, run_tool, save_checkpoint
from torch.nn import functional as F

from mmseg_ccdistill.domains import DOMAINS


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_project(tmp_path_factory.mktemp('correlations'))
    text = (root / 'tiny.py').read_text()
    (root / 'without_cdc.py').write_text(f'{text}\nmodel.update(loss_cdc=None, loss_cds=None)\n')
    return root


@pytest.fixture
def tool(files: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(files)
    return load_tool('tools/analysis_tools/correlations.py')


def by_hand(model: torch.nn.Module, inputs: dict) -> tuple[dict, dict]:
    """Embeddings and features from the parts: F_D is the last backbone map, e_D its projection."""
    features, embeddings = {}, {}
    with torch.no_grad():
        for domain in DOMAINS:
            branch = model.day if domain.endswith('day') else model.night
            rgb = torch.stack(inputs[domain]).flip(1).float()
            features[domain] = branch.backbone((rgb - 127.5) / 60)[-1]
            embeddings[domain] = model.projection_head(features[domain])
    return features, embeddings


def test_maps_are_those_of_the_training_batch(files, tool) -> None:
    config = Config.fromfile('tiny.py')
    model = tool.load_model(config, 'tiny.pth')
    assert not model.training
    batch = next(iter(Runner.build_dataloader(config.train_dataloader, seed=3)))
    dataset = tool.training_dataset(config)
    samples = dict(tool.training_draws(config, dataset, [0, 1]))

    drawn = tool.correlations_of(model, [0, 1], list(samples.values()))

    features, e = by_hand(model, batch['inputs'])
    for i, draw in enumerate(drawn):
        assert draw.number == i
        for domain in DOMAINS:
            picture = batch['inputs'][domain][i].permute(1, 2, 0).numpy()
            np.testing.assert_array_equal(draw.images[domain], picture)
        pairs = {
            'illu_source': ('source_day', 'source_night'),
            'illu_target': ('target_day', 'target_night'),
            'in_day': ('source_day', 'target_day'),
            'in_night': ('source_night', 'target_night'),
        }
        assert set(draw.maps) == set(pairs)
        for name, (a, b) in pairs.items():
            expected = F.cosine_similarity(e[a][i], e[b][i], dim=0).numpy()
            assert draw.maps[name].shape == (2, 2)
            np.testing.assert_allclose(draw.maps[name], expected, atol=1e-5)
        for key, world in (('Cor_G_S', 'source'), ('Cor_G_T', 'target')):
            day, night = (features[f'{world}_{light}'][i].flatten(1) for light in ('day', 'night'))
            gram = F.cosine_similarity((day @ day.T).flatten(), (night @ night.T).flatten(), dim=0)
            assert draw.numbers[key] == pytest.approx(float(gram), abs=1e-5)


def test_figure_of_chosen_draws(tool, monkeypatch, capsys, tmp_path) -> None:
    out = tmp_path / 'cor.png'
    arguments = ['tiny.py', 'tiny.pth', '--draws', 3, 0, '--tile-width', 128, '--out', out]
    assert run_tool(tool, monkeypatch, *arguments) == 0
    printed = capsys.readouterr().out
    assert re.findall(r'^draw (\d+): mean illu_source -?\d', printed, re.MULTILINE) == ['3', '0']
    assert re.search(r'Cor_G_S 0\.\d{4}, Cor_G_T 0\.\d{4}', printed)
    figure = cv2.imread(str(out))
    assert figure.shape[1] == 24 + 6 + 3 * (128 + 6)
    assert figure.shape[0] > 24 + 6 * (128 + 16 + 6)  # and the bar


def test_without_the_loss_the_maps_are_those_of_the_features(tool, capsys) -> None:
    config = Config.fromfile('without_cdc.py')
    model = tool.load_model(config, 'tiny.pth')
    assert 'without a head' in capsys.readouterr().out
    samples = dict(tool.training_draws(config, tool.training_dataset(config), [0, 1]))

    features, embeddings = tool.correlated_inputs(
        model, tool.pseudo_collate(list(samples.values()))
    )

    for domain in DOMAINS:
        expected = F.normalize(features[domain], dim=1)
        torch.testing.assert_close(embeddings[domain], expected, atol=1e-5, rtol=1e-5)


def test_identical_domains_have_cosine_one_everywhere(tool) -> None:
    config = Config.fromfile('tiny.py')
    model = tool.load_model(config, 'tiny.pth')
    model.night.load_state_dict(model.day.state_dict())
    (sample,) = dict(tool.training_draws(config, tool.training_dataset(config), [0])).values()
    sample['inputs'] = {domain: sample['inputs']['source_day'] for domain in DOMAINS}

    (draw,) = tool.correlations_of(model, [0], [sample])

    for values in draw.maps.values():
        np.testing.assert_allclose(values, 1.0, atol=1e-5)
    assert draw.numbers == pytest.approx({'Cor_G_S': 1.0, 'Cor_G_T': 1.0}, abs=1e-5)


def test_self_training_neither_runs_nor_changes_the_maps(
    files, tool, monkeypatch, capsys, tmp_path
) -> None:
    """Its lag is a share of the run, as in the shipped configs; the checkpoint has its teachers."""
    own = dict(type='SelfTraining', lag=0.03, start=0, ramp=0)
    (files / 'plus.py').write_text(f"_base_ = 'tiny.py'\nmodel = dict(self_training={own!r})\n")
    state = torch.load('tiny.pth', weights_only=True)['state_dict']
    teachers = MODELS.build(Config.fromfile('plus.py').model).state_dict()
    assert set(teachers) > set(state)
    save_checkpoint(tmp_path / 'plus.pth', {**teachers, **state})
    printed = []
    for config, checkpoint in (('tiny', 'tiny.pth'), ('plus', tmp_path / 'plus.pth')):
        arguments = [f'{config}.py', checkpoint, '--out', tmp_path / f'{config}.png']
        assert run_tool(tool, monkeypatch, *arguments) == 0
        printed.append([line for line in capsys.readouterr().out.splitlines() if 'draw 0' in line])
    assert printed[0] == printed[1] and len(printed[0]) == 1


@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        (['gone.py', 'tiny.pth'], "'gone.py' does not exist"),
        (['tiny.py', 'gone.pth'], "'gone.pth' does not exist"),
        (['source.py', 'source.pth'], 'the config builds EncoderDecoder: take one of configs/'),
        # The branches would be filled, but the projection head would stay at random.
        (['tiny.py', 'source.pth'], 'lacks 4 tensors of the config, e.g. projection_head'),
        (['tiny.py', 'tiny.pth', '--draws', '-1'], 'there is no draw -1'),
    ],
)
def test_mistakes_end_in_one_sentence(
    tool, monkeypatch, capsys, tmp_path, arguments, expected
) -> None:
    out = tmp_path / 'a.png'
    assert run_tool(tool, monkeypatch, *arguments, '--out', out) == 2
    assert re.search(expected, error_of(capsys)) and not out.exists()
