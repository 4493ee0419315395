"""Training that survives: the loop, checkpoints, the folder of a run."""

from gcl.errors import Interrupted
from gcl.training.files import WriteError
from gcl.training.finished import Run, load_run
from gcl.training.fitting import fit, fit_resolved, resume
from gcl.training.loop import train
from gcl.training.pretrained import Pretrained, load_pretrained, pretrain
from gcl.training.recommend import Recommendation
from gcl.training.run import RunDirectory
from gcl.training.seeds import generators
from gcl.training.settings import TrainSettings
from gcl.training.watch import NonFiniteLoss

__all__ = [
    "Interrupted",
    "NonFiniteLoss",
    "Pretrained",
    "Recommendation",
    "Run",
    "RunDirectory",
    "TrainSettings",
    "WriteError",
    "fit",
    "fit_resolved",
    "generators",
    "load_pretrained",
    "load_run",
    "pretrain",
    "resume",
    "train",
]
