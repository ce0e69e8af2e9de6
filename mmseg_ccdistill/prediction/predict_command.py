"""Segment images, videos or a camera with a trained model.

OUT gets a folder for each kind of output and predictions.json. What exists there is kept; a run that was interrupted
goes on where it stopped. Files that cannot be read are listed at the end, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from mmengine.config import Config
from torch.utils.data import DataLoader

from ..datasets.file_scan import progress_bar
from ..datasets.image_facts import unreadable_sentence
from ..engine.inference import add_model_arguments
from ..errors import RunError, UserInputError
from ..runtime.command_line import NAMED_BY_CHECKPOINT, load_config, run_main, trust_pickle
from .inputs import Inputs, find_inputs
from .outputs import KINDS, Outputs, own_paths, paint
from .pictures import BrokenPicture, Picture, PictureFiles, PicturePipeline
from .segmentation import OPACITY, predict_maps
from .trained_model import TrainedModel, load_trained
from .videos import FrameFolder, VideoFile, VideoFrames, quiet_decoder


def parse_args(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line.

    Args:
        argv: Arguments; None takes those of the process.
        prog: Name of the command in its help.

    Returns:
        The parsed arguments.
    """
    kinds = '; '.join(f'{kind}: {meaning}' for kind, meaning in KINDS.items())
    parser = argparse.ArgumentParser(
        prog=prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'model',
        metavar='MODEL',
        help='training checkpoint, exported .pth, or .safetensors with its .json: classes and colours come from it',
    )
    parser.add_argument(
        'input',
        metavar='INPUT',
        nargs='+',
        help="image, video, folder (with all below it), pattern such as 'night/**/*.jpg', or the number of a camera",
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('predictions'),
        help='folder to write into (default: predictions)',
    )
    parser.add_argument(
        '--save', nargs='+', choices=KINDS, default=['overlay'], help=f'{kinds} (default: overlay)'
    )
    parser.add_argument(
        '--branch',
        help='network of an adaptation that predicts: night, day, … (default: that of its config)',
    )
    parser.add_argument(
        '--config', help='config of the model, for weights whose file does not hold it'
    )
    parser.add_argument('--device', help='cpu, cuda:0, … (default: the GPU if there is one)')
    parser.add_argument(
        '--batch-size',
        type=int,
        default=1,
        help='images of one size that are computed together (default: 1)',
    )
    parser.add_argument(
        '--workers', type=int, default=2, help='processes that read images (default: 2)'
    )
    parser.add_argument('--amp', action='store_true', help='compute in mixed precision')
    parser.add_argument(
        '--opacity',
        type=float,
        default=OPACITY,
        help=f'share of the colours in an overlay, 0 to 1 (default: {OPACITY})',
    )
    parser.add_argument(
        '--max-frames',
        type=int,
        help='frames of a video or camera (default: all; a camera until Ctrl-C)',
    )
    parser.add_argument('--force', action='store_true', help='replace what exists')
    add_model_arguments(parser)
    return parser.parse_args(argv)


def check_arguments(args: argparse.Namespace) -> None:
    """Check the numbers.

    Raises:
        UserInputError: If one is out of range or nothing reads it, or ``--cfg-options`` has no config to change.
    """
    check_config_options(args)
    for name, least in (('batch_size', 1), ('workers', 0), ('max_frames', 1)):
        value = getattr(args, name)
        if value is not None and value < least:
            raise UserInputError(
                f'--{name.replace("_", "-")} is {value}: expected {least} or more; correct it'
            )
    if not 0 <= args.opacity <= 1:
        raise UserInputError(f'--opacity is {args.opacity}: expected 0 to 1; correct it')
    if args.opacity != OPACITY and 'overlay' not in args.save:
        raise UserInputError(
            f'--opacity is that of an overlay, and --save names {" and ".join(args.save)}: leave --opacity out, or add '
            'overlay to --save'
        )


def check_frames(max_frames: int | None, inputs: Inputs) -> None:
    """Check that ``--max-frames`` has a video or camera to end.

    Raises:
        UserInputError: If all inputs are images.
    """
    if max_frames is not None and not (inputs.videos or inputs.cameras):
        raise UserInputError(
            '--max-frames is for videos and cameras, and all inputs are images: leave it out'
        )


def check_config_options(args: argparse.Namespace) -> None:
    """Check that ``--cfg-options`` has a config to change.

    Raises:
        UserInputError: If it has none.
    """
    if args.cfg_options and args.config is None:
        raise UserInputError(
            '--cfg-options changes a config: name it with --config, or leave it out'
        )


def given_config(args: argparse.Namespace) -> Config | None:
    """The config of ``--config``, if there is one."""
    if args.config is None:
        return None
    return load_config(args.config, args.cfg_options, NAMED_BY_CHECKPOINT)


def predict_images(
    trained: TrainedModel,
    pipeline: PicturePipeline,
    images: Sequence[str],
    outputs: Outputs,
    args: argparse.Namespace,
) -> list[BrokenPicture]:
    """Predict image files and write what is not there.

    Returns:
        Those that could not be read.
    """
    todo = {path: kinds for path in images if (kinds := outputs.missing(path))}
    if not todo:
        return []
    broken: list[BrokenPicture] = []
    batches: Iterable[list[Picture | BrokenPicture]] = DataLoader(
        PictureFiles(list(todo), pipeline),
        batch_size=args.batch_size,
        num_workers=0 if len(todo) <= args.batch_size else args.workers,
        collate_fn=list,
    )
    confidence = any('confidence' in kinds for kinds in todo.values())
    with progress_bar(len(todo), 'Predicting') as advance:
        for batch in batches:
            whole = [picture for picture in batch if isinstance(picture, Picture)]
            broken += [picture for picture in batch if isinstance(picture, BrokenPicture)]
            for picture, maps in predict_maps(trained, whole, confidence, args.amp):
                name = picture.name
                outputs.write_image(name, todo[name], picture.image, maps, trained)
            for _ in batch:
                advance()
    return broken


def predict_video(
    trained: TrainedModel,
    pipeline: PicturePipeline,
    source: str | int,
    name: str,
    outputs: Outputs,
    args: argparse.Namespace,
) -> tuple[int, str | None]:
    """Predict a video or what a camera sees; Ctrl-C ends a camera, and what it saw is kept.

    Args:
        trained: The model.
        pipeline: Its pipeline.
        source: File, or number of a camera.
        name: File after whose name the outputs are called.
        outputs: Where they go.
        args: Of the command line.

    Returns:
        Number of frames, and what is to be said of a file that announces more.

    Raises:
        UserInputError: If there is no frame, or the file is cut off.
        RunError: If something cannot be written.
    """
    kinds = outputs.missing(name)
    number = 0
    with VideoFrames(source) as frames:
        frames.check_whole(args.max_frames)
        size = frames.first.shape[1], frames.first.shape[0]
        sinks: dict[str, VideoFile | FrameFolder] = {}
        total = min(filter(None, (frames.count, args.max_frames)), default=0)
        try:
            for kind in kinds:
                sinks[kind] = outputs.open_video(kind, name, frames.rate, size)
            with progress_bar(total, f'Predicting {Path(name).name}') as advance:
                pictures = (pipeline.take(frame) for frame in islice(frames, args.max_frames))
                try:
                    for batch in _batches(pictures, args.batch_size):
                        found = predict_maps(trained, batch, 'confidence' in kinds, args.amp)
                        for picture, maps in found:
                            for kind, sink in sinks.items():
                                sink.write(paint(kind, picture.image, maps, trained, args.opacity))
                            number += 1
                            if total:
                                advance()
                except KeyboardInterrupt:
                    if isinstance(source, str) or not number:
                        raise
            for sink in sinks.values():
                sink.finish()
        except BaseException:
            for sink in sinks.values():
                sink.discard()
            raise
    if number >= frames.needed(args.max_frames):
        return number, None
    return number, (
        f'the video {source!r} announces {frames.count} frames and gave {number}: see that nothing is missing; longer '
        'sound and a trimmed beginning are harmless'
    )


def _batches(pictures: Iterable[Picture], size: int) -> Iterator[list[Picture]]:
    iterator = iter(pictures)
    while batch := list(islice(iterator, size)):
        yield batch


def report(
    inputs: Inputs, kept: int, frames: int, notes: Sequence[str], faults: Sequence[str], out: Path
) -> None:
    """Say what was done; the files that could not be read come last.

    Raises:
        UserInputError: If the only input could not be read.
        RunError: If some could not.
    """
    if faults and len(inputs) == 1:
        raise UserInputError(faults[0])
    done = len(inputs) - kept - len(faults)
    parts = [f'{out}: {done} of {len(inputs)} inputs predicted']
    if frames:
        parts.append(f'{frames} frames of video')
    if kept:
        parts.append(f'{kept} there already and kept (--force replaces them)')
    print(', '.join(parts))
    for line in (*notes, *faults):
        print(f'  {line}')
    if faults:
        raise RunError(
            f'{len(faults)} of {len(inputs)} inputs could not be read, listed above; the rest is done'
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Predict.

    Args:
        argv: Arguments; None takes those of the process.
    """
    args = parse_args(argv)
    quiet_decoder()
    warnings.filterwarnings('ignore', category=UserWarning, module='mmseg')  # on training
    trust_pickle(args.trust_pickle)
    check_arguments(args)
    inputs = find_inputs(args.input, own_paths(args.out))
    check_frames(args.max_frames, inputs)
    kinds = tuple(dict.fromkeys(args.save))
    outputs = Outputs(args.out, kinds, inputs.root, args.opacity, args.force)
    trained = load_trained(args.model, given_config(args), args.branch, args.device)
    pipeline = PicturePipeline(trained.pipeline)
    outputs.check(inputs)
    outputs.record(trained, inputs, args.max_frames)
    images = [path for path in inputs.images if outputs.missing(path)]
    videos = [path for path in inputs.videos if outputs.missing(path)]
    kept = len(inputs.files) - len(images) - len(videos)
    broken = [*inputs.no_images, *predict_images(trained, pipeline, images, outputs, args)]
    faults = [unreadable_sentence(picture.name, picture.reason) for picture in broken]
    frames, notes = 0, []
    sources: list[str | int] = [*videos, *inputs.cameras]
    for source in sources:
        name = source if isinstance(source, str) else _name_of_camera(source, inputs.root)
        try:
            number, note = predict_video(trained, pipeline, source, name, outputs, args)
        except UserInputError as error:
            faults.append(str(error))
            continue
        frames += number
        notes += [note] if note else []
    report(inputs, kept, frames, notes, faults, args.out)


def _name_of_camera(number: int, root: str) -> str:
    return str(Path(root) / f'camera{number}_{time.strftime("%Y%m%d-%H%M%S")}.mp4')


if __name__ == '__main__':
    sys.exit(run_main(main))
