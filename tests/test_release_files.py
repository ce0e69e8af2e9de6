"""What a release and the images are built with: files that exist, versions that are allowed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]


def _requirements(name: str) -> dict[str, Requirement]:
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    parsed = [Requirement(line) for line in lines if line and not line.startswith('#')]
    return {requirement.name.lower(): requirement for requirement in parsed}


def test_the_constraints_pin_one_version_that_the_package_takes() -> None:
    pins = _requirements('constraints')
    assert all(re.fullmatch(r'==[\w.]+', str(pin.specifier)) for pin in pins.values())
    wanted = {**_requirements('runtime'), **_requirements('onedl')}
    assert set(wanted) <= set(pins)
    for name, requirement in wanted.items():
        assert str(pins[name].specifier)[2:] in requirement.specifier, name


@pytest.mark.parametrize('name', ['Dockerfile', 'Dockerfile.cuda'])
def test_an_image_runs_the_command_with_extras_that_exist(name: str) -> None:
    text = (ROOT / 'docker' / name).read_text()
    assert 'ENTRYPOINT ["ccdistill"]' in text and 'COPY . /tmp/mmseg-ccdistill' in text
    (extras,) = re.findall(r"'/tmp/mmseg-ccdistill\[([\w,]+)\]'", text)
    for extra in extras.split(','):
        assert (ROOT / 'requirements' / f'{extra}.txt').is_file()
    for file in re.findall(r'/tmp/mmseg-ccdistill/([\w./]+\.txt)', text):
        assert (ROOT / file).is_file()


def test_images_are_built_without_data_and_runs() -> None:
    assert {'.git', '.venv*', 'data', 'work_dirs'} <= set(
        (ROOT / '.dockerignore').read_text().splitlines()
    )


def test_a_release_is_tested_before_it_is_published() -> None:
    jobs = yaml.safe_load((ROOT / '.github/workflows/release.yml').read_text())['jobs']
    assert jobs['publish']['needs'] == 'build'
    commands = [step.get('run', '') for step in jobs['build']['steps']]
    files = [
        path for line in commands for path in re.findall(r'[\w./]+\.(?:py|sh)\b|\.ci/run', line)
    ]
    assert {'.ci/run', 'tests/test_installed_wheel.py', 'mmseg_ccdistill/version.py'} <= set(files)
    assert all((ROOT / path).is_file() for path in files)
    (version,) = [line for line in commands if 'GITHUB_REF_NAME' in line]
    pattern = re.search(r's/(\^__version__.*?)/\\1/p', version)
    assert pattern is not None
    expression = pattern[1].replace(r'\(', '(').replace(r'\)', ')')  # sed's groups
    text = (ROOT / 'mmseg_ccdistill/version.py').read_text()
    assert re.search(expression, text, flags=re.M)
