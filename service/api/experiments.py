"""Experiments: several live models at once, users split between them, and what came of it."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import replace
from typing import Annotated, Any, Self

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from service.api.bodies import read_model
from service.api.models import rolling_of
from service.api.openapi import one_body
from service.api.problems import FieldError, Problem
from service.api.services import ApiServices, services_of
from service.core.experiments import DAY, Experiment, Variant, report
from service.core.times import format_time
from service.ports import Experiments
from service.trials import DEFAULT

router = APIRouter(tags=["experiments"])

NAME = r"^[A-Za-z0-9_.-]{1,64}$"
_ERRORS: dict[int | str, dict[str, Any]] = {404: {}, 409: {}, 413: {}, 415: {}, 422: {}, 503: {}}
_Id = Annotated[str, Path(min_length=1, max_length=64)]
_Winner = Annotated[
    str | None, Query(max_length=64, description="Variant whose model becomes the active one; default: none.")
]
_EXAMPLE: dict[str, Any] = {
    "id": "new-weights",
    "variants": [
        {"name": "old", "version": "2026-01-01", "share": 0.5},
        {"name": "new", "version": "2026-02-01", "share": 0.5},
    ],
    "looks": 14,
    "clicks": ["click"],
    "conversions": ["purchase"],
}
Types = Annotated[list[str], Field(min_length=1, max_length=20)]


class VariantIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=64, description="Letters, digits and _ . -; not `default`.")
    version: str = Field(max_length=64, description="Of a live model that is ready.")
    share: float = Field(gt=0, le=1, description="Of the users.")


class ExperimentIn(BaseModel):
    """The first variant is what the others are compared with."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    id: str = Field(max_length=64, description="Letters, digits and _ . -; users are drawn by it.")
    variants: list[VariantIn] = Field(min_length=2, max_length=10)
    looks: int = Field(14, ge=1, le=90, description="Days it is planned for; p-values hold at each day's end.")
    clicks: Types = Field(["click"], description="Types of events that count as clicks.")
    conversions: Types = Field(["purchase"], description="Types of events that count as conversions.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [variant.name for variant in self.variants]
        for name in (self.id, *names):
            if not re.fullmatch(NAME, name) or name == DEFAULT:
                raise ValueError(f"{name!r} is no name: letters, digits and _ . -, and not `default`")
        if len(set(names)) < len(names):
            raise ValueError("two variants have the same name")
        if abs(sum(variant.share for variant in self.variants) - 1) > 1e-6:
            raise ValueError("the shares of the variants must add up to 1")
        return self

    def experiment(self) -> Experiment:
        variants = tuple(Variant(one.name, one.version, one.share) for one in self.variants)
        types = (tuple(self.clicks), tuple(self.conversions))
        return Experiment(self.id, variants, self.looks, *types, started=int(time.time()))


class ExperimentAnswer(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={"examples": [_EXAMPLE | {"started": "2026-02-01T00:00:00Z", "ended": None}]}
    )

    id: str
    variants: list[VariantIn]
    looks: int
    clicks: list[str]
    conversions: list[str]
    started: str
    ended: str | None


class ExperimentsAnswer(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"experiments": []}]})

    experiments: list[ExperimentAnswer]


class ReportAnswer(BaseModel):
    """variants: by name; what is compared stands with each but the first. sample_ratio: whether users came in the
    shares that were asked for; a suspicious one spoils every other figure."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "new-weights",
                    "looks": {"done": 3, "planned": 14},
                    "variants": {"old": {"users": 900}, "new": {"users": 911, "clicks_difference": {"p": 0.21}}},
                    "sample_ratio": {"p": 0.8, "suspicious": False},
                }
            ]
        }
    )

    id: str
    looks: dict[str, int]
    variants: dict[str, dict[str, Any]]
    sample_ratio: dict[str, Any]


@router.get("/v1/experiments", summary="All experiments", responses={404: {}, 422: {}, 503: {}})
async def get_experiments(request: Request) -> ExperimentsAnswer:
    """Oldest first; the one without an end runs."""
    return ExperimentsAnswer(experiments=[_shown(one) for one in await _store(services_of(request)).all()])


@router.post(
    "/v1/experiments",
    status_code=201,
    summary="Begin an experiment",
    response_model=ExperimentAnswer,
    responses=_ERRORS,
    openapi_extra=one_body(ExperimentIn),
)
async def post_experiment(request: Request) -> Response:
    """One runs at a time. Users are split by a stable hash; a request may ask for a `variant` by name instead."""
    services = services_of(request)
    experiment = (await read_model(request, services.settings.max_body, ExperimentIn)).experiment()
    store = _store(services)
    others = await store.all()
    if any(one.id == experiment.id for one in others):
        raise Problem(409, f"there was an experiment {experiment.id!r}: give this one another id")
    if running := [one.id for one in others if one.ended is None]:
        raise Problem(409, f"experiment {running[0]!r} runs: end it first")
    live = await asyncio.to_thread(services.models.live)
    ready = {model.version for model in live.models if model.stage == "ready"}
    if missing := [one.version for one in experiment.variants if one.version not in ready]:
        raise Problem(409, f"version {missing[0]!r} is not live and ready: roll it out with switch false first")
    await store.put(experiment)
    await services.trials.look(store)
    return Response(_shown(experiment).model_dump_json(), 201, media_type="application/json")


@router.get("/v1/experiments/{experiment_id}/report", summary="What came of it", responses={404: {}, 422: {}, 503: {}})
async def get_report(request: Request, experiment_id: _Id) -> ReportAnswer:
    """Figures with intervals, differences with p-values that hold although one looks daily, and guardrails."""
    services = services_of(request)
    experiment = await _find(services, experiment_id)
    end = experiment.ended or int(time.time())
    today = experiment.day_of(end)
    counted = await _store(services).counted(experiment, today + 1)
    over = today if experiment.ended is None else (end - experiment.started + DAY - 1) // DAY
    found = report(experiment, counted, over, len(services.replica.index.ids))
    return ReportAnswer(id=experiment.id, **found)


@router.delete("/v1/experiments/{experiment_id}", summary="End an experiment", responses=_ERRORS)
async def end_experiment(request: Request, experiment_id: _Id, winner: _Winner = None) -> ExperimentAnswer:
    """Everybody gets the active model again, which is the winner's from then on, if one is named."""
    services = services_of(request)
    experiment = await _find(services, experiment_id)
    if winner is not None:
        if (variant := experiment.variant(winner)) is None:
            message = f"no variant {winner!r} is in this experiment"
            raise Problem(422, f"winner: {message}", [FieldError(field="winner", value=winner, message=message)])
        await asyncio.to_thread(rolling_of(services).activate, variant.version)
    if experiment.ended is None:
        experiment = replace(experiment, ended=int(time.time()))
        await _store(services).put(experiment)
        await services.trials.look(_store(services))
    return _shown(experiment)


async def _find(services: ApiServices, experiment_id: str) -> Experiment:
    found = next((one for one in await _store(services).all() if one.id == experiment_id), None)
    if found is None:
        raise Problem(404, f"there is no experiment {experiment_id!r}")
    return found


def _store(services: ApiServices) -> Experiments:
    if services.trials.store is None:
        raise Problem(404, "this service keeps no experiments")
    return services.trials.store


def _shown(experiment: Experiment) -> ExperimentAnswer:
    return ExperimentAnswer(
        id=experiment.id,
        variants=[VariantIn(name=one.name, version=one.version, share=one.share) for one in experiment.variants],
        looks=experiment.looks,
        clicks=list(experiment.clicks),
        conversions=list(experiment.conversions),
        started=format_time(experiment.started),
        ended=None if experiment.ended is None else format_time(experiment.ended),
    )
