"""Namespaces of our own, where they are permitted: there connections can be cut by iptables and small disks mounted.

Whatever is mounted, cut or left running in there ends with the process that made it, and nobody else sees it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_INSIDE = "FAULTS_INSIDE"


def enter(arguments: Sequence[str]) -> None:
    """Runs this program again inside namespaces, if the system lets us, and does not come back; else returns."""
    if _INSIDE in os.environ or (unshare := shutil.which("unshare")) is None:
        return
    common = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    for options in (common, ["--user", "--map-root-user", *common]):
        if subprocess.run([unshare, *options, "true"], capture_output=True, check=False).returncode == 0:
            inside = f'ip link set lo up && exec "{sys.executable}" "$@"'
            os.environ[_INSIDE] = "1"
            os.execv(unshare, [unshare, *options, "sh", "-c", inside, "sh", *arguments])  # noqa: S606


def can_cut() -> bool:
    """Whether iptables works, and in a network of our own."""
    return _INSIDE in os.environ and shutil.which("iptables") is not None and not _iptables("-L").returncode


def can_mount() -> bool:
    return _INSIDE in os.environ and shutil.which("mount") is not None


def cut(port: int) -> None:
    """Packets to and from a local port vanish from now on."""
    for side in ("--dport", "--sport"):
        _iptables("-A", "INPUT", "-p", "tcp", side, str(port), "-j", "DROP").check_returncode()


def mend(port: int) -> None:
    """Takes back one `cut`."""
    for side in ("--dport", "--sport"):
        _iptables("-D", "INPUT", "-p", "tcp", side, str(port), "-j", "DROP").check_returncode()


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """A disk of its own at `folder`, as large as that."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "faults", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def _iptables(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["iptables", "-w", *arguments], capture_output=True, check=False)
