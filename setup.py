"""What pyproject.toml cannot say about `make wheel`: the library is compiled as the workflow compiles it."""

import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

SCRATCH = Path("build/wheel")


class Core(build_ext):
    """The step `core` in place of a compiler that knows Python: the library has nothing of a certain Python in it."""

    def get_ext_filename(self, name: str) -> str:
        """The name that winnow.core looks for, beside itself."""
        return "libwinnow.so"

    def build_extension(self, extension: Extension) -> None:
        """Compile it."""
        sys.path.insert(0, "workflow")
        from winnow.core.build import build

        target = Path(self.get_ext_fullpath(extension.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        build(target)


class Wheel(bdist_wheel):
    """One wheel for all versions of Python."""

    def get_tag(self) -> tuple[str, str, str]:
        """Of the platform alone."""
        return "py3", "none", super().get_tag()[2]


SCRATCH.mkdir(parents=True, exist_ok=True)
setup(
    ext_modules=[Extension("winnow.core.libwinnow", [])],
    cmdclass={"build_ext": Core, "bdist_wheel": Wheel},
    options={"build": {"build_base": str(SCRATCH)}, "egg_info": {"egg_base": str(SCRATCH)}},
)
