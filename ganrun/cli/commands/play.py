"""ganrun play: sliders for a trained model, on a page in a browser on this machine."""

import logging
import webbrowser
from pathlib import Path

from omegaconf import DictConfig

from ganrun.cli.play.playground import Playground
from ganrun.cli.play.server import PlayServer
from ganrun.terminal import PlainConsole
from ganrun.training.inference import load_trained_model

log = logging.getLogger(__name__)


def run(cfg: DictConfig, folder: Path) -> None:
    """Serve the page until Ctrl-C or a signal. `folder` stays unused: nothing is written."""
    playground = Playground(load_trained_model(cfg), cfg.n, cfg.directions)
    server = PlayServer(playground, cfg.port)
    changes = ", ".join(playground.controls)
    lines = [f"change    {changes}", f"open      {server.url}   (Ctrl-C ends)"]
    PlainConsole(soft_wrap=True).print(*lines, sep="\n", highlight=False)
    if cfg.open and not webbrowser.open(server.url):
        log.warning("open=true: no browser was found. Open the address above yourself.")
    try:
        server.serve_forever(poll_interval=0.1)
    finally:
        server.server_close()
