"""Where a session stands in its list: what it was shown, signed, so that the server keeps nothing.

The items are named by index and by a part of their id's hash, so a cursor that outlived its catalogue is found out.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.process.batch import stable_hash
from model.process.records import Int

MOST = 1_000
"""Items that one session is shown at most."""
LENGTH = 16_000
"""Characters of a cursor at most."""
_SERVED = np.dtype([("index", "<u4"), ("check", "<u4")])
_MARK = 16  # bytes of the signature

Served = NDArray[np.void]


class CursorRefused(ValueError):
    """What is wrong with a cursor."""


def nothing_served() -> Served:
    return np.empty(0, _SERVED)


def serve(served: Served, index: Int, item_ids: Sequence[str]) -> Served:
    """What a session has been shown with these items, too."""
    more = np.empty(len(index), _SERVED)
    more["index"], more["check"] = index, _checks(item_ids)
    return np.concatenate([served, more])


def known_items(served: Served, ids: Sequence[str]) -> Int:
    """Indexes of what was served; items that this replica has not met yet are none of its concern.

    ids: of the catalogue by index. Raises CursorRefused if it is not the catalogue that the cursor was made from.
    """
    there = served[served["index"] < len(ids)]
    index = there["index"].astype(np.int64)
    if not np.array_equal(_checks([ids[i] for i in index.tolist()]), there["check"]):
        raise CursorRefused("is of a catalogue that has been rebuilt since: begin again without it")
    return index


def sign(served: Served, owner: str, key: bytes) -> str:
    """The cursor of a session of `owner`, a user's id or "" for guests."""
    data = served.tobytes()
    return urlsafe_b64encode(_mark(data, owner, key) + data).decode().rstrip("=")


def read(cursor: str, owner: str, key: bytes) -> Served:
    """Raises CursorRefused for a cursor that was not made with `sign` for this owner."""
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
    except ValueError as exc:
        raise CursorRefused("is no cursor of this service") from exc
    mark, data = raw[:_MARK], raw[_MARK:]
    if not hmac.compare_digest(mark, _mark(data, owner, key)):
        raise CursorRefused("is no cursor of this service, or one of another user")
    return np.frombuffer(data, _SERVED)


def _mark(data: bytes, owner: str, key: bytes) -> bytes:
    subject = hashlib.blake2b(owner.encode(), digest_size=16).digest()
    return hmac.digest(key, subject + data, "sha256")[:_MARK]


def _checks(item_ids: Sequence[str]) -> NDArray[np.uint32]:
    return (stable_hash(item_ids) & np.uint64(0xFFFFFFFF)).astype(np.uint32)
