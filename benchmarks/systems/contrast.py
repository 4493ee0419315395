"""Contrastive losses of two views, forward and backward, as gcl, plain torch and three packages have them."""

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gcl.losses import CLIPLoss, NTXent
from gcl.losses.functional import partition

Loss = Callable[[Tensor, Tensor], Tensor]


def plain_cross(temperature: float) -> Loss:
    """Two cross-entropies of one stored matrix."""

    def loss(a: Tensor, b: Tensor) -> Tensor:
        logits = F.normalize(a) @ F.normalize(b).T / temperature
        target = torch.arange(len(a))
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2

    return loss


def plain_stacked(temperature: float) -> Loss:
    """One cross-entropy of the stored matrix of both views."""

    def loss(a: Tensor, b: Tensor) -> Tensor:
        z = F.normalize(torch.cat([a, b]))
        logits = (z @ z.T / temperature).fill_diagonal_(-torch.inf)
        return F.cross_entropy(logits, torch.arange(len(z)).roll(len(a)))

    return loss


def dense(loss: Loss) -> Loss:
    """The same objective with its matrix kept."""
    partition.DENSE_BUDGET["cpu"] = 2**62
    return loss


def _bare(*names: str) -> None:
    """Packages of which single modules are wanted, without running what imports everything they depend on."""
    for name in names:
        folder, *rest = name.split(".")
        roots = [Path(p) / folder for p in sys.path if (Path(p) / folder).is_dir()]
        package = types.ModuleType(name)
        package.__path__ = [str(root.joinpath(*rest)) for root in roots]
        sys.modules[name] = package


def pygcl(within: bool) -> Callable[[float], Loss]:
    """PyGCL's ``DualBranchContrast(InfoNCE, "L2L")``."""

    def make(temperature: float) -> Loss:
        _bare("GCL", "GCL.models")
        sys.modules["torch_scatter"] = types.ModuleType("torch_scatter")
        sys.modules["torch_scatter"].scatter = None
        from GCL.losses.infonce import InfoNCE
        from GCL.models.samplers import get_sampler

        sys.modules["GCL.losses"].Loss = object
        sys.modules["GCL.models"].get_sampler = get_sampler
        from GCL.models.contrast_model import DualBranchContrast

        model = DualBranchContrast(InfoNCE(tau=temperature), mode="L2L", intraview_negs=within)
        return lambda a, b: model(a, b)

    return make


def lightly(temperature: float) -> Loss:
    """lightly's ``NTXentLoss``."""
    _bare("lightly", *(f"lightly.{part}" for part in ("loss", "models", "models.modules", "models.utils", "utils")))
    from lightly.loss.ntx_ent_loss import NTXentLoss

    return NTXentLoss(temperature=temperature)


def metric_learning(temperature: float) -> Loss:
    """pytorch-metric-learning's ``NTXentLoss``, rows of a pair sharing a label."""
    from pytorch_metric_learning.losses import NTXentLoss

    loss = NTXentLoss(temperature=temperature)
    return lambda a, b: loss(torch.cat([a, b]), torch.arange(len(a)).repeat(2))


FORMS: dict[str, dict[str, Callable[[float], Loss]]] = {
    "cross": {
        "gcl": lambda t: CLIPLoss(t),
        "gcl, matrix kept": lambda t: dense(CLIPLoss(t)),
        "torch, two cross-entropies": plain_cross,
        "PyGCL": pygcl(within=False),
    },
    "stacked": {
        "gcl": lambda t: NTXent(t),
        "torch, one cross-entropy": plain_stacked,
        "PyGCL, intra-view": pygcl(within=True),
        "lightly": lightly,
        "pytorch-metric-learning": metric_learning,
    },
}
"""Layout -> name -> temperature -> loss of two tensors [B, d]."""
PACKAGES = {"PyGCL": "GCL", "PyGCL, intra-view": "GCL", "lightly": "lightly",
            "pytorch-metric-learning": "pytorch_metric_learning"}  # fmt: skip


def present(form: str) -> bool:
    """Whether what a form needs can be found."""
    return form not in PACKAGES or any((Path(p) / PACKAGES[form]).is_dir() for p in sys.path)


def pair(job: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Two related views, the same for all."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(job["rows"], job["dim"], generator=generator)
    b = a + 0.5 * torch.randn(job["rows"], job["dim"], generator=generator)
    return a.requires_grad_(), b.requires_grad_()


def contrast_task(job: dict[str, Any]) -> Callable[[], object]:
    """Forward and backward of one form."""
    loss = FORMS[job["layout"]][job["form"]](job["temperature"])
    a, b = pair(job)
    return lambda: torch.autograd.grad(loss(a, b), (a, b))
