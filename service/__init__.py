"""The serving half of Peregrine: events in, lists out. Imports no torch."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime reports home by default; it must read this first
