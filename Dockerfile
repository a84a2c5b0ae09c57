# The load generator's image, for clusters that cannot install from a package index at start:
#   docker build --tag REGISTRY/optimal-tp-loadgen:1 . && docker push REGISTRY/optimal-tp-loadgen:1
# and `loadtest: { image: REGISTRY/optimal-tp-loadgen:1 }` in the stack file. It has the libraries only: the code is
# mounted from the cluster, so that it is always the code of the `pulumi up`.
# Same Python as optimal_tp/facts/versions.py.
FROM public.ecr.aws/docker/library/python:3.11.14-slim-bookworm
COPY requirements/loadgen.txt /tmp/requirements.txt
RUN python -m pip install --no-cache-dir --require-hashes --only-binary=:all: --requirement /tmp/requirements.txt \
    && rm /tmp/requirements.txt
USER 10001:10001
