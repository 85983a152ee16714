"""What `doctor` asks a Redis or Valkey: whether it answers, and whether it keeps what is promised."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from service.adapters.keys import LogKeys, read_backlog, unpack_backlog
from service.adapters.redis_clients import Server, SyncClient, check_server, fullness
from service.errors import ConfigurationError, PeregrineError
from service.event_path.pressure import NEARLY_FULL
from service.settings import is_loopback

_MOST_SKEW = 2.0
"""Seconds that its clock may be off ours: the log gives times to events that come without one."""
_GETTING_FULL = 0.8
_FALSE = {"0", "f", "false", "n", "no"}
"""As redis-py reads a switch in a URL."""


@dataclass(frozen=True)
class Finding:
    """One thing found out about a store."""

    what: str
    verdict: Literal["ok", "note", "fail"]
    found: str
    todo: str = ""


def examine(role: str, url: str, prefix: str, timeout: float) -> Iterator[Finding]:
    """role: `log` or `state`; timeout in seconds. Writes nothing."""
    server = Server(url, prefix, timeout)
    try:
        client = SyncClient(server)
    except ConfigurationError as exc:
        yield Finding("reachable", "fail", str(exc), "correct the URL")
        return
    try:
        yield from _ask(role, server, client)
    except PeregrineError as exc:
        yield Finding("reachable", "fail", str(exc), "start it, correct its URL, or raise the timeout")
    finally:
        client.close()


def _ask(role: str, server: Server, client: SyncClient) -> Iterator[Finding]:
    begun = time.perf_counter()
    info = client.run("INFO")
    milliseconds = 1000 * (time.perf_counter() - begun)
    yield Finding("reachable", "ok", f"{server.name} in {milliseconds:.1f} ms")
    yield transport(server.url)
    name = f"{info.get('server_name', 'redis')} {info.get('valkey_version') or info['redis_version']}"
    try:
        check_server(server)
    except ConfigurationError as exc:
        yield Finding("fit", "fail", str(exc), "the service does not start with it")
    else:
        yield Finding("fit", "ok", f"{name}, noeviction, no cluster")
    yield _memory(info)
    if role == "log":
        yield _backlog(server, client)
    yield _persistence(role, info, client)
    yield _functions(client)
    yield _clock(client)


def transport(url: str) -> Finding:
    """Whether others on the way can read along, or pose as the server, and whether it lets in everybody."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    if parts.scheme == "unix" or is_loopback(parts.hostname or ""):
        return Finding("transport", "ok", "does not leave this machine")
    if parts.scheme == "redis":
        return Finding("transport", "note", "not encrypted", "rediss://, unless the network between is your own")
    if query.get("ssl_cert_reqs") == ["none"] or query.get("ssl_check_hostname", ["true"])[0].lower() in _FALSE:
        return Finding("transport", "fail", "TLS, and nobody checks whose certificate it is", "set PEREGRINE_TLS_CA")
    if not parts.password:
        return Finding("transport", "note", "TLS, without a password", "give each role a user: deploy/valkey/*.acl")
    return Finding("transport", "ok", f"TLS, as user {parts.username or 'default'}")


def _memory(info: dict[str, Any]) -> Finding:
    used, most = info["used_memory"], info["maxmemory"]
    if not most:
        found = f"{_size(used)} used, without a limit: at the end of the machine's memory the system kills it"
        return Finding("memory", "note", found, "set maxmemory below what the machine can give")
    share = fullness(info)
    found = f"{_size(used)} of {_size(most)} used ({share:.0%})"
    if share >= NEARLY_FULL:
        return Finding("memory", "fail", f"{found}: events are refused", "raise maxmemory, or free some")
    if share >= _GETTING_FULL:
        return Finding("memory", "note", f"{found}; from {NEARLY_FULL:.0%} on events are refused", "raise maxmemory")
    return Finding("memory", "ok", found)


def _backlog(server: Server, client: SyncClient) -> Finding:
    backlog = unpack_backlog(client.run(*read_backlog(LogKeys(server.prefix))))
    found = f"ends at offset {backlog.end:,}; {backlog.lag:,} records waited to be applied at the worker's last report"
    if backlog.pressure:
        return Finding("backlog", "fail", f"{found}; events are refused: {backlog.pressure}", "give it more memory")
    return Finding("backlog", "ok", found)


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _persistence(role: str, info: dict[str, Any], client: SyncClient) -> Finding:
    if not info.get("aof_enabled"):
        lost = "an accepted event can be lost" if role == "log" else "a restart loses the state and replays the log"
        return Finding("persistence", "note", f"no append-only file: {lost}", "set appendonly yes")
    fsync = _setting(client, "appendfsync")
    if role == "log" and fsync != "always":
        found = f"appendfsync {fsync or 'unknown'}: a power cut can lose a second of accepted events"
        return Finding("persistence", "note", found, "set appendfsync always")
    return Finding("persistence", "ok", f"append-only file, appendfsync {fsync or 'unknown'}")


def _setting(client: SyncClient, name: str) -> str | None:
    """None where the server does not tell (some hosted ones do not)."""
    try:
        answer = client.run("CONFIG", "GET", name)
    except PeregrineError:
        return None
    return answer[1].decode() if answer else None


def _functions(client: SyncClient) -> Finding:
    try:
        client.run("FUNCTION", "STATS")
    except PeregrineError as exc:
        return Finding("functions", "fail", str(exc), "allow the commands FUNCTION and FCALL")
    return Finding("functions", "ok", "server-side functions are allowed")


def _clock(client: SyncClient) -> Finding:
    before = time.time()
    answer = client.run("TIME")
    skew = float(answer[0]) + float(answer[1]) / 1e6 - (before + time.time()) / 2
    if abs(skew) > _MOST_SKEW:
        return Finding("clock", "note", f"{skew:+.1f} s off this machine's", "synchronise the clocks (NTP)")
    return Finding("clock", "ok", f"{skew:+.3f} s off this machine's")
