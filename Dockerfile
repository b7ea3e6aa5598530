# Driver and executors of fraudlake: one Python, one Spark, one set of JARs.
#
#   make image                     CPU
#   make image ACCELERATOR=gpu     XGBoost and Horovod for CUDA: needs a base with the toolkit (nvcc)
#
# Spark's own image has another Python; this one takes Spark from the lock, like every machine.

ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ARG ACCELERATOR=cpu
RUN apt-get update \
 && apt-get install -y --no-install-recommends openjdk-17-jre-headless g++ make \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/fraudlake
# What is compiled and fetched depends on these alone: a change of code keeps this layer. The
# package is installed editable, so its folder is enough here.
COPY pyproject.toml README.md LICENSE ./
COPY requirements requirements
COPY scripts scripts
RUN mkdir -p lib/fraudlake conf jobs \
 && touch lib/fraudlake/__init__.py \
 && UV_NO_CACHE=1 XDG_CACHE_HOME=/tmp/cache ACCELERATOR=${ACCELERATOR} bash scripts/setup.sh \
 && rm -rf /tmp/cache build

FROM ${BASE}
# tini reaps the Python workers; procps is what Spark's scripts look for.
RUN apt-get update \
 && apt-get install -y --no-install-recommends openjdk-17-jre-headless libgomp1 procps tini \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --create-home --shell /usr/sbin/nologin fraudlake
COPY --from=build /opt/fraudlake /opt/fraudlake
COPY conf /opt/fraudlake/conf
COPY jobs /opt/fraudlake/jobs
COPY lib /opt/fraudlake/lib
ENV SPARK_HOME=/opt/fraudlake/.venv/lib/python3.11/site-packages/pyspark \
    PYSPARK_PYTHON=/opt/fraudlake/.venv/bin/python \
    PATH=/opt/fraudlake/.venv/bin:$PATH
USER 10001
WORKDIR /home/fraudlake
ENTRYPOINT ["/usr/bin/tini", "-g", "--", "/opt/fraudlake/scripts/entrypoint.sh"]
CMD ["fraudlake", "--help"]
