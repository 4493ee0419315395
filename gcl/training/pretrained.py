"""From a method and graphs to a finished pre-training, its probe, and its encoder."""

import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import safetensors.torch
import torch
from torch import Tensor, nn

from gcl import build
from gcl.data.graphs import Graphs, load_graphs
from gcl.errors import InputError
from gcl.evaluation.probes import Probe, ProbeSettings, fitting, probe
from gcl.signatures import settings
from gcl.training import checkpoint
from gcl.training.board import POINTS
from gcl.training.device import choose, peak_mb
from gcl.training.files import replacing
from gcl.training.locks import locked
from gcl.training.pretrain_config import Pretraining, PretrainSettings, resolve, split_arguments
from gcl.training.pretraining import Pretrainer, embed
from gcl.training.progress import reporter
from gcl.training.run import RunDirectory, new_folder
from gcl.training.seeds import initialising

if TYPE_CHECKING:
    from torch_geometric.data import Data

    Source: TypeAlias = str | Data | list[Data]

ENCODER = "encoder.safetensors"
"""The weights of the encoder alone, under the names of its own ``state_dict``."""


class Pretrained:
    """A pre-training in a folder.

    ``path``; ``config``; ``result`` as in ``result.json``; ``graphs``; ``method`` with its weights, on the CPU. Graphs
    given in memory are not kept in the folder: give them again.
    """

    def __init__(self, path: str | Path, graphs: "Source | None" = None) -> None:
        self.directory = RunDirectory(path)
        self.path, self._source = self.directory.path, graphs
        self.config = read_config(self.directory)
        self.environment = self.directory.read_json(self.directory.environment)
        finished = self.directory.finished
        self.result: dict[str, Any] = self.directory.read_json(self.directory.result) if finished else {}

    @cached_property
    def graphs(self) -> Graphs:
        """The data set of graphs."""
        if self._source is None and self.config.dataset == "data":
            raise InputError(f"{self.path} was trained on graphs in memory; give them: load_pretrained(path, graphs).")
        return load_graphs(self._source or self.config.dataset, **self.config.data)

    @cached_property
    def method(self) -> Any:
        """The method, with the weights it was left with."""
        if not checkpoint.exists(self.directory.best):
            raise InputError(f"{self.path} is not finished; go on with gcl pretrain --resume {self.path}.")
        made = make(self.config, self.graphs, self.environment["seed"])
        made.load_state_dict(checkpoint.load(self.directory.best)[0])
        return made.eval()

    def embed(self) -> Tensor:
        """Embeddings of all nodes, or of all graphs."""
        return embed(self.method, self.graphs, torch.device("cpu"))

    def probe(self, **changed: Any) -> Probe:
        """Judge the embeddings, under the run's own settings where no others are given.

        Raises:
            InputError: an unknown setting, a protocol that does not fit the data.
        """
        chosen = settings(ProbeSettings, {**self.config.probe, **changed}, "probe")
        return probe(self.embed(), self.graphs, chosen, self.environment["seed"])


def pretrain(
    method: str | type[nn.Module],
    graphs: "Source",
    *,
    data: Mapping[str, Any] | None = None,
    train: Mapping[str, Any] | None = None,
    probe: Mapping[str, Any] | None = None,
    plain: bool = False,
    seed: int = 0,
    device: str = "auto",
    out: str | Path | None = None,
    **model_arguments: Any,
) -> Pretrained:
    """Pre-train a method on graphs and probe it, as ``gcl pretrain`` does; graphs without labels are not probed.

    Args:
        method: a name, an import path, or a class.
        graphs: a card's name, an import path, a ``Data``, or a list of them.
        data, train, probe: settings of these sections.
        plain: leave the tuned file ``configs/<method>/<graph>.yaml`` out.
        seed: the root of all random numbers.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        out: the run's folder; by default ``runs/<method>-<graph>-<seed>-<time>``.
        model_arguments: arguments of the method, and of its encoder, such as ``hidden``.

    Raises:
        InputError: an unknown name or key (with the nearest), a wrong value, a folder that holds another run.
    """
    name = method if isinstance(method, str) else build.name_of(method)
    label = graphs if isinstance(graphs, str) else "data"
    sections = {"model": model_arguments, "data": data or {}, "train": train or {}, "probe": probe or {}}
    config = resolve(name, label, sections, None, plain)
    return pretrain_resolved(config, graphs, seed=seed, device=device, out=out)


def pretrain_resolved(
    config: Pretraining,
    source: "Source",
    *,
    seed: int = 0,
    device: str = "auto",
    precision: str = "32",
    out: str | Path | None = None,
    progress: bool = True,
) -> Pretrained:
    """:func:`pretrain` under a configuration that is already resolved."""
    chosen = choose(device)
    run = RunDirectory(out or new_folder(config.name, config.dataset, seed))
    run.check_free()
    graphs = load_graphs(source, **config.data)
    method = make(config, graphs, seed)
    if _probed(config, graphs, method):
        fitting(ProbeSettings(**config.probe).protocol, graphs)
    with locked(run.path):
        run.start()
        run.write_environment({"seed": seed, "device": str(chosen), "precision": precision})
        run.write_config(config.to_yaml())
        return _finish(config, graphs, method, run, progress, resume=False)


def resume_pretraining(path: str | Path, graphs: "Source | None" = None, progress: bool = True) -> Pretrained:
    """Go on with a pre-training that was stopped; a finished one is loaded.

    Raises:
        InputError: no such run there, one that another process trains, or a damaged checkpoint.
    """
    before = Pretrained(path, graphs)
    if before.directory.finished:
        return before
    method = make(before.config, before.graphs, before.environment["seed"])
    with locked(before.directory.path):
        return _finish(before.config, before.graphs, method, before.directory, progress, resume=True)


def make(config: Pretraining, graphs: Graphs, seed: int) -> Any:
    """The method of a configuration with its encoder, freshly initialised.

    Raises:
        InputError: a method of graphs for a set of nodes, or the other way round; arguments that do not fit.
    """
    cls = build.method_class(config.name)
    own, inner = split_arguments(config.name, config.model)
    with initialising(seed):
        try:
            if config.model["encoder"] is None:
                encoder = cls.default_encoder(graphs.num_features, **inner)
            else:
                maker, arguments = build.encoder_class(config.model["encoder"])
                encoder = maker(graphs.num_features, **arguments)
            made = cls(encoder, **own)
        except InputError:
            raise
        except (ValueError, TypeError) as error:
            raise InputError(f"{config.name}: {error}") from error
    if made.level != graphs.level:
        raise InputError(
            f"{config.name} learns from {_WHAT[made.level]}, and {graphs.name} has {_WHAT[graphs.level]}; "
            "choose another method or data set."
        )
    return made


_WHAT = {"node": "nodes of one graph", "graph": "many graphs"}


def load_pretrained(path: str | Path, graphs: "Source | None" = None) -> Pretrained:
    """The pre-training in a folder; ``graphs`` where it was given some in memory.

    Raises:
        InputError: no such run there.
    """
    return Pretrained(path, graphs)


def read_config(run: RunDirectory) -> Pretraining:
    """The configuration of a pre-training.

    Raises:
        InputError: the folder is none's.
    """
    if not run.config.is_file():
        raise InputError(f"{run.path} holds no run: config.yaml is missing; name a folder that gcl pretrain wrote.")
    return Pretraining.from_yaml(run.config.read_text(encoding="utf-8"), str(run.config))


def _finish(
    config: Pretraining, graphs: Graphs, method: Any, run: RunDirectory, progress: bool, resume: bool
) -> Pretrained:
    """Train what is left to train, probe, and write the result."""
    environment = run.read_json(run.environment)
    seed, device = environment["seed"], choose(environment["device"])
    taken, facts = checkpoint.load(run.last) if resume and run.resumable else (None, {})
    if resume and taken is None:
        run.rewind(0)
    trainer = Pretrainer(
        method, graphs, PretrainSettings(**config.train), run, seed, device, environment["precision"]
    )  # fmt: skip
    with reporter(progress) as told:
        trainer.train(f"{config.name} on {config.dataset}", told, taken, facts)
    checkpoint.save(run.best, dict(method.state_dict()), {"epoch": trainer.epoch, "loss": trainer.loss})
    with replacing(run.path / ENCODER) as temporary:
        weights = {name: tensor.detach().cpu().clone() for name, tensor in method.encoder.state_dict().items()}
        safetensors.torch.save_file(weights, temporary)
    began = time.monotonic()
    z = embed(method, trainer.graphs, device)
    found = probe(z, graphs, ProbeSettings(**config.probe), seed) if _probed(config, graphs, method) else None
    _show(run, z, graphs, trainer.epoch)
    run.write_result(
        {
            **figures(config, found, trainer.seconds, run.path),
            "seed": seed,
            "epochs": trainer.epoch,
            "loss": trainer.loss,
            "probe_seconds": round(time.monotonic() - began, 3),
            "peak_mb": round(peak_mb(device), 1),
        }
    )
    return Pretrained(run.path, None if config.dataset != "data" else list(graphs.graphs))


def _probed(config: Pretraining, graphs: Graphs, method: Any) -> bool:
    """Whether there are labels to probe with that were not learnt from, or a protocol was asked for."""
    return (graphs.labelled and not getattr(method, "supervised", False)) or config.probe["protocol"] is not None


def figures(config: Pretraining, found: Probe | None, seconds: float, path: Path) -> dict[str, Any]:
    """What ``gcl pretrain`` and ``gcl probe`` print as JSON; without labels there is no ``accuracy``."""
    probed = (
        {}
        if found is None
        else {
            "accuracy": found.accuracy,
            "deviation": found.deviation,
            "runs": found.runs,
            "protocol": found.protocol,
            "values": list(found.values),
            "details": found.details,
            "settings": found.settings,
        }
    )
    return {
        "method": config.name,
        "dataset": config.dataset,
        **probed,
        "seconds": round(seconds, 3),
        "run": str(path),
    }


def _show(run: RunDirectory, z: Tensor, graphs: Graphs, epoch: int) -> None:
    """The embeddings, with their labels, for the projector of TensorBoard."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(run.path))
    labels = [str(label) for label in graphs.labels[:POINTS].tolist()]
    writer.add_embedding(z[:POINTS].float(), labels, tag="embeddings", global_step=epoch)
    writer.close()
