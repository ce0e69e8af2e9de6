import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from meeting_port import meeting_port

from mmseg_ccdistill.runtime.run_errors import ending_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def taken():
    """A port on which another program listens, on the local address alone."""
    with socket.socket() as other:
        other.bind(('127.0.0.1', 0))
        other.listen()
        yield other.getsockname()[1]


def _tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location('free_port', ROOT / 'tools' / 'free_port.py')
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ('script', 'arguments'),
    [
        ('dist_train.sh', ['c.py', '2', '--cfg-options', 'a=b c']),
        ('dist_test.sh', ['c.py', 'm.pth', '2']),
    ],
)
def test_a_port_in_use_is_one_sentence(taken, script, arguments) -> None:
    command = ['bash', f'tools/{script}', *arguments]
    env = dict(os.environ, PYTHON=sys.executable, PORT=str(taken))
    env.pop('NODE_RANK', None)
    result = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert result.returncode == 2 and result.stdout == ''
    start, _, rest = result.stderr.partition(' PORT=')
    assert start == f'error: port {taken} is in use by another program; choose another with:'
    port, _, again = rest.partition(' ')
    assert again == f'bash tools/{script} ' + ' '.join(arguments).replace('a=b c', "'a=b c'") + '\n'
    assert _tool().is_free(int(port)) and port != str(taken)


@pytest.mark.parametrize('port', ['0', '65536', 'abc', '', '-1', '29500 '])
def test_what_is_no_port(port, capsys) -> None:
    assert _tool().main([port, 'tools/dist_train.sh', 'c.py', '2']) == 2
    error = capsys.readouterr().err
    assert error.startswith(
        f'error: PORT={port} is no port: expected a number from 1 to 65535; choose another with: PORT=29'
    )
    assert error.endswith(' bash tools/dist_train.sh c.py 2\n')


def test_a_free_port_passes_in_silence(capfd) -> None:
    assert _tool().main([str(meeting_port()), 'tools/dist_train.sh']) == 0
    assert capfd.readouterr() == ('', '')


def test_a_port_in_use_without_the_script_is_one_sentence(taken, tmp_path) -> None:
    """Processes that no torchrun has started: the first of them listens."""
    env = {name: v for name, v in os.environ.items() if not name.startswith('TORCHELASTIC')}
    env.update(
        RANK='0', WORLD_SIZE='2', LOCAL_RANK='0', MASTER_ADDR='127.0.0.1', MASTER_PORT=str(taken),
        CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(ROOT),
    )  # fmt: skip
    (tmp_path / 'c.py').write_text('model = None\nvalues = 1\n')
    command = [sys.executable, str(ROOT / 'tools/train.py'), 'c.py', '--launcher', 'pytorch']
    result = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 2, result.stderr[-2000:]
    (sentence,) = [line for line in result.stderr.splitlines() if line.startswith('error: ')]
    assert sentence.startswith(
        f'error: rank 0: port {taken} is in use by another program: expected'
    )
    assert 'Traceback' not in result.stderr


def test_other_network_errors_are_not_taken_for_a_port_in_use() -> None:
    assert ending_of(RuntimeError('Permission denied')) is None
