FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY schemas schemas
COPY processor processor
RUN python -m venv /opt/commproc \
    && /opt/commproc/bin/pip install --no-cache-dir --disable-pip-version-check -c constraints.txt .

FROM python:3.11-slim
RUN useradd --system --create-home --uid 10001 commproc
COPY --from=build /opt/commproc /opt/commproc
ENV PATH=/opt/commproc/bin:$PATH PYTHONUNBUFFERED=1
USER commproc
WORKDIR /home/commproc
# SIGTERM is a clean stop; allow for the calls in flight (`docker stop --time 60`).
STOPSIGNAL SIGTERM
ENTRYPOINT ["commproc"]
CMD ["--help"]
