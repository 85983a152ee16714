"""The event path: `accept` turns events into log records, `Writer` turns log records into the next state.

accept     what the API appends                       catalogue  what the writer knows of all items
writer     log records into one commit                poison     around what cannot be applied
markers    what is about a user and no event          leading    whether a state may be written
archived   the log with the archive behind it         keeping    log into archive, trimming
erasing    log, archive, files without the erased     pressure   when the log is to take no more
"""

from service.event_path.accept import accept, accept_items, accept_marker
from service.event_path.archived import ArchivedSource
from service.event_path.erasing import Erasing
from service.event_path.keeping import Keeping
from service.event_path.leading import check_state
from service.event_path.poison import apply_records
from service.event_path.pressure import Reporter
from service.event_path.writer import Writer

__all__ = [
    "ArchivedSource",
    "Erasing",
    "Keeping",
    "Reporter",
    "Writer",
    "accept",
    "accept_items",
    "accept_marker",
    "apply_records",
    "check_state",
]
