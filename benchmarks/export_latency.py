"""Time of an exported night segmentor against the plain segmentor that MMSegmentation builds.

Exports a CCDistill model of random weights, loads the two files, and times their prediction in turn
with that of the source-only config's model under the same weights. A second copy of the latter shows
what the machine itself makes of equal work.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS

from benchmarks.stages import ROOT
from benchmarks.timing import Times, print_ratios, time_interleaved
from mmseg_ccdistill.export.branch_export import export_files, load_plain, predict_image
from mmseg_ccdistill.runtime.checkpoint_file import OWN_KEY
from mmseg_ccdistill.version import __version__


def export(config: Config, folder: Path) -> EncoderDecoder:
    """M_n of a freshly initialised model, written to ``folder`` and loaded again."""
    model = MODELS.build(config.model)
    checkpoint = dict(state_dict=model.state_dict(), meta={OWN_KEY: __version__})
    torch.save(checkpoint, folder / 'run.pth')
    report = export_files(config, folder / 'run.pth', folder / 'night')
    return load_plain(report.checkpoint, report.config).eval()


@torch.no_grad()
def measure(adapted: Path, source: Path, size: Sequence[int], rounds: int) -> Times:
    """Processor time of one prediction, from uint8 pixels to labels, on one thread.

    Args:
        adapted (Path): Config of the CCDistill run.
        source (Path): Config of its source-only stage, a plain ``EncoderDecoder``.
        size (Sequence[int]): Height and width of the image in pixels.
        rounds (int): Timed rounds.

    Returns:
        Times: Of ``exported``, ``plain`` and ``plain again``.
    """
    torch.manual_seed(0)
    init_default_scope('mmseg')
    with tempfile.TemporaryDirectory() as folder:
        models = {'exported': export(Config.fromfile(str(adapted)), Path(folder))}
    for name in ('plain', 'plain again'):
        models[name] = MODELS.build(Config.fromfile(str(source)).model).eval()
        models[name].load_state_dict(models['exported'].state_dict(), strict=True)
    image = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
    return time_interleaved(
        {name: partial(predict_image, model, image) for name, model in models.items()}, rounds
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    small = 'refinenet_small_mini'
    parser.add_argument(
        '--adapted', type=Path, default=ROOT / f'configs/ccdistill/{small}_day2night.py'
    )
    parser.add_argument('--source', type=Path, default=ROOT / f'configs/refinenet/{small}.py')
    parser.add_argument('--size', type=int, nargs=2, default=(540, 960), metavar=('H', 'W'))
    parser.add_argument('--rounds', type=int, default=21)
    args = parser.parse_args(argv)
    MMLogger.get_current_instance().setLevel('WARNING')  # not how each layer was initialised
    times = measure(args.adapted, args.source, args.size, args.rounds)
    print_ratios(
        times,
        [('exported', 'plain'), ('plain again', 'plain')],
        f'{args.adapted.stem}, {args.size[0]} x {args.size[1]}, {args.rounds} rounds',
    )


if __name__ == '__main__':
    main()
