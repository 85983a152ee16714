"""Takes out of a virtual environment what serving never loads: run by the Dockerfile, after everything is installed.

    python deploy/slim.py /opt/peregrine

Prints what each rule saved. The build then loads what is left, so that a wheel that is put together in another way one
day breaks the build and not the service.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

RULES = {
    "packaging tools": ("pip*", "setuptools*", "pkg_resources", "_distutils_hack", "distutils-precedence.pth"),
    "tests of others": ("numpy/**/tests", "pyarrow/tests", "numpy/f2py", "fsspec/tests"),
    "onnxruntime for C++, and its model tools": (
        "onnxruntime/capi/libonnxruntime.so*", "onnxruntime/transformers", "onnxruntime/quantization",
        "onnxruntime/tools", "onnxruntime/datasets",
    ),
    "Arrow Flight": (
        "pyarrow/libarrow_flight*", "pyarrow/libarrow_python_flight*", "pyarrow/_flight*", "pyarrow/flight*",
    ),
    "Arrow's own S3 (archives are reached through fsspec)": ("pyarrow/libarrow_s3*", "pyarrow/_s3fs*"),
    "Arrow for C++": (
        "pyarrow/include", "pyarrow/src", "pyarrow/includes", "pyarrow/*.pxd", "pyarrow/*.pxi", "pyarrow/*.pyx",
    ),
    "NiceGUI's plots, editors and maps, which the pages do not use": tuple(
        f"nicegui/elements/{element}/dist"
        for element in (
            "aggrid", "codemirror", "echart", "json_editor", "leaflet", "mermaid", "plotly", "scene", "xterm",
        )
    ),
}  # fmt: skip


def main(environment: Path) -> None:
    (packages,) = environment.glob("lib/python3*/site-packages")
    for title, patterns in RULES.items():
        found = [path for pattern in patterns for path in packages.glob(pattern)]
        saved = sum(_remove(path) for path in found)
        _say(saved, title)
    _say(sum(_link_twins(packages / "pyarrow")), "copies of one library under several names")
    if strip := shutil.which("strip"):
        _say(_without_symbols(packages, strip), "symbols for debuggers")


def _say(saved: int, title: str) -> None:
    sys.stdout.write(f"{saved / 1e6:6.1f} MB  {title}\n")


def _remove(path: Path) -> int:
    """Bytes it had."""
    if path.is_dir() and not path.is_symlink():
        size = sum(file.lstat().st_size for file in path.rglob("*") if file.is_file())
        shutil.rmtree(path)
        return size
    size = path.lstat().st_size if path.exists() else 0
    path.unlink(missing_ok=True)
    return size


def _link_twins(folder: Path) -> list[int]:
    """A wheel cannot hold links: lib.so, lib.so.1 and lib.so.1.2 are three files. Bytes of each that became one."""
    saved = []
    for library in sorted(folder.glob("*.so")):
        for twin in sorted(folder.glob(f"{library.name}.*")):
            if not twin.is_symlink() and twin.read_bytes() == library.read_bytes():
                saved.append(twin.stat().st_size)
                twin.unlink()
                twin.symlink_to(library.name)
    return saved


def _without_symbols(packages: Path, strip: str) -> int:
    """Bytes saved. What lies in `*.libs` was patched when its wheel was repaired, and would not load any more."""
    found = [path for path in packages.rglob("*.so*") if not path.is_symlink() and ".libs" not in str(path.parent)]
    before = sum(path.stat().st_size for path in found)
    subprocess.run([strip, "--strip-unneeded", *map(str, found)], check=True)  # noqa: S603 - our own files
    return before - sum(path.stat().st_size for path in found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
