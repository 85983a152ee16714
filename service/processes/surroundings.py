"""What a process finds around it: variables that look like settings and are none, and how many cores it may use."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from math import ceil
from pathlib import Path

import structlog

from service.settings import PREFIX, SECRETS, Settings

log = structlog.get_logger("peregrine.settings")

_OF_COMMANDS = ("URL",)
"""Variables that options of commands are read from."""
_OTHERS = re.compile(rf"^{PREFIX}TEST_|_SERVICE_(HOST|PORT)(_\w+)?$|_PORT_\d+_(TCP|UDP)")
"""What tests set, and what Kubernetes puts into the environment for a Service of our name."""
_LIKE = 0.8
"""From 0 to 1: how alike two names must be for one to be a misspelling of the other."""
CGROUP = Path("/sys/fs/cgroup")


def unknown_variables(environment: Mapping[str, str]) -> dict[str, str | None]:
    """What looks like a setting and is none: by its name, the one that was probably meant, None if there is no such."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    known |= {f"{PREFIX}{name.upper()}_FILE" for name in SECRETS} | {f"{PREFIX}{name}" for name in _OF_COMMANDS}
    unknown = sorted(name for name in environment if name.startswith(PREFIX) and name not in known)
    found = [name for name in unknown if not _OTHERS.search(name)]
    return {name: _nearest(name, known) for name in found}


def _nearest(name: str, known: Iterable[str]) -> str | None:
    near = get_close_matches(name.removeprefix(PREFIX), [one.removeprefix(PREFIX) for one in known], 1, _LIKE)
    return PREFIX + near[0] if near else None


def tell_unknown_variables() -> None:
    """A warning for each: a misspelt setting would be ignored in silence."""
    for name, nearest in unknown_variables(os.environ).items():
        log.warning("unknown_setting", name=name, did_you_mean=nearest)


def cores(cgroup: Path = CGROUP) -> int:
    """Cores that this process may keep busy: those it may run on, within the limit of its container, rounded up."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = _limit(cgroup)
    return allowed if limit is None else max(1, min(allowed, ceil(limit)))


def _limit(cgroup: Path) -> float | None:
    """Cores that the cgroup (version 2, else 1) gives at most. None for no limit."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    return int(quota) / int(period) if quota.isdecimal() and int(quota) > 0 else None
