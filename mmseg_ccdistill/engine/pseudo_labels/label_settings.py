"""What pseudo labels depend on: for the manifest, and to tell one labelling from another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from mmengine.config import Config

from ...datasets.file_check import build_lazily
from ...errors import UserInputError
from ...runtime.file_digest import file_digest
from ...version import __version__
from ..start_up_checks import dataset_configs
from .thresholds import ThresholdRule


def label_settings(
    config: Config, checkpoint: str, names: Sequence[str], rule: ThresholdRule
) -> dict[str, Any]:
    """What the labels of a config's model depend on; where the files lie makes no difference.

    Args:
        config: The config: its model, and the classes and the pipeline of its test set.
        checkpoint: File of the weights.
        names: The images, relative to their folder.
        rule: How sure a prediction must be.

    Returns:
        Plain values by name: digests of checkpoint, config and list, ``rule``, ``classes``, ``palette``, ``version``.

    Raises:
        UserInputError: If the test set names no classes.
    """
    settings = config.to_dict()
    seen = [settings['model'], settings['test_dataloader']['dataset']['pipeline']]
    text = json.dumps(seen, sort_keys=True, default=str)
    return {
        'checkpoint': file_digest(checkpoint),
        'config': hashlib.sha256(text.encode()).hexdigest(),
        'list': hashlib.sha256('\n'.join(names).encode()).hexdigest(),
        'rule': rule._asdict(),
        'version': __version__,
        **classes_of(config),
    }


def classes_of(config: Config) -> dict[str, Any]:
    """``classes`` and ``palette`` of the config's test set.

    Raises:
        UserInputError: If it names no classes.
    """
    dataset = (config.get('test_dataloader') or {}).get('dataset')
    for _, node in dataset_configs(dataset, 'test_dataloader.dataset'):
        info = getattr(build_lazily({**node, 'pipeline': []}), 'metainfo', {})
        if info.get('classes'):
            palette = [list(map(int, colour)) for colour in info.get('palette') or ()]
            return dict(classes=list(info['classes']), palette=palette)
    raise UserInputError(
        'test_dataloader.dataset of the config names no classes: expected the names of the label ids; set its '
        'metainfo=dict(classes=[...])'
    )
