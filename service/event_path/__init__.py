"""The event path: `accept` turns events into log records, `Writer` turns log records into the next state.

accept     what the API appends                       catalogue  what the writer knows of all items
writer     log records into one commit                poison     around what cannot be applied
markers    what is about a user and no event          cache      records just read or written
lease      who may write a generation                 leading    whether a state may be written
rebuild    the state made again                       patience   with stores that are away
archived   the log with the archive behind it         keeping    log into archive, trimming
erasing    log, archive, files without the erased     pressure   when the log is to take no more
tidying    what is left of old states                 filling    the memory of a model that is to go live
canary     whether two replays agree                  rollout    from that memory to the active one
"""

from service.event_path.accept import accept, accept_items, accept_marker
from service.event_path.archived import ArchivedSource
from service.event_path.catalogue import Catalogue
from service.event_path.erasing import Erasing
from service.event_path.filling import Filling
from service.event_path.keeping import Keeping
from service.event_path.leading import check_log, check_state
from service.event_path.lease import Lease
from service.event_path.patience import Patience
from service.event_path.poison import apply_records
from service.event_path.pressure import Reporter
from service.event_path.rebuild import Rebuild
from service.event_path.rollout import Checks, Rollout, in_turn
from service.event_path.tidying import tidy
from service.event_path.writer import Writer

__all__ = [
    "ArchivedSource",
    "Catalogue",
    "Checks",
    "Erasing",
    "Filling",
    "Keeping",
    "Lease",
    "Patience",
    "Rebuild",
    "Reporter",
    "Rollout",
    "Writer",
    "accept",
    "accept_items",
    "accept_marker",
    "apply_records",
    "check_log",
    "check_state",
    "in_turn",
    "tidy",
]
