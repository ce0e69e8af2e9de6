"""How CCDistill would scale over GPUs: a simulation of the communication of one step, from counted bytes and FLOP.

``python -m benchmarks.scaling`` prints the table of docs/performance.md. Nothing is measured here but what is counted:

* Gradients are averaged by ring all-reduce: each of N GPUs sends 2 (N - 1) / N of their bytes, in 2 (N - 1) steps
  (Patarasu and Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations", JPDC 2009). No
  all-reduce sends less.
* DistributedDataParallel sends buckets of 25 MiB in the order in which they are ready, while the backward pass goes
  on (Li et al., "PyTorch Distributed: Experiences on Accelerating Data Parallel Training", VLDB 2020).
* A weight is ready when the last domain that its network sees has gone backward through it. Autograd takes the
  decoders first: T_n, S_n (M_n's are ready), S_d (M_d's), then the backbones T_n, S_n, T_d, S_d.
* Time goes with FLOP; inside a part weights get ready evenly.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.iteration_cost import SIDE, build
from benchmarks.performance.counted_iteration import PAPER
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.evaluation.report import markdown_table

#: Bytes of a gradient: float32, also under bfloat16 autocast.
GRADIENT_BYTES = 4
BUCKET_BYTES = 25 * 2**20
GPUS_PER_NODE = 8
GPUS = (8, 64, 512)
#: Seconds of a step on one GPU: measured on an H200 as one CUDA graph, and the goal of 23 it/s (docs/performance.md).
STEPS = {'measured, 12.9 it/s': 1 / 12.9, 'goal, 23 it/s': 1 / 23}


class Network(NamedTuple):
    """Links of a cluster.

    Attributes:
        name: What it is.
        inside: Bytes per second and direction between two GPUs of a node.
        between: Bytes per second and direction of all network cards of a node together.
        latency: Seconds of a step of the ring.
    """

    name: str
    inside: float
    between: float
    latency: float

    def bandwidth(self, gpus: int) -> float:
        """Bytes per second that each GPU can send: as many rings as network cards share a node's."""
        return self.inside if gpus <= GPUS_PER_NODE else min(self.inside, self.between)


#: NVIDIA DGX H100 data sheet: NVLink 900 GB/s in both directions together, 8 cards of 400 Gbit/s. The second is what a
#: node of 8 GPUs without NVLink has: PCIe 4.0 x16, 32 GB/s, one card of 100 Gbit/s. The latencies are assumed.
NETWORKS = (
    Network('NVLink, 8 x 400 Gbit/s', 450e9, 400e9, 5e-6),
    Network('PCIe 4, 1 x 100 Gbit/s', 32e9, 12.5e9, 10e-6),
)


class Part(NamedTuple):
    """A stretch of the backward pass.

    Attributes:
        flops: What it computes.
        weights: Numbers whose gradient is ready in it.
    """

    flops: float
    weights: int


class Step(NamedTuple):
    """What is counted of a step.

    Attributes:
        flops: Of the whole step.
        backward: Parts of the backward pass in their order.
    """

    flops: float
    backward: tuple[Part, ...]

    @property
    def gradient_bytes(self) -> int:
        """Bytes of all gradients."""
        return GRADIENT_BYTES * sum(part.weights for part in self.backward)


def count() -> Step:
    """Count the paper's step on the meta device: two crops of each domain."""
    model = build(PAPER)
    images = torch.empty(2, 3, SIDE, SIDE, device='meta')
    with torch.no_grad():
        with FlopCounterMode(display=False) as of_backbone:
            maps = model.day.backbone(images)
        with FlopCounterMode(display=False) as of_decoder:
            model.day.decode_head(maps)
        with FlopCounterMode(display=False) as of_head:
            model.projection_head(maps[-1])
    backbone, decoder, head = (
        float(counter.get_total_flops()) for counter in (of_backbone, of_decoder, of_head)
    )
    weights_of_backbone, weights_of_decoder, weights_of_head = (
        sum(p.numel() for p in module.parameters())
        for module in (model.day.backbone, model.day.decode_head, model.projection_head)
    )
    return Step(
        flops=12 * backbone
        + 10 * decoder
        + 12 * head,  # forward 1, backward 2; T_d's decoder forward alone
        backward=(
            Part(8 * head, weights_of_head),
            Part(2 * decoder, 0),
            Part(2 * decoder, weights_of_decoder),
            Part(2 * decoder, weights_of_decoder),
            Part(2 * backbone, 0),
            Part(2 * backbone, weights_of_backbone),
            Part(2 * backbone, 0),
            Part(2 * backbone, weights_of_backbone),
        ),
    )


def sent_bytes(gradient_bytes: float, gpus: int) -> float:
    """Bytes that each GPU sends in a step."""
    return 2 * (gpus - 1) / gpus * gradient_bytes


def reduce_seconds(gradient_bytes: float, gpus: int, network: Network) -> float:
    """Duration of one ring all-reduce."""
    steps = 2 * (gpus - 1)
    return steps * network.latency + sent_bytes(gradient_bytes, gpus) / network.bandwidth(gpus)


class Scaled(NamedTuple):
    """A step on several GPUs.

    Attributes:
        sending: Seconds of all all-reduces.
        exposed: Seconds of them after the backward pass.
        efficiency: Step on one GPU over step on several.
    """

    sending: float
    exposed: float
    efficiency: float


def simulate(step: Step, seconds: float, gpus: int, network: Network) -> Scaled:
    """Send every bucket once it is ready and the one before has gone.

    Args:
        step: Counted.
        seconds: Of the step on one GPU.
        gpus: Number of GPUs.
        network: Their links.
    """
    free = sending = 0.0
    for ready, size in _buckets(step, seconds):
        duration = reduce_seconds(size, gpus, network)
        sending += duration
        free = max(ready, free) + duration
    exposed = max(free - seconds, 0.0)
    return Scaled(sending, exposed, seconds / (seconds + exposed))


def _buckets(step: Step, seconds: float) -> list[tuple[float, float]]:
    """When each bucket is ready, in seconds from the start of the step, and its bytes."""
    rate = step.flops / seconds
    clock = seconds - sum(part.flops for part in step.backward) / rate
    buckets: list[tuple[float, float]] = []
    held = 0.0
    for part in step.backward:
        size, duration = part.weights * GRADIENT_BYTES, part.flops / rate
        sent = 0.0
        while size - sent >= BUCKET_BYTES - held:
            sent += BUCKET_BYTES - held
            held = 0.0
            buckets.append((clock + duration * sent / size, BUCKET_BYTES))
        held += size - sent
        clock += duration
    return [*buckets, (seconds, held)] if held else buckets


def table(step: Step) -> str:
    """The simulation as a Markdown table."""
    rows = [
        [
            'links',
            'step of one GPU',
            'GPUs',
            'GB sent by each',
            'ms sending',
            'ms exposed',
            'efficiency',
        ]
    ]
    for network in NETWORKS:
        for name, seconds in STEPS.items():
            for gpus in GPUS:
                found = simulate(step, seconds, gpus, network)
                rows.append(
                    [
                        network.name,
                        name,
                        str(gpus),
                        f'{sent_bytes(step.gradient_bytes, gpus) / 1e9:.2f}',
                        f'{1e3 * found.sending:.1f}',
                        f'{1e3 * found.exposed:.1f}',
                        f'{100 * found.efficiency:.0f} %',
                    ]
                )
    return markdown_table(rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table.

    Args:
        argv: Arguments. Defaults to None, those of the command line.

    Returns:
        0, or 2 after bad arguments.
    """
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.scaling', description=(__doc__ or '').split('\n', 1)[0]
    )
    parser.add_argument('--gpus', type=int, help='one more number of GPUs, over the first links')
    args = parser.parse_args(argv)
    step = count()
    print(
        f'{step.flops / 1e12:.2f} TFLOP and {step.gradient_bytes / 1e6:.0f} MB of gradients a step\n'
    )
    print(table(step))
    if args.gpus is not None:
        try:
            print(_one_line(step, args.gpus))
        except UserInputError as error:
            print(f'{parser.prog}: {error}', file=sys.stderr)
            return 2
    return 0


def _one_line(step: Step, gpus: int) -> str:
    if gpus < 1:
        raise UserInputError(f'--gpus must be at least 1, got {gpus}')
    found = simulate(step, STEPS['goal, 23 it/s'], gpus, NETWORKS[0])
    return f'\n{gpus} GPUs: {100 * found.efficiency:.1f} % at 23 it/s over {NETWORKS[0].name}'


if __name__ == '__main__':
    sys.exit(main())
