"""Models that RecBole computes in their constructor, as tensors: what they score with, without computing it again."""

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

OWN = ("training", "device", "logger", "other_parameter_name", "call_super_init", "dump_patches")
PLAIN, ARRAY, CSR = "plain", "array", ("data", "indices", "indptr", "shape")


def pack(model: Any) -> dict[str, Tensor]:
    """The attributes of a model as tensors: sparse matrices as the four arrays of their CSR form."""
    found: dict[str, Tensor] = {}
    plain: dict[str, Any] = {}
    for name, value in vars(model).items():
        if name.startswith("_") or name in OWN:
            continue
        if sparse.issparse(value):
            csr = value.tocsr()
            arrays = (csr.data, csr.indices, csr.indptr, np.array(csr.shape))
            found |= {f"{name}/{part}": torch.from_numpy(a) for part, a in zip(CSR, arrays, strict=True)}
        elif isinstance(value, np.ndarray):
            found[f"{name}/{ARRAY}"] = torch.from_numpy(np.array(value))
        elif isinstance(value, Tensor):
            found[name] = value.detach()
        elif value is None or isinstance(value, (bool, int, float, str)):
            plain[name] = value
    found[PLAIN] = torch.tensor(list(json.dumps(plain).encode()), dtype=torch.uint8)
    return found


def unpack(cls: Any, config: Any, dataset: Any, tensors: Mapping[str, Tensor]) -> Any:
    """A model with the attributes that :func:`pack` wrote; its constructor does not run."""
    base = import_module("recbole.model.abstract_recommender").GeneralRecommender
    model = cls.__new__(cls)
    base.__init__(model, config, dataset)
    for name, value in json.loads(bytes(tensors[PLAIN].tolist())).items():
        setattr(model, name, value)
    for key, tensor in tensors.items():
        name, _, part = key.partition("/")
        if part == "indptr":
            arrays = [tensors[f"{name}/{at}"].cpu().numpy() for at in CSR]
            setattr(model, name, sparse.csr_matrix(tuple(arrays[:3]), shape=tuple(arrays[3].tolist())))
        elif not part and name != PLAIN:
            setattr(model, name, tensor.to(config["device"]))
        elif part == ARRAY:
            setattr(model, name, tensor.cpu().numpy())
    return model
