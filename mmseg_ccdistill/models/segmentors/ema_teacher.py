"""A teacher whose weights are a moving average of its student's."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .run_length import RunLength


class EMATeacher(nn.Module):
    r"""Moves the weights of a frozen network towards those of its student, once an iteration.

    .. math:: \theta'_0 = \theta_0, \qquad
        \theta'_t = a_t \theta'_{t-1} + (1 - a_t) \theta_t, \qquad a_t = \min(1 - 1 / (t + 1), \alpha)

    (Tarvainen and Valpola 2017, with the ramp of DACS and DAFormer.) While :math:`a_t < \alpha` the teacher is the
    plain mean of all states of the student. The first call copies the student, so it sees what was loaded and there is
    nothing to initialise. Batch statistics and other buffers are copied at every call. Call :meth:`update` at the top
    of a method's ``loss``; nothing is read on the host, so the device is never waited for.

    How far the teacher lies behind is given in iterations or as a share of the run, because a rate alone means
    something else in every schedule: the average of a straight line lies :math:`\alpha / (1 - \alpha)` iterations
    behind. The usual 0.999 is a lag of 999: 2.5 % of 40,000 iterations, but half of a run of 600.

    The number of updates is in the state dict, so a resumed run goes on exactly. The teacher's weights are those of a
    network that the method lists in ``frozen``.

    Args:
        lag: Iterations, at least 0, as an integer; or a share of the run between 0 and 1, as a float, which
            :meth:`set_length` turns into iterations.

    Raises:
        ValueError: If it is neither.
    """

    updates: Tensor

    def __init__(self, lag: int | float) -> None:
        super().__init__()
        self.lag = RunLength(lag, 'EMATeacher', 'lag')
        self.register_buffer('updates', torch.zeros((), dtype=torch.long))

    def set_length(self, max_iters: int) -> None:
        """Say how long the run is; a lag in iterations stays what it is.

        Args:
            max_iters: Iterations of the whole run.
        """
        self.lag.set_length(max_iters)

    @property
    def alpha(self) -> float:
        """Rate of the average, lag / (lag + 1).

        Raises:
            ValueError: If the lag is a share and nobody has said of what.
        """
        lag = self.lag.iterations
        return lag / (lag + 1)

    @torch.no_grad()
    def update(self, student: nn.Module, teacher: nn.Module) -> None:
        """Move the teacher one step.

        Args:
            student: Network that is trained.
            teacher: Network with the same state dict, frozen; changed in place.
        """
        floor = torch.full((), 1 - self.alpha, dtype=torch.double, device=self.updates.device)
        share = torch.maximum(1 / (self.updates + 1).double(), floor)
        ours = teacher.state_dict(keep_vars=True)
        shares: dict[torch.dtype, Tensor] = {}
        for name, value in student.named_parameters():
            if value.dtype not in shares:
                shares[value.dtype] = share.to(value.dtype)
            ours[name].data.lerp_(value.data, shares[value.dtype])
        for name, buffer in student.named_buffers():
            if name in ours and ours[name] is not buffer:  # one that both have needs no copy
                ours[name].copy_(buffer)
        self.updates += 1
