"""One network of a trained adaptation as an ordinary MMSegmentation model on disk."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmseg.models.segmentors import BaseSegmentor, EncoderDecoder
from mmseg.registry import DATASETS, MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from ..errors import UserInputError
from ..models.segmentors import AdaptationSegmentor
from ..models.segmentors.frozen_network import count_parameters
from ..models.segmentors.network_names import check_network_name
from ..runtime.checkpoint_file import OWN_KEY, read_checkpoint
from ..runtime.checkpoint_match import check_match
from ..runtime.output_place import check_output_file
from ..version import __version__
from .plain_config import components_from_package, plain_config

#: What an export does, in order.
STEPS = ('read the checkpoint', 'build the model', 'write the files', 'compare the logits')

#: Height and width of the image on which the written files are compared with the branch: odd, so
#: that padding and resizing take part.
_IMAGE_SIZE = (257, 385)

#: How the first line of a written config begins.
PLAIN_CONFIG_HEAD = '# A plain segmentor:'


class ExportMismatchError(RuntimeError):
    """What was written does not predict what the branch predicts."""


@dataclass(frozen=True)
class ExportReport:
    """What an export did.

    Attributes:
        checkpoint: The written weights.
        config: The written config.
        num_tensors: Tensors written.
        num_parameters: Parameters of the segmentor, frozen ones and auxiliary heads included.
        left_out: Names of the training checkpoint's tensors that were left behind.
        components: Types of this package that the model needs at inference; empty if plain
            MMSegmentation runs it.
        test_components: Types of this package that only testing needs.
        is_reweighted: Whether the run multiplies its logits at test time (``test_reweight_std``),
            which the written files do not.
    """

    checkpoint: Path
    config: Path
    num_tensors: int
    num_parameters: int
    left_out: list[str]
    components: list[str]
    test_components: list[str]
    is_reweighted: bool


def export_files(
    config: Config,
    checkpoint: Path,
    out: Path,
    branch: str = 'night',
    force: bool = False,
    on_step: Callable[[str], None] = lambda step: None,
) -> ExportReport:
    """Write a branch as ``<out>.pth`` and ``<out>.py``, and compare the two with the branch.

    The files are written to a temporary folder beside ``out``, loaded again strictly, and moved
    into place only if their logits equal those of the branch inside the full model bit for bit.

    Args:
        config (Config): Config of the ``AdaptationSegmentor``.
        checkpoint (Path): Its training checkpoint.
        out (Path): Where to write; a suffix ``.pth`` or ``.py`` is dropped.
        branch (str): A network that the method trains: ``'night'`` (M_n), ``'day'`` (M_d), … Defaults to
            ``'night'``.
        force (bool): Whether existing files may be replaced. Defaults to False.
        on_step (Callable): Called with each of :data:`STEPS` as it begins. Defaults to nothing.

    Raises:
        UserInputError: If a file exists, or config and checkpoint do not fit.
        ExportMismatchError: If the written files predict something else; they are not kept.
    """
    files = output_files(out, force)
    on_step(STEPS[0])
    saved = read_checkpoint(checkpoint)
    on_step(STEPS[1])
    plain = plain_config(config)
    init_default_scope(plain.default_scope)
    with quiet_building():
        model = MODELS.build(config.model)
    load_branch(model, branch, saved['state_dict'], checkpoint)
    is_reweighted = model.test_weight is not None
    state, _ = model.export_branch(branch)
    classes = class_meta(saved['meta'], config, model.num_classes)
    on_step(STEPS[2])
    files[0].parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=files[0].parent, prefix='.export-') as folder:
        drafts = [Path(folder) / file.name for file in files]
        write_checkpoint(drafts[0], state, plain, classes)
        write_config(drafts[1], plain, f'{branch} branch of {checkpoint.name}')
        on_step(STEPS[3])
        compare_logits(model, branch, load_plain(*drafts))
        for draft, file in zip(drafts, files, strict=True):
            os.replace(draft, file)
    inference = components_from_package([plain.model, plain.test_pipeline])
    return ExportReport(
        *files,
        num_tensors=len(state),
        num_parameters=count_parameters(getattr(model, branch)),
        left_out=[name for name in saved['state_dict'] if not name.startswith(f'{branch}.')],
        components=inference,
        test_components=sorted(set(components_from_package(plain.to_dict())) - set(inference)),
        is_reweighted=is_reweighted,
    )


@contextmanager
def quiet_building() -> Iterator[None]:
    """Without mmengine's lines on how layers were initialised, whose weights are loaded next."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('WARNING')
    try:
        yield
    finally:
        logger.setLevel(level)


def output_files(out: Path, force: bool) -> tuple[Path, Path]:
    """Paths of the weights and the config of an export.

    Returns:
        tuple[Path, Path]: ``<out>.pth`` and ``<out>.py``.

    Raises:
        UserInputError: If ``out`` is a folder, a file cannot be written, or it exists and ``force`` is not set.
    """
    stem = out.with_suffix('') if out.suffix in ('.pth', '.py') else out
    if stem.is_dir():
        raise UserInputError(
            f'{out} is a folder; name the files in it, for example {stem / "night"}.'
        )
    files = stem.with_name(f'{stem.name}.pth'), stem.with_name(f'{stem.name}.py')
    for file in files:
        check_output_file(file, 'choose another OUT')
    existing = [str(file) for file in files if file.exists()]
    if existing and not force:
        raise UserInputError(f'{existing[0]} exists: choose another name or pass --force.')
    return files


def load_branch(
    model: AdaptationSegmentor, branch: str, state_dict: Mapping[str, Tensor], checkpoint: Path
) -> None:
    """Load one branch of a training checkpoint strictly.

    Args:
        model (AdaptationSegmentor): Model; only ``branch`` is loaded.
        branch (str): Name of the network.
        state_dict (Mapping): Weights of the whole model by name.
        checkpoint (Path): Their file, for the messages.

    Raises:
        UserInputError: If the checkpoint has no such branch, or it is one of another network.
    """
    if not isinstance(model, AdaptationSegmentor):
        raise UserInputError(
            f'the config builds {type(model).__name__}, which has no branches; give the config of '
            'the adaptation.'
        )
    check_network_name(branch, model.exportable, f'--branch of {type(model).__name__}')
    prefix = f'{branch}.'
    weights = {k[len(prefix) :]: v for k, v in state_dict.items() if k.startswith(prefix)}
    if not weights:
        raise UserInputError(
            f'{checkpoint}: no tensor is named {prefix}*, the first is {next(iter(state_dict))}; a '
            'source-only or exported checkpoint is a plain segmentor already, name one of the '
            'adaptation.'
        )
    expected = getattr(model, branch).state_dict()
    try:
        check_match(weights, expected)
    except ValueError as error:
        raise UserInputError(f'{checkpoint}: {error}') from error
    faults = {
        'missing': [name for name in expected if name not in weights],
        'unknown': [name for name in weights if name not in expected],
        'of another shape': [
            name
            for name in expected
            if name in weights and weights[name].shape != expected[name].shape
        ],
    }
    texts = [f'{len(names)} {kind} ({names[0]})' for kind, names in faults.items() if names]
    if texts:
        raise UserInputError(
            f'{checkpoint}: the tensors of {branch} are not those of the config: '
            f'{", ".join(texts)}; give the config that the run was started with.'
        )
    getattr(model, branch).load_state_dict(weights, strict=True)


def class_meta(meta: Mapping[str, Any], config: Config, num_classes: int) -> dict[str, Any]:
    """Names and colours of the classes, from the checkpoint, else from the config's test set.

    Args:
        meta (Mapping): ``meta`` of the training checkpoint.
        config (Config): Its config.
        num_classes (int): Classes of the model.

    Returns:
        dict: ``classes``, list of str, and ``palette``, list of RGB triples.

    Raises:
        UserInputError: If neither names as many classes as the model has.
    """
    found = meta.get('dataset_meta')
    if not isinstance(found, Mapping) or 'classes' not in found:
        dataset = (config.get('test_dataloader') or {}).get('dataset') or {}
        known = DATASETS.get(dataset['type']) if isinstance(dataset.get('type'), str) else None
        found = {**getattr(known, 'METAINFO', {}), **(dataset.get('metainfo') or {})}
    classes = [str(name) for name in found.get('classes') or ()]
    palette = [[int(value) for value in colour] for colour in found.get('palette') or ()]
    if len(classes) != num_classes:
        raise UserInputError(
            f'the model has {num_classes} classes, but the checkpoint or the test set names '
            f'{len(classes)}; set test_dataloader.dataset.metainfo to their classes and palette.'
        )
    return dict(classes=classes, palette=palette)


def write_checkpoint(
    path: Path, state_dict: Mapping[str, Tensor], config: Config, dataset_meta: Mapping[str, Any]
) -> None:
    """Write the weights as MMSegmentation reads them: tensors and plain values alone.

    Args:
        path (Path): ``.pth`` file; ``meta`` holds classes, palette and the text of the config.
        state_dict (Mapping): Weights by name, as ``EncoderDecoder`` has them, on the CPU.
        config (Config): Self-contained config.
        dataset_meta (Mapping): From :func:`class_meta`.
    """
    meta = {OWN_KEY: __version__, 'dataset_meta': dict(dataset_meta), 'cfg': config.pretty_text}
    torch.save(dict(meta=meta, state_dict=dict(state_dict)), path)


def write_config(path: Path, config: Config, source: str) -> None:
    """Write the config as a Python file.

    Args:
        path (Path): ``.py`` file.
        config (Config): What to write.
        source (str): Where the model comes from, for the first line.

    Raises:
        ExportMismatchError: If the file reads back as another config.
    """
    text = f'{PLAIN_CONFIG_HEAD} {source}.\n# Written by tools/model_converters/night2mmseg.py.\n'
    path.write_text(text + config.pretty_text, encoding='utf-8')
    if Config.fromfile(str(path)).to_dict() != config.to_dict():
        raise ExportMismatchError(f'{path.name} does not read back as it was written')


def load_plain(checkpoint: Path, config: Path) -> EncoderDecoder:
    """The segmentor of an exported pair, built on the CPU from its config and loaded strictly."""
    model = MODELS.build(Config.fromfile(str(config)).model)
    model.load_state_dict(read_checkpoint(checkpoint)['state_dict'], strict=True)
    return model


@torch.no_grad()
def compare_logits(method: AdaptationSegmentor, branch: str, plain: EncoderDecoder) -> None:
    """Check that a segmentor predicts what a branch predicts, from uint8 pixels to logits.

    Both run ``test_step`` (normalisation, whole or slide inference, resizing) on one image of
    uniform noise, without the re-weighting of ``test_reweight_std``, which is not exported.

    Raises:
        ExportMismatchError: If one bit of the logits differs.
        UserInputError: If the branch's logits are not finite.
    """
    method.predict_with = branch
    method.test_weight = None  # test_reweight_std belongs to the test, not to the branch
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, *_IMAGE_SIZE), generator=generator, dtype=torch.uint8)
    logits = [predict_image(model.eval(), image).seg_logits.data for model in (method, plain)]
    if not torch.isfinite(logits[0]).all():
        raise UserInputError(
            f'the logits of {branch} are not finite, so the run has diverged; export an earlier '
            'checkpoint.'
        )
    if not torch.equal(*logits):
        difference = (logits[0] - logits[1]).abs().max().item()
        raise ExportMismatchError(
            f'the logits of the written files differ from those of {branch} by up to {difference:.3g}'
        )


def predict_image(
    model: BaseSegmentor, image: Tensor, size: tuple[int, int] | None = None
) -> SegDataSample:
    """Predict an image that is in memory, through the whole test path.

    Args:
        model (BaseSegmentor): Segmentor in eval mode.
        image (Tensor): ``(3, h, w)`` uint8, in the channel order of the image files (BGR).
        size (tuple[int, int], optional): Height and width of the prediction. Defaults to those of the image.

    Returns:
        SegDataSample: ``seg_logits`` ``(K, H, W)`` and ``pred_sem_seg`` ``(1, H, W)`` int64.
    """
    shape = tuple(image.shape[1:])
    sample = SegDataSample(metainfo=dict(ori_shape=size or shape, img_shape=shape, pad_shape=shape))
    (out,) = model.test_step(dict(inputs=[image], data_samples=[sample]))
    return out
