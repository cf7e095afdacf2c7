# tandem in an image. Not built by its authors: see docs/install.md.
# docker build --tag tandem .                               with CUDA, and works without a GPU
# docker build --tag tandem:cpu --build-arg DEVICE=cpu .    smaller, without CUDA
FROM python:3.11-slim

ARG DEVICE=cuda
ENV PYTHONUNBUFFERED=1 UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_SYSTEM_PYTHON=1

WORKDIR /opt/tandem
COPY requirements.lock pyproject.toml README.md LICENSE ./
# the line of the lock that pip installs uv from, as in the Makefile
RUN awk '/^uv==/ { found = 1 } found { print } found && !/\\$/ { exit }' requirements.lock > uv.txt \
    && pip install --no-cache-dir --require-hashes -r uv.txt
# cuda: the locked files. cpu: torch and torchvision of the same versions from PyTorch's CPU builds, the rest resolved
# anew within pyproject.toml's bounds, since the lock holds hashes of the CUDA builds.
RUN if [ "$DEVICE" = cuda ]; then \
        uv pip install --no-cache --require-hashes -r requirements.lock; \
    else \
        versions=$(awk '/^(torch|torchvision)==/ { print $1 }' requirements.lock) \
        && uv pip install --no-cache --torch-backend cpu $versions; \
    fi
COPY conf conf
COPY src src
RUN if [ "$DEVICE" = cuda ]; then uv pip install --no-cache --no-deps --no-build-isolation .; \
    else uv pip install --no-cache --torch-backend cpu '.[study,search,export,explain]'; fi

RUN useradd --create-home --uid 1000 tandem
USER tandem
WORKDIR /home/tandem
STOPSIGNAL SIGTERM
CMD ["tandem-train", "--help"]
