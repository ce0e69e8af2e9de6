"""``compile = True``: backbones, necks and heads through ``torch.compile``.

MMEngine's runner compiles a whole training step under that name. A step of these methods reads a counter that changes
in each iteration and samples that are no tensors, so torch would compile it again and again, or give up. The parts
that compute are plain functions of tensors. Settings are those of ``torch.compile``: ``dict(mode='reduce-overhead')``.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmseg.models.segmentors import EncoderDecoder
from torch import nn

from ..errors import UserInputError

_MODES = ('default', 'reduce-overhead', 'max-autotune', 'max-autotune-no-cudagraphs')
_LEAVE = "leave out the setting 'compile'"


def compile_options(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Arguments for ``torch.compile`` that a config asks for; None if it asks for none.

    Args:
        config: With or without ``compile``.

    Raises:
        UserInputError: If it is neither a bool nor a dict, names a mode that there is not, or the model has parts that
            are computed again.
    """
    value = config.get('compile')
    if value is None or value is False:
        return None
    if value is not True and not isinstance(value, Mapping):
        raise UserInputError(
            f"compile is {value!r}: expected True, False or a dict, such as dict(mode='reduce-overhead')."
        )
    if (config.get('model') or {}).get('recompute'):
        raise UserInputError(
            'compile and model.recompute do not go together: torch cannot compile a module that computes its maps '
            'again and keeps its statistics; take one of them.'
        )
    options = {} if value is True else dict(value)
    if options.get('mode') not in (None, *_MODES):
        raise UserInputError(
            f'compile.mode is {options["mode"]!r}: expected one of {", ".join(_MODES)}.'
        )
    return options


def check_compile(config: Config) -> None:
    """Check that this machine can compile, if the config asks for it.

    Args:
        config: With or without ``compile``.

    Raises:
        UserInputError: If a compiler, Python's header or, on a GPU, Triton is missing.
    """
    options = compile_options(config)
    if options is None or options.get('backend', 'inductor') != 'inductor':
        return  # other backends of torch need no compiler
    variable, name = ('CXX', 'g++') if get_device() == 'cpu' else ('CC', 'gcc')
    if sys.platform == 'darwin':
        name = 'clang++'
    compiler = os.environ.get(variable) or name
    if shutil.which(compiler) is None:
        raise UserInputError(
            f'compile needs a C++ compiler, and {compiler!r} was not found: install one (build-essential on Debian), '
            f'name it in the variable {variable}, or {_LEAVE}.'
        )
    header = Path(sysconfig.get_path('include')) / 'Python.h'
    if not header.is_file():
        raise UserInputError(
            f"compile needs Python's header, and {str(header)!r} does not exist: install it (python3-dev on Debian), "
            f'or {_LEAVE}.'
        )
    if get_device() == 'cuda' and importlib.util.find_spec('triton') is None:
        raise UserInputError(
            'compile on a GPU needs the package triton, which is not installed: `pip install triton`, '
            f'or {_LEAVE}.'
        )


def compile_networks(model: nn.Module, options: Mapping[str, Any]) -> int:
    """Compile the parts of every segmentor in a model.

    They run compiled where they are in training mode; validation, with its other sizes, and teachers in evaluation
    mode run as they are. Names of weights stay.

    Args:
        model: Changed in place.
        options: Of ``torch.compile``.

    Returns:
        Number of parts.

    Raises:
        UserInputError: If the model has no segmentor of mmseg, so that nothing would be compiled.
    """
    parts = list(dict.fromkeys(_parts(model)))
    if not parts:
        raise UserInputError(
            f'compile works on parts of an EncoderDecoder, and {type(model).__name__} has none: {_LEAVE}.'
        )
    for part in parts:
        for name in ('_forward_feature', 'forward'):  # a method may ask a head for its last map
            if hasattr(part, name):
                plain = getattr(part, name)
                compiled = torch.compile(plain, **options)
                setattr(part, name, functools.partial(_compiled_in_training, part, plain, compiled))
    if hasattr(torch.compiler, 'cudagraph_mark_step_begin'):
        model.register_forward_pre_hook(_begin_step)
    return len(parts)


def _parts(model: nn.Module) -> Iterator[nn.Module]:
    for network in model.modules():
        if isinstance(network, EncoderDecoder):
            for name in ('backbone', 'neck', 'decode_head', 'auxiliary_head'):
                part = getattr(network, name, None)
                if isinstance(part, nn.ModuleList):
                    yield from part
                elif part is not None:
                    yield part


def _compiled_in_training(
    part: nn.Module, plain: Callable[..., Any], compiled: Callable[..., Any], *inputs: Any
) -> Any:
    return (compiled if part.training else plain)(*inputs)


def _begin_step(model: nn.Module, inputs: Any) -> None:
    """Tell CUDA graphs that outputs of the last step may be overwritten."""
    torch.compiler.cudagraph_mark_step_begin()
