"""A request of the client as a command for a shell."""

from __future__ import annotations

import gzip
from shlex import quote
from urllib.parse import urlencode

from service.client.calls import Call


def curl(call: Call[object], url: str, key: bool) -> str:
    """The command that sends `call` to the service at `url`. key: with `$PEREGRINE_API_KEY`, never the key itself.

    What came from people stands in single quotes, so that it is nothing but text to the shell.
    """
    query = f"?{urlencode(call.params)}" if call.params else ""
    parts = ["curl", *(["-X", call.method] if call.method != "GET" else []), quote(f"{url}{call.path}{query}")]
    if key:
        parts += ["-H", '"Authorization: Bearer $PEREGRINE_API_KEY"']
    if call.content is not None:
        content = gzip.decompress(call.content) if "content-encoding" in call.headers else call.content
        parts += [
            "-H",
            quote(f"content-type: {call.headers['content-type']}"),
            "--data-binary",
            quote(content.decode()),
        ]
    return " ".join(parts)
