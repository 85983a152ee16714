"""What goes wrong in a run, when, drawn from a seed; and how long it takes until another worker leads."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import redis

from service.adapters.redis_clients import Server
from service.adapters.redis_state import RedisStateStore
from service.errors import StoreUnavailable
from tests.faults import enclosure
from tests.faults.servers import KEYS, LEASE, Deployment, Store

Undo = Callable[[], None]

STORES = ("log", "state")
DISKS = (*STORES, "keeper")
HOUR = 3_600
_TAKEOVER_DEADLINE = 60.0
_POLL_SECONDS = 0.01


@dataclass
class Tally:
    """What was done: kills (kill -9, power cuts apart) and faults by name; takeovers: seconds."""

    kills: int = 0
    power_cuts: int = 0
    dropped: int = 0
    """Bytes that power cuts dropped."""
    faults: Counter[str] = field(default_factory=Counter)
    takeovers: list[float] = field(default_factory=list)


class Chaos:
    """Does things to a deployment. connections: whether they are cut by iptables, or else by the silent proxy."""

    def __init__(self, deployment: Deployment, rng: Random, connections: bool) -> None:
        self.tally = Tally()
        self._deployment = deployment
        self._rng = rng
        self._iptables = connections
        self._undo: list[tuple[float, Undo]] = []
        self._actions: dict[str, Callable[[], Undo | None]] = {
            "kill": self._kill,
            "freeze": self._freeze,
            "power_cut": self._power_cut,
            "torn_commit": self._tear,
            "disk_full": self._fill_disk,
            "memory_full": self._fill_memory,
            "lost_answers": self._lose_answers,
            "connection_cut": self._cut_connection,
            "two_workers": self._two_workers,
            "clock_back": self._set_clock_back,
            "functions_lost": self._lose_functions,
            "leader_killed": lambda: self._replace_leader(signal.SIGKILL),
            "leader_frozen": lambda: self._replace_leader(signal.SIGSTOP),
        }

    def run(self, plan: list[str], pause: float) -> None:
        """Does all of `plan`, one after the other about `pause` seconds apart; some last until others begin."""
        for name in plan:
            if (undo := self._attempt(name)) is not None:
                self._undo.append((time.monotonic() + self._rng.uniform(0.2, 2.5), undo))
            self._wait(self._rng.uniform(0.2, 2.0) * pause)
        self.end()

    def end(self) -> None:
        """Takes everything back."""
        while self._undo:
            undo, self._undo = self._undo, []
            for _, take_back in undo:
                take_back()

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            due = [undo for at, undo in self._undo if at <= now]
            self._undo = [(at, undo) for at, undo in self._undo if at > now]
            for undo in due:
                undo()
            time.sleep(0.05)

    def _attempt(self, name: str) -> Undo | None:
        """Does it again until it takes: a server that is asked may be dead or frozen by an earlier fault."""
        for _ in range(20):
            try:
                undo = self._actions[name]()
            except redis.RedisError:
                self._wait(0.5)
            else:
                self.tally.faults[name] += 1
                return undo
        raise TimeoutError(f"{name}: the server does not answer")

    def cut_power(self, names: Sequence[str]) -> None:
        """Of some processes that write to a disk, at once."""
        self.tally.dropped += self._deployment.cut_power(names, self._rng)
        self.tally.power_cuts += 1

    def _store(self) -> Store:
        return self._deployment.stores[self._rng.choice(STORES)]

    def _kill(self) -> None:
        names = [name for name, process in self._deployment.processes.items() if process.alive]
        process = self._deployment.processes[self._rng.choice(names)]
        with process.held():
            self.tally.kills += process.kill()

    def _freeze(self) -> Undo:
        process = self._deployment.processes[self._rng.choice(list(self._deployment.processes))]
        process.signal(signal.SIGSTOP)
        return lambda: void(process.signal(signal.SIGCONT))

    def _power_cut(self) -> None:
        self.cut_power(self._rng.choice((["log"], ["state"], ["keeper"], DISKS)))

    def _tear(self) -> None:
        self._store().tear()
        self.tally.kills += 1

    def _fill_disk(self) -> Undo:
        store = self._store()
        store.set_full(True)
        return lambda: store.set_full(False)

    def _fill_memory(self) -> Undo:
        store = self._store()
        with store.admin() as server:
            limit = server.config_get("maxmemory")["maxmemory"]
            server.config_set("maxmemory", "1mb")
        return lambda: self._lift(store, limit)

    def _lift(self, store: Store, limit: str) -> None:
        """Again later if the server is dead or frozen; one that was started again has its limit from its file."""
        try:
            with store.admin() as server:
                server.config_set("maxmemory", limit)
        except redis.RedisError:
            if store.alive:
                self._undo.append((time.monotonic() + 0.5, lambda: self._lift(store, limit)))

    def _lose_answers(self) -> Undo:
        stores = self._deployment.stores
        proxy = self._rng.choice((stores["log"].proxy, stores["state"].proxy, self._deployment.http))
        proxy.mode = "lose answers"

        def undo() -> None:
            proxy.mode = "pass"

        return undo

    def _cut_connection(self) -> Undo:
        store = self._store()
        if self._iptables:
            enclosure.cut(store.port)
            return lambda: enclosure.mend(store.port)
        store.proxy.mode = "silent"

        def undo() -> None:
            store.proxy.mode = "pass"

        return undo

    def _two_workers(self) -> None:
        """The lease is gone under its holder: the other worker takes it while the first still writes."""
        with self._deployment.stores["state"].admin() as state:
            state.delete(LEASE)

    def _set_clock_back(self) -> Undo:
        deployment = self._deployment
        shims = [store.shim for store in deployment.stores.values()] + list(deployment.shims.values())
        for shim in shims:
            shim.set_clock(-HOUR)

        def undo() -> None:
            for shim in shims:
                shim.set_clock(0)

        return undo

    def _lose_functions(self) -> None:
        with self._store().admin() as server:
            server.execute_command("FUNCTION", "FLUSH")

    def _replace_leader(self, number: signal.Signals) -> None:
        """Kills or freezes the leader, with nothing else going on, and waits until another one has committed."""
        self.end()
        self._deployment.wait_until_ready()
        name, pid = self._deployment.leader()
        leader = self._deployment.processes[name]
        begun = time.monotonic()
        if number == signal.SIGKILL:
            self.tally.kills += leader.kill()
        else:
            leader.signal(number)
        try:
            self.tally.takeovers.append(self._wait_for_other(pid) - begun)
        finally:
            leader.signal(signal.SIGCONT)

    def _wait_for_other(self, pid: int) -> float:
        """When another process than `pid` had committed."""
        deadline = time.monotonic() + _TAKEOVER_DEADLINE
        store = RedisStateStore(Server(f"redis://127.0.0.1:{self._deployment.stores['state'].port}", KEYS, 2.0))
        before: int | None = None
        try:
            while time.monotonic() < deadline:
                if before is None and self._deployment.leader()[1] not in {0, pid}:
                    before = store.position().offset
                elif before is not None and store.position().offset > before:
                    return time.monotonic()
                time.sleep(_POLL_SECONDS)
        except StoreUnavailable as exc:
            raise TimeoutError(f"nobody took over: {exc}") from exc
        finally:
            store.close()
        raise TimeoutError(f"nobody took over from process {pid} within {_TAKEOVER_DEADLINE:.0f} s")


def void(_: object) -> None:
    """For callbacks that answer."""


FAULTS = (
    "freeze",
    "torn_commit",
    "disk_full",
    "memory_full",
    "lost_answers",
    "connection_cut",
    "two_workers",
    "clock_back",
    "functions_lost",
)
"""What a full run does besides killing and cutting."""


def plan(rng: Random, kills: int, power_cuts: int, takeovers: int, faults: int) -> list[str]:
    """A schedule in random order. faults: how many of FAULTS, each about equally often."""
    drawn = [FAULTS[(place + rng.randrange(2)) % len(FAULTS)] for place in range(faults)]
    leaders = [("leader_killed", "leader_frozen")[place % 2] for place in range(takeovers)]
    whole = ["kill"] * kills + ["power_cut"] * power_cuts + leaders + drawn
    rng.shuffle(whole)
    return whole
