"""Containers by podman and buildah: no daemon, no registry, storage in .cache of the checkout. As root, on loopback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

STORAGE = Path(".cache/containers").absolute()
IMAGE = "localhost/peregrine:test"
VALKEY = "localhost/valkey"
_TOOLS = ("buildah", "podman", "runc", "mmdebstrap")
_PLACES = ["--root", str(STORAGE / "storage"), "--runroot", "/run/peregrine-containers"]
USER = 10001
LIMITS = ("--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096", "--no-healthcheck")
"""podman's own limits may be above what this machine allows; health checks need systemd."""


class MissingTools(Exception):
    """Says what to install."""


def check_tools() -> None:
    if missing := [tool for tool in _TOOLS if not shutil.which(tool)]:
        raise MissingTools(f"{', '.join(missing)} missing: apt-get install {' '.join(_TOOLS)} fuse-overlayfs")
    if os.getuid() != 0:
        raise MissingTools("containers without a daemon are tested as root")


def podman(*arguments: str, check: bool = True, seconds: float = 120.0) -> str:
    """What it printed. Raises CalledProcessError, its output with it."""
    command = ["podman", *_PLACES, "--runtime", "runc", "--cgroup-manager", "cgroupfs", *arguments]
    done = subprocess.run(command, env=_environment(), capture_output=True, text=True, timeout=seconds, check=False)
    if check and done.returncode:
        raise AssertionError(f"podman {' '.join(arguments[:4])}: {done.stderr}")
    return done.stdout.strip()


def build(folder: Path) -> None:
    """The bases, then the image by the Dockerfile, whose steps go to stderr. folder: for pip's configuration, which is
    handed over as secrets."""
    buildah = ["buildah", *_PLACES]
    bases = _environment() | {"BUILDAH": " ".join(buildah)}
    subprocess.run(["deploy/bases.sh", str(STORAGE)], env=bases, check=True, timeout=1_800, stdout=sys.stderr)
    arguments = {"BASE": "localhost/python-base", "RUNTIME": "localhost/python-runtime"}
    command = [*buildah, "bud", "--layers", "--isolation", "chroot", "--format", "docker", "--tag", IMAGE]
    command += [f"--build-arg={name}={value}" for name, value in arguments.items()]
    command += [f"--secret=id={path.name},src={path}" for path in pip_configuration(folder)]
    subprocess.run([*command, "."], env=_environment(), check=True, timeout=1_800, stdout=sys.stderr)


def pip_configuration(folder: Path) -> list[Path]:
    """Where this machine's pip looks for packages, as the Dockerfile's two secrets."""
    certificate, index = os.environ.get("PIP_CERT"), os.environ.get("PIP_INDEX_URL")
    lines = ["[global]", *([f"index-url = {index}"] if index else [])]
    files = [folder / "pip.conf"]
    if certificate:
        lines.append("cert = /run/secrets/ca.crt")
        files.append(folder / "ca.crt")
        shutil.copy(certificate, files[-1])
    files[0].write_text("\n".join(lines) + "\n")
    return files


class Container:
    """One that runs: read-only root, not root, no capabilities, a limit to its memory."""

    def __init__(self, name: str, image: str, command: Sequence[str], options: Sequence[str], memory: str) -> None:
        self.name = name
        podman("rm", "--force", "--ignore", name)
        podman(
            "run", "--detach", "--name", name, "--network", "host", "--read-only", "--tmpfs=/tmp", "--memory", memory,
            "--user", f"{USER}:{USER}", "--cap-drop", "all", "--security-opt", "no-new-privileges", *LIMITS,
            "--stop-timeout", "30", *options, image, *command,
        )  # fmt: skip

    def kill(self) -> None:
        podman("kill", "--signal", "KILL", self.name)
        podman("wait", self.name)

    def start(self) -> None:
        podman("start", self.name)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        podman("stop", self.name)
        return int(json.loads(podman("inspect", self.name))[0]["State"]["ExitCode"])

    def remove(self) -> None:
        podman("rm", "--force", "--ignore", self.name)

    def logs(self) -> str:
        done = subprocess.run(
            ["podman", *_PLACES, "logs", self.name], env=_environment(), capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr

    def inside(self, *command: str) -> subprocess.CompletedProcess[str]:
        full = ["podman", *_PLACES, "--runtime", "runc", "--cgroup-manager", "cgroupfs", "exec", self.name, *command]
        return subprocess.run(full, env=_environment(), capture_output=True, text=True, check=False, timeout=60)

    def memory(self) -> int:
        """Bytes that its processes have to themselves (PSS), for the cgroup's figure counts files, too."""
        pid = int(podman("inspect", "--format", "{{.State.Pid}}", self.name))
        return sum(_pss(member) for member in _family(pid))


def _family(pid: int) -> list[int]:
    """A process and those it started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(member for child in children for member in _family(int(child)))]


def _pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _environment() -> dict[str, str]:
    return os.environ | {"STORAGE_DRIVER": os.environ.get("STORAGE_DRIVER", "overlay")}
