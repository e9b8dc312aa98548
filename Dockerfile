# ganrun with pinned versions, for the CPU. By default it runs the demo: a conditional GAN on digits, five minutes at most.
# Not built yet: no Docker was at hand when this file was written.
#
#   docker build -t ganrun .
#   docker run --rm -v "$PWD/outputs:/ganrun/outputs" ganrun
#   docker run --rm -v "$PWD/outputs:/ganrun/outputs" ganrun ganrun train data=ring model=gan
FROM python:3.12-slim
WORKDIR /src

# torch first and from the index of CPU builds: the largest layer changes least
COPY constraints.txt ./
RUN pip install --no-cache-dir -c constraints.txt --extra-index-url https://download.pytorch.org/whl/cpu torch

COPY pyproject.toml README.md LICENSE ./
COPY ganrun ganrun
COPY hydra_plugins hydra_plugins
COPY conf conf
RUN pip install --no-cache-dir -c constraints.txt .

WORKDIR /ganrun
CMD ["ganrun", "train", "model=cgan", "data=digits", "minutes=5"]
