"""One stage for all tests of a module that only ask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.paths.stage import Stage


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    found = Stage()
    yield found
    found.close()
