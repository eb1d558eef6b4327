# Two images: `web` is the front end without torch, `worker` has the engine.
#
#   docker build --target web .
#   docker build --target worker .
#
# The worker gets the torch build that pip finds, on Linux usually the one with CUDA. For the smaller
# CPU build, name an index that has it: --build-arg PIP_EXTRA_INDEX_URL=...

FROM python:3.12-slim AS base
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN useradd --create-home --uid 10001 turnstream \
    && install -d -o turnstream -g turnstream /home/turnstream/.cache/huggingface /home/turnstream/files
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
# `turnstream` has symlinks to the folders below, so both are needed.
COPY turnstream turnstream
COPY cli cli
COPY client client
COPY clients clients
COPY prompts prompts
COPY turns turns
COPY workers workers
COPY ws_server ws_server
ENTRYPOINT ["turnstream"]

FROM base AS worker
ARG PIP_EXTRA_INDEX_URL
RUN pip install -c constraints.txt ".[worker]" && rm -rf /src/*
USER turnstream
WORKDIR /home/turnstream
CMD ["worker"]

FROM base AS web
RUN pip install -c constraints.txt ".[uvloop]" && rm -rf /src/*
USER turnstream
WORKDIR /home/turnstream
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=3s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["serve"]
