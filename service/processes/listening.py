"""A socket to listen on, or a clear word why there is none."""

from __future__ import annotations

import socket

from service.errors import ConfigurationError
from service.settings import PREFIX

_BACKLOG = 2_048


def listen(host: str, port: int, of: str = "", port_of: str = "") -> socket.socket:
    """A listening socket. Raises ConfigurationError, which names the settings, if there can be none. of: what their
    names begin with; port_of: the port's, where it is another."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as exc:
        raise ConfigurationError(f"{PREFIX}{of}HOST={host} is no address of this machine: {exc}") from exc
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as exc:
        listener.close()
        raise ConfigurationError(
            f"cannot listen on {PREFIX}{of}HOST={host}, {PREFIX}{port_of or of}PORT={port}: {exc.strerror}"
        ) from exc
    return listener
