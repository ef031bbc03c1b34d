# One image for every function, the fleet and the command line. The container's command says which one runs.
#   docker build -t shoebox .                        any function: docker run shoebox api.app.handler
#   docker build -t shoebox-load --target load .     Locust with load_tests
# Builds need BuildKit. If a registry has its own certificate: --secret id=ca,src=CA-BUNDLE; no layer keeps it.
# BASE: Debian 13 (or an image made from it) with Python 3.13 as `python3`. PILLOW=pillow for a processor without AVX2.
ARG BASE=python:3.13-slim

# --- compile and install; only /opt/venv is kept -----------------------------------------------------------------------
FROM ${BASE} AS build
# python3-dev only for Debian's Python: other images have the headers already.
RUN apt-get update -qq \
 && include=$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))') \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        gcc libc6-dev libjpeg-dev zlib1g-dev libwebp-dev libtiff-dev liblcms2-dev \
        $([ -e "$include/Python.h" ] || echo python3-dev python3-venv) \
 && rm -rf /var/lib/apt/lists/*
COPY requirements/uv.txt /requirements/
RUN --mount=type=secret,id=ca,target=/run/ca.crt \
    if [ -s /run/ca.crt ]; then export PIP_CERT=/run/ca.crt; fi; \
    python3 -m venv /opt/uv \
 && /opt/uv/bin/pip install -q --disable-pip-version-check --no-cache-dir --require-hashes -r /requirements/uv.txt
ENV UV_LINK_MODE=copy UV_NO_CONFIG=1 UV_PYTHON=/opt/venv/bin/python

# Pillow first, in a layer of its own: compiling pillow-simd takes half a minute, and only a change of its requirement
# repeats it. --no-cache, because uv's cache of wheels ignores compiler flags. CPATH: Debian's place for tiff.h.
ARG PILLOW=pillow-simd
COPY requirements/pillow.txt requirements/pillow-simd.txt /requirements/
RUN --mount=type=secret,id=ca,target=/run/ca.crt \
    if [ -s /run/ca.crt ]; then export SSL_CERT_FILE=/run/ca.crt; fi; \
    if [ "$PILLOW" = pillow-simd ]; then export CC="cc -mavx2" CPATH="/usr/include/$(cc -print-multiarch)"; fi; \
    python3 -m venv --without-pip /opt/venv \
 && /opt/uv/bin/uv pip install -q --no-cache --compile-bytecode --no-deps --require-hashes -r "/requirements/$PILLOW.txt"

# Keep only those of botocore's 430 services that Shoebox, or finding credentials, needs. Remove NumPy's tests.
COPY requirements/image.txt /requirements/
RUN --mount=type=secret,id=ca,target=/run/ca.crt --mount=type=cache,id=shoebox-uv,target=/root/.cache/uv \
    if [ -s /run/ca.crt ]; then export SSL_CERT_FILE=/run/ca.crt; fi; \
    /opt/uv/bin/uv pip install -q --compile-bytecode --no-deps --require-hashes -r /requirements/image.txt \
 && cd /opt/venv/lib/python3*/site-packages \
 && find botocore/data -mindepth 1 -maxdepth 1 -type d \
        ! -name dynamodb ! -name iam ! -name s3 ! -name signin ! -name sns ! -name sqs ! -name sso ! -name sso-oidc ! -name sts \
        -exec rm -r {} + \
 && find numpy -type d -name tests -prune -exec rm -r {} +

# --- our code, readable by every user, with byte code ------------------------------------------------------------------
# A function needs api, shoebox, shoebox_client and workers. The other packages, 3 of the image's 313 MB, are for the
# containers that provision, run the fleet and host functions. A second image would save too little.
FROM ${BASE} AS code
WORKDIR /var/task
COPY stack.yaml ./
COPY api api
COPY console console
COPY emulator emulator
COPY fleet fleet
COPY shoebox shoebox
COPY shoebox_cli shoebox_cli
COPY shoebox_client shoebox_client
COPY standalone standalone
COPY workers workers
RUN python3 -m compileall -q . && chmod -R u=rwX,go=rX .

FROM ${BASE} AS load-code
WORKDIR /var/task
COPY console console
COPY fleet fleet
COPY load_tests load_tests
COPY shoebox shoebox
COPY shoebox_client shoebox_client
RUN python3 -m compileall -q . && chmod -R u=rwX,go=rX .

# --- the base of both images: Python, shared libraries, packages, a user -----------------------------------------------
FROM ${BASE} AS runtime
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        libjpeg62-turbo zlib1g libwebp7 libwebpmux3 libwebpdemux2 libtiff6 liblcms2-2 \
 && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* \
        /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/ensurepip \
        /usr/lib/python3*/ensurepip /usr/share/python-wheels \
 && useradd --uid 1000 --user-group --home-dir /tmp --no-create-home --shell /usr/sbin/nologin shoebox
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH LANG=C.UTF-8 HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/task
RUN python -c "import pillow_heif, simplejpeg; from pillow_avif import _avif; from PIL import features; \
    assert _avif.decoder_codec_available('dav1d'), _avif.codec_versions(); \
    assert all(map(features.check, ('jpg', 'zlib', 'webp', 'libtiff', 'littlecms2'))), features.get_supported()"

# --- Locust ------------------------------------------------------------------------------------------------------------
FROM runtime AS load
COPY requirements/load.txt /requirements/
RUN --mount=type=secret,id=ca,target=/run/ca.crt --mount=type=cache,id=shoebox-uv,target=/root/.cache/uv \
    --mount=type=bind,from=build,source=/opt/uv,target=/opt/uv \
    if [ -s /run/ca.crt ]; then export SSL_CERT_FILE=/run/ca.crt; fi; \
    UV_LINK_MODE=copy /opt/uv/bin/uv pip install -q --no-config -p /opt/venv --compile-bytecode --no-deps --require-hashes \
        -r /requirements/load.txt
COPY --from=load-code /var/task /var/task
RUN install -d -m 700 -o shoebox -g shoebox /var/lib/results
ENV PYTHONPATH=/var/task
USER shoebox
LABEL org.opencontainers.image.title="Shoebox load" \
      org.opencontainers.image.description="Locust with Shoebox's load tests." \
      org.opencontainers.image.licenses="MIT"
EXPOSE 8089
ENTRYPOINT ["/opt/venv/bin/locust", "-f", "/var/task/load_tests/locustfile.py"]

# --- Shoebox -----------------------------------------------------------------------------------------------------------
FROM runtime AS shoebox
COPY --chmod=755 compose/healthcheck /usr/local/bin/healthcheck
COPY --from=code /var/task /var/task
RUN install -d -m 700 -o shoebox -g shoebox /var/lib/shoebox
USER shoebox
ENV LAMBDA_TASK_ROOT=/var/task
ARG REVISION=
LABEL org.opencontainers.image.title="Shoebox" \
      org.opencontainers.image.description="Image storage for photo shops: every function, the fleet, the command line." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="${REVISION}"
EXPOSE 9001
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 CMD ["/usr/local/bin/healthcheck"]
# As in Lambda's container images the command is the handler: docker run shoebox workers.ingest.handler
ENTRYPOINT ["/opt/venv/bin/python", "-m", "workers.runtime"]
