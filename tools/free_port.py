"""Check, before torchrun starts, that the port on which the processes meet is free."""

import errno
import os
import shlex
import socket
import sys

_FIRST_PORT, _LAST_PORT = 1, 65535


def is_free(port: int) -> bool:
    """Tell whether a program can listen on a port of this machine, as torchrun is going to.

    Raises:
        OSError: If listening fails for another reason than a port in use (a reserved one, for example).
    """
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    try:
        socket.create_server(('', port), family=family, dualstack_ipv6=dual).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise
    return True


def main(argv: list[str]) -> int:
    """Say in one sentence what is wrong with a port: 0 if it is free, 2 if not. ``argv``: port, command."""
    text, command = argv[0], shlex.join(['bash', *argv[1:]])
    if not text.isdecimal() or not _FIRST_PORT <= int(text) <= _LAST_PORT:
        problem = f'PORT={text} is no port: expected a number from {_FIRST_PORT} to {_LAST_PORT}'
        other = 29500
    else:
        try:
            if is_free(int(text)):
                return 0
            problem = f'port {text} is in use by another program'
        except OSError as error:
            problem = f'port {text} cannot be used ({os.strerror(error.errno or 0)})'
        other = int(text) + 1
    # From the range below those that the system hands out by itself.
    candidates = range(other, 30000) if 29500 <= other < 30000 else range(29500, 30000)
    free = next((port for port in candidates if is_free(port)), candidates[0])
    print(f'error: {problem}; choose another with: PORT={free} {command}', file=sys.stderr)
    return 2


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
