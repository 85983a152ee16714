"""Everything the service raises on purpose. Adapters translate foreign errors into these; the API maps them once.

PeregrineError
|- ConfigurationError    a setting or a folder is wrong; says which, and what to do
|  |- BundleError        a bundle that must not be served: hash, spec or tensors are off
|  |- ArchiveMismatch    the archive is another log's, or the log lacks what the archive has
|- StoreUnavailable      Redis/Valkey or the archive does not answer, or not in time
|  |- StoreFull          it has reached its memory limit: it still reads, and writes nothing
|- BackPressure          the log takes no more for now: too much waits to be applied, or a store is nearly full
|- LogTrimmed            records that are needed are no longer in the log
|- ArchiveDamaged        a file of the archive is missing, or is not what was written
|- NoRoom                a second state does not fit into the memory beside the one that serves
|- SnapshotFailed        the state's server made no durable copy of the state
|- GraphFailed           a graph of the bundle is missing, or failed
|- ProfilerError         no profile was made
|  |- EndpointUnavailable  a language model or an embedder does not answer, not in time, or is busy
|  |- EndpointRefused    it wants another key, or money: somebody must look
|  |- BudgetSpent        the day's tokens are spent
|  |- AnswerRejected     what came back for this user cannot be used
|- WriterConflict        this worker must stop
|  |- LeaseHeld          another worker leads
|  |- Fenced             a newer epoch has written
|  |- StateMismatch      the state does not belong to this log, or is ahead of it
|- RequestError          the caller's mistake
   |- MomentPassed       `at` lies before the user's last event
   |- UnknownModel       no such version
   |- RolloutRefused     a model cannot be rolled out, or switched to, as things stand
"""

from __future__ import annotations


class PeregrineError(Exception):
    """Base of all."""


class ConfigurationError(PeregrineError):
    """A setting or a folder is wrong."""


class BundleError(ConfigurationError):
    """A bundle that must not be served."""


class ArchiveMismatch(ConfigurationError):
    """The archive is another log's, or the log lacks what the archive has."""


class StoreUnavailable(PeregrineError):
    """Redis/Valkey or the archive does not answer, or not in time."""


class StoreFull(StoreUnavailable):
    """Redis/Valkey has reached its memory limit: it still reads, and writes nothing."""


class BackPressure(PeregrineError):
    """The log takes no more for now, and took nothing of what was refused.

    lag: records that wait to be applied; limit: how many may; pressure: which store is nearly full, "" if none is.
    """

    def __init__(self, lag: int, limit: int, pressure: str = "") -> None:
        self.lag = lag
        self.limit = limit
        self.pressure = pressure
        super().__init__(pressure or f"{lag:,} records wait to be applied, above the limit of {limit:,}")


class LogTrimmed(PeregrineError):
    """Records that are needed are no longer in the log: the archive has them."""


class ArchiveDamaged(PeregrineError):
    """A file of the archive is missing, or is not what was written."""


class NoRoom(PeregrineError):
    """A second state does not fit into the memory beside the one that serves."""


class SnapshotFailed(PeregrineError):
    """The state's server made no durable copy of the state: it does not allow it, or it did not end well."""


class GraphFailed(PeregrineError):
    """A graph of the bundle is missing, or failed; `graph` names it."""

    def __init__(self, graph: str, reason: str) -> None:
        super().__init__(f"{graph}.onnx: {reason}")
        self.graph = graph


class ProfilerError(PeregrineError):
    """No profile was made."""


class EndpointUnavailable(ProfilerError):
    """A language model or an embedder does not answer, not in time, or is busy.

    retry_after: seconds that it asks for.
    """

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class EndpointRefused(ProfilerError):
    """It wants another key, or money: somebody must look."""


class BudgetSpent(ProfilerError):
    """The day's tokens are spent."""


class AnswerRejected(ProfilerError):
    """What came back for this user cannot be used."""


class WriterConflict(PeregrineError):
    """This worker must stop."""


class LeaseHeld(WriterConflict):
    """Another worker leads."""


class Fenced(WriterConflict):
    """A newer epoch has written, or the state is not where this writer left it."""


class StateMismatch(WriterConflict):
    """The state does not belong to this log, or is ahead of it."""


class RequestError(PeregrineError):
    """The caller's mistake."""


class MomentPassed(RequestError):
    """`at` lies before the user's last event: memory has moved past it."""


class UnknownModel(RequestError):
    """The registry, or what is live, has no such version."""


class RolloutRefused(RequestError):
    """A model cannot be rolled out, switched to or given up as things stand."""
