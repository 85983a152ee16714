"""What the commands are made of: patience, accounts, and what the demo's screen says of a list."""

from __future__ import annotations

import pytest

from service.client import Accepted, Busy, Overloaded, Status, Unreachable
from service.commands import posting
from service.commands.config import redacted
from service.commands.posting import Account, NotApplied, patiently
from service.commands.screen import Basket


class Clock:
    """Stands in for `time`: sleeping moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(posting, "time", found)
    return found


def test_a_busy_service_is_asked_again_when_it_says_so(clock: Clock) -> None:
    asked: list[float] = []

    def ask() -> str:
        asked.append(clock.now)
        if len(asked) < 3:
            raise Busy(503, {}, retry_after=5.0)
        return "done"

    assert patiently(ask) == "done"
    assert asked == [0.0, 5.0, 10.0]


def test_patience_ends_with_the_last_error(clock: Clock) -> None:
    def ask() -> None:
        raise Unreachable("nobody")

    with pytest.raises(Unreachable, match="nobody"):
        patiently(ask, seconds=10.0)
    assert 8.0 <= clock.now <= 10.0


def test_posting_that_is_only_slowed_down_goes_on_for_as_long_as_it_takes(clock: Clock) -> None:
    lags = iter(range(50, 0, -1))

    def ask() -> str:
        if (lag := next(lags, 0)) == 0:
            return "done"
        raise Overloaded(503, {"lag": lag}, retry_after=1.0)

    assert patiently(ask, seconds=10.0) == "done"
    assert clock.now == 50.0


def test_a_lag_that_does_not_fall_ends_the_patience(clock: Clock) -> None:
    def ask() -> None:
        raise Overloaded(503, {"lag": 7}, retry_after=1.0)

    with pytest.raises(Overloaded):
        patiently(ask, seconds=10.0)
    assert 9.0 <= clock.now <= 10.0


class Stalled:
    """A client of a service that accepts and never applies."""

    def ready(self) -> Status:
        return Status(ok=True, body={"offset": 3})

    def post_events(self, events: object) -> Accepted:
        errors = [{"index": i, "field": "user_id", "message": "is required"} for i in range(4)]
        return Accepted(accepted=2, duplicates=1, rejected=4, errors=errors, offset=9)


def test_events_that_are_never_applied_are_an_error_that_says_where_it_stands(clock: Clock) -> None:
    account = Account(Stalled())  # type: ignore[arg-type]
    account.post([])
    with pytest.raises(NotApplied, match="offset 3 of 9"):
        account.wait_until_applied()


def test_an_account_adds_up_and_keeps_the_first_errors(clock: Clock) -> None:
    account = Account(Stalled())  # type: ignore[arg-type]
    for _ in range(2):
        account.post([])
    tally = account.events
    assert (tally.accepted, tally.duplicates, tally.rejected, len(tally.errors)) == (4, 2, 8, 5)
    assert account.refused == "8 entries were refused, the first for user_id: is required"


def test_the_screen_marks_how_a_list_has_moved_and_what_it_hit() -> None:
    basket = Basket(0, bought=("b", "e"), before=["a", "b", "c"], after=["b", "a", "c", "d", "e"])
    arrows = {item: basket.arrow(item) for item in basket.after}
    assert arrows == {"b": "[green]▲1[/]", "a": "[red]▼1[/]", "c": "", "d": "[cyan]new[/]", "e": "[cyan]new[/]"}
    marks = {item: basket.mark(item) for item in basket.after}
    assert marks == {"b": "[bold green]✓ hit[/]", "a": "", "c": "", "d": "", "e": "[green]bought[/]"}


@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        ("s3cret", "********"),
        ("redis://h:1/0", "redis://h:1/0"),
        ("redis://u:p@h/0?password=p", "redis://********@h/0"),
        ("unix:///run/v.sock?password=p", "unix:///run/v.sock"),
    ],
)
def test_a_secret_shows_no_more_than_where_it_leads(secret: str, shown: str) -> None:
    from pydantic import SecretStr

    assert redacted(SecretStr(secret)) == shown
