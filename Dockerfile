# For a GPU node: docker build -t energy-at . && docker run --rm --gpus all --ipc=host -v "$PWD":/work energy-at fit -c ...
FROM python:3.12-bookworm AS wheel
WORKDIR /src
# with .git, which has the version
COPY . .
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /dist .

# the lowest torch that the package takes, with CUDA 12.8: GPUs from Turing to Blackwell, drivers of CUDA 12
FROM pytorch/pytorch:2.11.0-cuda12.8-cudnn9-runtime
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# the image's Python is the system's; its torch stays, or the build fails
RUN --mount=from=wheel,source=/dist,target=/dist \
    python3 -m pip freeze --all | grep -E '^(torch|torchvision)==' > /tmp/kept.txt \
    && python3 -m pip install --no-cache-dir --break-system-packages --constraint /tmp/kept.txt \
        "$(ls /dist/*.whl)[eval,diffusion]" \
    && rm /tmp/kept.txt \
    && useradd --uid 10001 --no-create-home energy \
    && mkdir /work \
    && chmod 1777 /work
USER 10001
# downloads stay in the mounted folder; USER is for who runs it under another id (--user)
ENV HOME=/work USER=energy
WORKDIR /work
ENTRYPOINT ["energy-at"]
CMD ["--help"]
