"""model-index.yml and the metafiles name every config once, with what the config says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted(path for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts)
FOLDERS = sorted({path.relative_to(ROOT / 'configs').parts[0] for path in CONFIGS})


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding='utf-8'))


INDEX = read(ROOT / 'model-index.yml')['Import']
METAFILES = {path: read(ROOT / path) for path in INDEX}
MODELS = [(path, model) for path, metafile in METAFILES.items() for model in metafile['Models']]


def label(value: Any) -> str:
    return value['Name'] if isinstance(value, dict) else ''


def test_the_index_names_the_metafile_of_every_folder() -> None:
    assert INDEX == [f'configs/{folder}/metafile.yml' for folder in FOLDERS]


def test_every_config_is_named_once() -> None:
    named = Counter(model['Config'] for _, model in MODELS)
    assert named == Counter(str(path.relative_to(ROOT)) for path in CONFIGS)
    assert len({model['Name'] for _, model in MODELS}) == len(MODELS)


@pytest.mark.parametrize('path', INDEX)
def test_a_collection_names_its_paper_and_its_page(path: str) -> None:
    (collection,) = METAFILES[path]['Collections']
    assert collection['README'] == str(Path(path).with_name('README.md'))
    assert (ROOT / collection['README']).is_file()
    assert collection['Paper']['URL'].startswith('https://arxiv.org/abs/')
    assert collection['License'] == 'Apache License 2.0' and collection['Frameworks'] == ['PyTorch']
    data = {model['Metadata']['Training Data'] for model in METAFILES[path]['Models']}
    assert set(collection['Metadata']['Training Data']) == data


def backbone_name(backbone: Any) -> str:
    if backbone.type == 'ReinVisionTransformer':
        return {
            384: 'DINOv2 ViT-S with Rein',
            768: 'DINOv2 ViT-B with Rein',
            1024: 'DINOv2 ViT-L with Rein',
        }[backbone.embed_dims]
    if backbone.type == 'ReinDINOv3':
        return {
            'vit_small_patch16_dinov3': 'DINOv3 ViT-S with Rein',
            'vit_base_patch16_dinov3': 'DINOv3 ViT-B with Rein',
            'vit_large_patch16_dinov3': 'DINOv3 ViT-L with Rein',
        }[backbone.model_name]
    if backbone.type == 'EfficientNetLite':
        return 'EfficientNet-Lite0'
    layers = backbone.get('depth') or sum(backbone.get('num_layers') or backbone.depths)
    return {
        18: 'ResNet-18 of half width',
        50: 'ResNet-50',
        101: 'ResNet-101',
        16: 'MiT-B2',
        52: 'MiT-B5',
        24: 'Swin-B',
    }[layers]


@pytest.mark.parametrize(('path', 'model'), MODELS, ids=label)
def test_a_model_says_what_its_config_says(path: str, model: dict[str, Any]) -> None:
    config = Path(model['Config'])
    folder = Path(path).parent.name
    assert config.parts[1] == folder
    # Two methods may have a config of one file name: one of them has its folder's name before it.
    assert model['Name'] in (config.stem, f'{folder}_{config.stem}')
    assert model['In Collection'] == METAFILES[path]['Collections'][0]['Name']
    cfg = Config.fromfile(str(ROOT / config))
    network = cfg.model.get('segmentor', cfg.model)
    metadata = model['Metadata']
    assert metadata['Batch Size'] == cfg.train_dataloader.batch_size
    assert metadata['Iterations'] == cfg.train_cfg.max_iters
    heads = {
        'RefineNetHead': 'RefineNet',
        'DeepLabV2Head': 'DeepLabV2',
        'PSPHead': 'PSPNet',
        'SegformerHead': 'SegFormer',
        'UPerHead': 'UPerNet',
        'PerPixelHead': 'PerPixel',
    }
    backbone, head = metadata['Architecture'][:2]
    assert head == heads[network.decode_head.type]
    assert backbone == backbone_name(network.backbone)
    methods = {
        'EncoderDecoder': [],
        'PartwiseEncoderDecoder': [],
        'CCDistillSegmentor': ['CCDistill'],
        'AdaptSegNetSegmentor': ['AdaptSegNet'],
        'AdvEntSegmentor': ['AdvEnt'],
        'BDLSegmentor': ['BDL-LAB'],
        'MinEntSegmentor': ['MinEnt'],
        'DANNetSegmentor': ['DANNet'],
        'UDAClusteringSegmentor': ['UDAclustering'],
    }
    assert metadata['Architecture'][2:] == methods[cfg.model.type]


@pytest.mark.parametrize(('path', 'model'), MODELS, ids=label)
def test_numbers_and_weights_are_left_out_until_there_are_some(
    path: str, model: dict[str, Any]
) -> None:
    """A weights entry takes results with it, and results the metric that they are."""
    assert ('Weights' in model) <= ('Results' in model)
    for result in model.get('Results', []):
        assert result['Task'] == 'Semantic Segmentation' and result['Metrics']['mIoU'] > 0


@pytest.mark.parametrize('folder', FOLDERS)
def test_the_page_of_a_folder_links_each_of_its_configs(folder: str) -> None:
    page = (ROOT / 'configs' / folder / 'README.md').read_text(encoding='utf-8')
    for config in CONFIGS:
        inside = config.relative_to(ROOT / 'configs')
        if inside.parts[0] == folder:
            link = inside.relative_to(folder)
            assert page.count(f'[{config.stem}]({link})') == 1, link
