"""Records that cannot be applied: found by halving, recorded as skipped in the commit that passes them.

Nothing blocks the line, and whoever replays the log skips the same records.
"""

from __future__ import annotations

import structlog

from service.core.log_records import LogRecords
from service.errors import Fenced, PeregrineError
from service.event_path.writer import Writer

log = structlog.get_logger("peregrine.poison")


def apply_records(writer: Writer, records: LogRecords) -> None:
    """Applies `records` in log order. What fails alone, after it failed with others, is skipped.

    Raises StoreUnavailable and WriterConflict: those are not the records' fault. One of them is a state that fell back
    meanwhile, to before `records`: what lies in between must not be left out.
    """
    try:
        writer.step(records)
    except PeregrineError:
        raise
    except Exception as exc:
        log.warning("records_fail", first=int(records.offset[0]), records=len(records), error=type(exc).__name__)
        _apply_rest(writer, records, type(exc).__name__)


def _apply_rest(writer: Writer, records: LogRecords, error: str) -> None:
    """Applies what a failed step left, in halves."""
    writer.resume()
    if writer.position.offset < (before := int(records.offset[0]) - 1):
        raise Fenced(
            f"the state fell back to offset {writer.position.offset}, this writer left it at {before} or later"
        )
    rest = records.after(writer.position.offset)
    if len(rest) > 1:
        half = len(rest) // 2
        apply_records(writer, rest.part(0, half))
        apply_records(writer, rest.part(half, len(rest)))
    elif len(rest):
        offset = int(rest.offset[0])
        log.error("record_skipped", offset=offset, error=error)
        writer.skip(offset, error)
        writer.step(rest)
