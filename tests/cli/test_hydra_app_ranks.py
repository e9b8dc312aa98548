"""Lightning starts the ranks of each job of a sweep."""

import subprocess
import sys
from pathlib import Path

import pytest

from ganrun.cli import main

PROGRAM = """
import sys
from pathlib import Path
from types import ModuleType

sys.path.insert(0, "{source}")
from ganrun import files
from ganrun.cli import main as cli


def run(cfg, folder):
    import pytorch_lightning as pl
    import torch
    from pytorch_lightning.demos.boring_classes import BoringModel

    torch.set_num_threads(1)
    off = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    trainer = pl.Trainer(accelerator="cpu", devices=2, strategy="ddp", max_steps=1, limit_val_batches=0, **off)
    trainer.fit(BoringModel())
    Path(f"{{folder.name}}.{{trainer.global_rank}}").write_text(f"{{cfg.seed}} {{folder}}")


if __name__ == "__main__":
    files.conf_dir = lambda: Path("{conf}")
    command = ModuleType("ganrun.cli.commands.train")
    command.run = run
    sys.modules[command.__name__] = command
    sys.exit(cli.main())
"""


@pytest.mark.slow
def test_two_ranks_run_each_job_of_a_sweep_in_its_folder(cli):
    source = Path(main.__file__).parents[2]
    (cli.folder / "program.py").write_text(PROGRAM.format(source=source, conf=cli.conf))
    args = ["train", "-m", "seed=1,2", "data=ring"]
    result = subprocess.run([sys.executable, "program.py", *args], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    results = {path.name: path.read_text().split() for path in cli.folder.glob("*.[01]")}
    assert {name: seed for name, (seed, _) in results.items()} == {
        "0-seed-1.0": "1",
        "0-seed-1.1": "1",
        "1-seed-2.0": "2",
        "1-seed-2.1": "2",
    }
    assert results["0-seed-1.0"] == results["0-seed-1.1"]
    assert results["1-seed-2.0"] == results["1-seed-2.1"]
