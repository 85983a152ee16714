"""A FastAPI application that does nothing but answer: what the service's own work is measured against."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI


def application(answer: dict[str, Any]) -> FastAPI:
    """Answers every GET of a list with `answer`, as FastAPI does it unasked."""
    app = FastAPI()

    @app.get("/v1/users/{user_id}/recommendations")
    async def recommendations(user_id: str, k: int = 20) -> dict[str, Any]:
        del user_id, k  # read and checked, like the service's
        return answer

    return app


if __name__ == "__main__":
    _answer, _port = json.loads(Path(sys.argv[1]).read_bytes()), int(sys.argv[2])
    uvicorn.run(application(_answer), port=_port, loop="uvloop", http="httptools", access_log=False, log_level="error")
