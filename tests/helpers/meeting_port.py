"""A port for the processes of a test to meet at."""

from __future__ import annotations

import random
import socket

# Below what Linux (from 32768) and IANA (from 49152) give to connections of other programs: nobody takes a port of
# these before the processes of the test, which need seconds to start, listen on it.
_PORTS = range(15000, 30000)


def meeting_port() -> int:
    """Find a port on which no program listens.

    Returns:
        The port, another one in each call, whatever the seed of a test.
    """
    while True:
        port = random.SystemRandom().choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(('', port))
            except OSError:
                continue
        return port
