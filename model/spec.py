"""What a bundle promises about itself: widths, ticks, statistics and names, shared by training and serving.

`ModelSpec` is the only thing both halves read before they touch an array. It holds no weights and no clock.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

HOUR = 3_600
DAY = 86_400
FORMAT = 3
"""Version of the bundle format and of the packed rows; a change of either raises it."""

EVENT_TYPES = ("other", "view", "click", "cart", "purchase", "like", "dislike", "rating")
FACETS = ("crowd", "interest", "category", "brand")


class ModelSpec(BaseModel):
    """Dimensions, time steps and training statistics of one set of weights. All times are seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    preset: str = "peregrine"
    dim: int = Field(64, ge=4, le=512, description="width d of a user's memory and of an item's vector")
    time_dim: int = Field(32, ge=2, le=512, description="width of the time encoding")
    neighbours: int = Field(20, ge=1, le=200, description="n, recent items of a user that the graph embedding sees")
    popularity_dim: int = Field(8, ge=1, le=64, description="P, dimensions that popularity adds to the dot product")
    pair_dim: int = Field(8, ge=1, le=64, description="width of q_pair(h_u)")
    facet_dim: int = Field(512, ge=1, le=8192, description="width of a facet's text embedding")
    text_dim: int = Field(512, ge=1, le=8192, description="width of an item's text embedding")
    embedder: str | None = Field(None, description="id of the text embedder of the items; None: known by id alone")

    profiles: str | None = Field(
        None, description="source of the profiles it was trained with; None: with none, so that facets change nothing"
    )

    event_types: tuple[str, ...] = EVENT_TYPES
    event_weights: dict[str, float] = Field(
        default_factory=lambda: {"dislike": 0.0}, description="weight of a type in all counters; 1 if not named"
    )

    time_resolution: int = Field(1, ge=1, description="timestamps are floored to this")
    item_tick: int = Field(HOUR, ge=1, le=DAY, description="an item's memory moves once a tick")
    step_per_event: bool = Field(
        False, description="a user's memory moves once an event, not once a moment: an ablation"
    )
    pop_step: int = Field(HOUR, ge=1, le=DAY, description="popularity's decay is evaluated at floor(t / pop_step)")
    popularity_half_lives: tuple[int, ...] = (6 * HOUR, DAY, 3 * DAY, 7 * DAY, 30 * DAY, 180 * DAY)
    pair_half_lives: tuple[int, int, int] = (14 * DAY, 60 * DAY, 180 * DAY)
    max_pairs: int = Field(4_096, ge=1, le=65_535, description="pairs kept of a user; the least recent go first")

    mean_log_gap: float = Field(10.0, description="training mean of log1p(gap between a user's moments)")
    sigma_log_gap: float = Field(2.0, gt=0, description="its standard deviation")
    gap_prior: float = Field(5.0, gt=0, description="gaps that the training mean counts for in a user's own mean")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.dim % 4:
            raise ValueError(f"dim {self.dim} must be a multiple of 4 (attention heads, the static quarter of an item)")
        if self.format != FORMAT:
            raise ValueError(f"format {self.format} is not the format {FORMAT} this version reads")
        if "other" not in self.event_types:
            raise ValueError("event_types must hold 'other', the type of events with an unknown one")
        if unknown := set(self.event_weights) - set(self.event_types):
            raise ValueError(f"event_weights names types that event_types lacks: {sorted(unknown)}")
        return self

    @property
    def static_dim(self) -> int:
        """Width of x_i, what stands fast of an item's vector v_i = [x_i || c_i], which has `dim`: a quarter of it."""
        return self.dim // 4

    @property
    def item_dim(self) -> int:
        """Width of an item's memory c_i, and of its code."""
        return self.dim - self.static_dim

    @property
    def event_dim(self) -> int:
        """Width of e: one-hot event type (its embedding is learned in W_x) and the value."""
        return len(self.event_types) + 1

    @property
    def message_dim(self) -> int:
        """Width of a message, [x_i || code_i || e] to a user, [m_u || e] to an item: the same for both sides."""
        return self.dim + self.event_dim

    def type_code(self, name: str | None) -> int:
        """Code of an event type; types the model has not seen are `other`."""
        return self.event_types.index(name if name in self.event_types else "other")

    def weights(self) -> list[float]:
        """Counter weight of each event type, in the order of `event_types`."""
        return [self.event_weights.get(name, 1.0) for name in self.event_types]

    def tick_of(self, timestamp: int) -> int:
        return timestamp // self.item_tick

    def save(self, path: Path) -> None:
        path.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        return cls.model_validate_json(path.read_bytes())
