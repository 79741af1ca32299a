# The base by its tag. For a build that can be repeated give the digest that you looked at as well:
#   docker build --build-arg PYTHON=python:3.13-slim-trixie@sha256:... .
ARG PYTHON=python:3.13-slim-trixie

FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY .ci/build.lock .ci/image.lock .ci/
# The environment that runs has no pip in it.
RUN python -m venv /build \
 && python -m venv --without-pip /opt/iamaudit \
 && /build/bin/pip install --require-hashes -r .ci/build.lock \
 && /build/bin/pip --python /opt/iamaudit/bin/python install --require-hashes -r .ci/image.lock
COPY pyproject.toml README.md LICENSE ./
COPY auditor auditor
COPY templates templates
RUN /build/bin/python -m hatchling build -t wheel -d /dist \
 && /build/bin/pip --python /opt/iamaudit/bin/python install --no-index --no-deps /dist/*.whl \
 && /build/bin/pip --python /opt/iamaudit/bin/python check

FROM ${PYTHON}
LABEL org.opencontainers.image.title="iamaudit" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/iamaudit /opt/iamaudit
# Nobody may write to the home, which holds what is trusted (~/.aws, ~/.config/iamaudit), mounted read-only.
RUN install -d -m 0755 /home/iamaudit \
 && install -d -m 0700 -o 65532 -g 65532 /data
ENV PATH=/opt/iamaudit/bin:$PATH \
    HOME=/home/iamaudit \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# A number, so that Kubernetes can tell that it is not root.
USER 65532:65532
# The store and the reports (/data/reports) are all that is ever written.
WORKDIR /data
VOLUME /data
ENTRYPOINT ["iamaudit"]
CMD ["--help"]
