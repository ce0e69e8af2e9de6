"""The optional package timm: its networks, and its weights under ``timm://NAME`` wherever MMEngine loads weights."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader

from ...errors import UserInputError

_SCHEME = 'timm://'


def import_timm(reader: str, module: str = 'timm') -> Any:
    """The package, or a module of it.

    Args:
        reader (str): What needs it, for the message.
        module (str): Name of the module. Defaults to ``'timm'``.

    Raises:
        UserInputError: If it is not installed, or cannot be imported. It imports torchvision, which fails with a
            torch of another release or build.
    """
    try:
        return import_module(module)
    except (ImportError, RuntimeError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == 'timm':
            raise UserInputError(
                f'{reader} needs the package timm, which is not installed; install it with pip install '
                "'mmseg-ccdistill[timm]'"
            ) from error
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserInputError(
            f'{reader} needs the package timm, whose import fails ({reason}): expected timm 1.0.20 or later, and the '
            'torchvision that belongs to the installed torch; install that torchvision from where torch came'
        ) from error


@CheckpointLoader.register_scheme(prefixes=_SCHEME, force=True)
def load_from_timm(filename: str, map_location: Any = None) -> Any:
    """Weights that timm keeps on its hub, from the local cache if they are there.

    Args:
        filename (str): ``timm://`` and the name of the weights, as ``vit_small_patch16_dinov3.lvd1689m``.
        map_location (Any): Not used: the weights come on the CPU. Defaults to None.

    Returns:
        Names to tensors.

    Raises:
        UserInputError: If timm is missing, or the weights cannot be fetched.
    """
    name = filename.removeprefix(_SCHEME)
    models = import_timm(f'checkpoint={filename!r}', 'timm.models')
    try:
        return models.load_state_dict_from_hf(f'timm/{name}')
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserInputError(
            f'{filename}: the weights cannot be fetched ({reason}): expected the name of weights of timm, and a way '
            'to its hub; correct the name, or download model.safetensors elsewhere and name that file as checkpoint'
        ) from error
