# ganrun with pinned versions, for the CPU or for NVIDIA GPUs. By default it runs the demo: a conditional GAN on digits, five minutes at most.
# Not built yet: no Docker was at hand when this file was written.
#
#   docker build -t ganrun .
#   docker run --rm -v "$PWD/outputs:/ganrun/outputs" ganrun
#   docker run --rm -v "$PWD/outputs:/ganrun/outputs" ganrun ganrun train data=ring model=gan
#   docker build --build-arg TORCH_INDEX=https://pypi.org/simple -t ganrun:cuda .    # then: docker run --gpus all ...
FROM python:3.12-slim
WORKDIR /src

# torch first, the largest layer that changes least; from the index of CPU builds, which are preferred to PyPI's for CUDA
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY constraints.txt ./
RUN pip install --no-cache-dir -c constraints.txt --extra-index-url "$TORCH_INDEX" torch

COPY pyproject.toml README.md LICENSE ./
COPY ganrun ganrun
COPY hydra_plugins hydra_plugins
COPY conf conf
RUN pip install --no-cache-dir -c constraints.txt .

# any user may write here, as with docker run --user
ENV GANRUN_CACHE=/cache
RUN mkdir -m 1777 /cache /ganrun /ganrun/outputs
WORKDIR /ganrun
CMD ["ganrun", "train", "model=cgan", "data=digits", "minutes=5"]
