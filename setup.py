"""The build of a wheel: configs and tools go into ``mmseg_ccdistill/.mim``, as OpenMIM expects it of a package."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
#: What ``ccdistill/shipped_files.py`` finds there; its folders are those of the checkout.
SHIPPED = ('configs', 'tools', 'benchmarks', 'model-index.yml')


class BuildWithMim(build_py):
    """Copies :data:`SHIPPED` beside the modules. An editable install reads them where they are."""

    def run(self) -> None:
        """Build."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib, 'mmseg_ccdistill', '.mim')
        shutil.rmtree(target, ignore_errors=True)  # of an earlier build
        target.mkdir(parents=True)
        for name in SHIPPED:
            if (ROOT / name).is_dir():
                hidden = shutil.ignore_patterns('__pycache__', '.*')
                shutil.copytree(ROOT / name, target / name, ignore=hidden)
            else:
                shutil.copy2(ROOT / name, target / name)


setup(cmdclass={'build_py': BuildWithMim})
