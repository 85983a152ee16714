"""What is asked for and answered about a person's data: the off switch, erasure, export."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

NOTE = (
    "The user's record is gone; log, archive and files follow. What items have learned from the user's events is an "
    "aggregate and keeps its influence until the next rebuild."
)


class PersonalisedIn(BaseModel):
    """The off switch."""

    model_config = ConfigDict(
        extra="forbid", strict=True, title="Personalised", json_schema_extra={"examples": [{"personalised": False}]}
    )

    personalised: bool = Field(
        description="false: what was learned of the user is deleted, their events count for the popularity of items "
        "only, their lists are those of an unknown user. true: learning begins again from nothing; no change for a "
        "user who is personalised."
    )


class PersonalisedAnswer(BaseModel):
    """offset: the switch's place in the log; applied: whether it is in force (only with wait=applied)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"user_id": "u-17", "personalised": False, "offset": 4713, "applied": True}],
        }
    )

    user_id: str
    personalised: bool
    offset: int
    applied: bool | None = None


class ErasureAnswer(BaseModel):
    """An erasure. Who was erased is not part of it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "erasure_id": "0199aa11-7c0f-7b2e-9c55-6f1de0b6b0a4",
                    "status": "complete",
                    "offset": 4714,
                    "requested_at": "2026-01-31T12:00:00Z",
                    "completed_at": "2026-01-31T12:00:07Z",
                    "note": NOTE,
                }
            ]
        }
    )

    erasure_id: str
    status: Literal["pending", "complete"] = Field(
        description="complete: no key of the stores, no record of the log or the archive and none of their files holds "
        "what the user did before the marker."
    )
    offset: int = Field(description="The marker's place in the log: what the user does after it is kept.")
    requested_at: str
    completed_at: str | None
    note: str


class ErasureRequested(BaseModel):
    """applied: whether lists and users hide the user already (only with wait=applied)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "erasure_id": "0199aa11-7c0f-7b2e-9c55-6f1de0b6b0a4",
                    "status": "pending",
                    "offset": 4714,
                    "applied": True,
                    "note": NOTE,
                }
            ]
        }
    )

    erasure_id: str
    status: Literal["pending"]
    offset: int
    applied: bool | None = None
    note: str


class ExportLine(BaseModel):
    """One line of an export; its other members follow from `record`. An answer without an `end` was broken off."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {"record": "user", "user_id": "u-17", "personalised": True, "events": 1, "state": {"m": [0.1, -0.2]}},
                {"record": "neighbour", "item_id": "shoe-42", "type": "purchase", "at": "2026-01-31T12:00:00Z"},
                {"record": "pair", "item_id": "shoe-42", "count": 1, "first_at": "2026-01-31T12:00:00Z"},
                {"record": "event", "offset": 4711, "event_id": "o-1", "item_id": "shoe-42", "type": "purchase"},
                {"record": "end", "offset": 4711, "events": 1},
            ]
        },
    )

    record: Literal["user", "neighbour", "pair", "profile", "event", "switch", "end"]
