"""The profile path: a language model, or rules, describe active users; what is asked for never waits for it.

due         when a profile is due            feeding     who did something, and is due: into the queue
history     what a profiler is told          refreshing  one user: history, answer, check, vectors, store
prompt      question and shape of the answer working     the workers, and what goes wrong
untrusted   text from outside made harmless  breaker     pauses
hygiene     what may become a profile        reembedding facets for a model that reads another embedder's vectors
"""

from service.profile_path.breaker import Breaker
from service.profile_path.due import Rules
from service.profile_path.feeding import Feeder
from service.profile_path.reembedding import Reembedding
from service.profile_path.refreshing import Limits, Refreshing
from service.profile_path.working import Working

__all__ = ["Breaker", "Feeder", "Limits", "Reembedding", "Refreshing", "Rules", "Working"]
