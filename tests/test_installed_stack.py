import subprocess
import sys
from pathlib import Path

import pytest

from mmseg_ccdistill.installed_stack import installed_stacks

ROOT = Path(__file__).resolve().parents[1]


def _import_error(before: str) -> str:
    """The message of importing the package after the given line, in a fresh interpreter."""
    script = f'{before}\ntry:\n    import mmseg_ccdistill\nexcept ImportError as error:\n    print(error)'
    result = subprocess.run(
        [sys.executable, '-c', script], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def _distribution(folder: Path, name: str, version: str) -> None:
    """What pip leaves of an installed distribution."""
    info = folder / f'{name.replace("-", "_")}-{version}.dist-info'
    info.mkdir(parents=True)
    (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')


@pytest.mark.parametrize('missing', ['torch', 'mmengine', 'mmcv', 'mmseg'])
def test_a_missing_stack_is_explained_with_both_extras(missing: str) -> None:
    message = _import_error(f'import sys; sys.modules["{missing}"] = None')
    assert 'MMSegmentation' in message and message.count('\n') == 1
    assert 'mmseg-ccdistill[onedl]' in message and 'mmseg-ccdistill[openmmlab]' in message


def test_one_stack_over_the_other_is_refused(tmp_path: Path) -> None:
    for name in ('mmcv', 'mmengine', 'onedl-mmcv', 'onedl-mmengine'):
        _distribution(tmp_path, name, '1.2.3')
    message = _import_error(f'import sys; sys.path.insert(0, {str(tmp_path)!r})')
    assert message.count('\n') == 1 and 'overwritten' in message
    uninstall = message.split('`')[1].split()
    assert uninstall[:2] == ['pip', 'uninstall']
    assert {'mmcv', 'mmengine', 'onedl-mmcv', 'onedl-mmengine'} <= set(uninstall[2:])


def test_mmcv_without_operators_is_explained_where_mmseg_needs_them() -> None:
    message = _import_error('import sys; sys.modules["mmcv._ext"] = None')
    # The fork's mmseg imports none.
    assert ('mmcv==2.1.0' in message) == bool(installed_stacks()['openmmlab'])


def test_other_import_errors_are_not_hidden() -> None:
    script = 'import sys; sys.modules["cv2"] = None\nimport mmseg_ccdistill'
    result = subprocess.run(
        [sys.executable, '-c', script], cwd=ROOT, capture_output=True, text=True
    )
    assert 'cv2' in result.stderr.splitlines()[-1]
