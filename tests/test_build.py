import importlib
import inspect
import pkgutil
import sys

import pytest
import yaml

from gcl import build, catalogue
from gcl.errors import InputError
from gcl.losses import BPR, InfoNCE, Objective
from gcl.losses.slots.margins import AngularShift
from gcl.recommenders import Recommender
from gcl.testing import tiny_dataset
from gcl.views import DropEdge, Noise, View

OUTSIDE = """
from typing import ClassVar
from gcl.losses import Objective
from gcl.losses.slots.margins import AdditiveShift
from gcl.recommenders.general.lightgcn import LightGCN
from gcl.views import Noise

class MyLoss(Objective):
    kind = "pair"
    def __init__(self, strength: float, names: tuple[str, ...] = ("a",)) -> None:
        super().__init__()
        if strength < 0:
            raise ValueError(f"strength must not be negative, got {strength}.")
    def compute(self, z1, z2, ids=None):
        return (z1 - z2).square().sum(-1), None

class MyMargin(AdditiveShift):
    "A margin of one's own."

class MyView(Noise):
    "A view of one's own."

class MyModel(LightGCN):
    "A model of one's own."
    def __init__(self, data, *, dim: int = 4, layers: int = 1, mine: float = 0.5) -> None:
        super().__init__(data, dim=dim, layers=layers)

class MySequential(MyModel):
    needs = frozenset({"time"})

nothing = 3
"""


@pytest.fixture
def outside(tmp_path, monkeypatch):
    (tmp_path / "outside_parts.py").write_text(OUTSIDE)
    (tmp_path / "outside_broken.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    yield "outside_parts"
    sys.modules.pop("outside_parts", None)


@pytest.mark.parametrize("name", build.MODELS)
def test_every_model_is_a_recommender_with_a_family(name):
    cls = build.model_class(name)
    assert issubclass(cls, Recommender)
    assert cls.__name__ == name
    assert cls.reference
    needs = {"time": "sequential", "modalities": "multimodal"}
    assert build.family(name) == next((family for need, family in needs.items() if need in cls.needs), "general")


@pytest.mark.parametrize("name", build.MODELS)
def test_every_model_is_built_with_its_defaults_and_written_back(name):
    data = tiny_dataset()
    model = build.create(name, data, {})
    written = yaml.safe_load(yaml.safe_dump(build.spec(model)))
    assert written["name"] == name
    again = build.create(written.pop("name"), data, written)
    assert build.spec(again) == build.spec(model)
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in model.state_dict().items()}


def test_every_objective_is_written_back():
    for entry in catalogue.objectives():
        made = build.objective_class(entry["name"])
        required = any(v is None for v in entry["arguments"].values())
        if required:
            continue
        spec = build.spec(made())
        assert build.spec(build.objective(yaml.safe_load(yaml.safe_dump(spec)))) == spec


@pytest.mark.parametrize("name", build.VIEWS)
def test_every_view_is_written_back(name):
    svd = {"transform": "torch_geometric.transforms:SVDFeatureReduction", "options": {"out_channels": 2}}
    needed = {"RandomChoice": {"views": ["DropNode"]}, "Transform": svd}
    spec = build.spec(build.view({"name": name, **needed.get(name, {})}))
    assert spec["name"] == name
    assert build.spec(build.view(spec)) == spec


def test_specifications_are_names_mappings_and_instances():
    assert isinstance(build.objective("InfoNCE"), InfoNCE)
    assert build.objective({"name": "InfoNCE", "temperature": 0.3}).arguments["temperature"] == 0.3
    made = InfoNCE()
    assert build.objective(made) is made
    noise = Noise(0.3)
    assert build.view(noise) is noise


def test_views_are_chains():
    found = build.views([[{"name": "DropEdge", "p": 0.2}, "Noise"], "Noise"])
    assert [[type(v) for v in chain] for chain in found] == [[DropEdge, Noise], [Noise]]
    assert found[0][0].p == 0.2
    assert [len(chain) for chain in build.views("Noise")] == [1]
    assert [len(chain) for chain in build.views((Noise(),))] == [1]


def test_parts_of_objectives_are_specified_too(outside):
    spec = {
        "name": "InfoNCE",
        "margin": {"name": "angular", "m": 0.2},
        "similarity": "bits",
        "temperature": "learnable",
    }
    made = build.objective(spec)
    assert build.spec(made) == spec
    assert build.spec(InfoNCE(margin=AngularShift(0.2)))["margin"] == {"name": "angular", "m": 0.2}
    own = build.spec(build.objective({"name": "InfoNCE", "margin": f"{outside}:MyMargin"}))
    assert own["margin"] == {"name": f"{outside}:MyMargin", "m": 0.1}
    assert build.spec(build.objective(own)) == own
    assert build.objective_class("SimCLR").__name__ == "NTXent"


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (
            {"margin": {"name": "angular", "mm": 1}},
            r"^InfoNCE: margin: angular has no argument 'mm'\. Did you mean 'm'\?",
        ),
        ({"similarity": "cosin"}, r"^InfoNCE: similarity must be a name, .*Did you mean 'cosine'\?"),
        ({"temperature": True}, r"^InfoNCE: temperature: A part must be a number, a name, .*, got True\.$"),
        ({"temperature": -0.1}, r"^InfoNCE: temperature must be a positive number, got -0"),
    ],
)
def test_bad_parts_of_objectives(part, text):
    with pytest.raises(InputError, match=text):
        build.objective({"name": "InfoNCE", **part})


def test_import_paths_work_for_all_three(outside):
    data = tiny_dataset()
    model = build.create(f"{outside}:MyModel", data, {"mine": 1})
    assert model.arguments["mine"] == 1.0
    assert build.spec(model)["name"] == f"{outside}:MyModel"
    assert build.family(f"{outside}:MyModel") == "general"
    assert build.family(f"{outside}:MySequential") == "sequential"
    spec = {"name": f"{outside}:MyLoss", "strength": 2.0, "names": ["x", "y"]}
    assert build.spec(build.objective(spec)) == spec
    assert isinstance(build.view(f"{outside}:MyView"), View)
    used = build.create("SimGCL", data, {"objective": spec, "views": [f"{outside}:MyView"]})
    assert build.spec(used)["objective"] == spec
    assert catalogue.models([f"{outside}:MyModel"])[0]["arguments"] == {"dim": 4, "layers": 1, "mine": 0.5}


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda m: build.model_class("simgcl"), r"^Unknown model 'simgcl'\. Did you mean 'SimGCL'\? Valid: .*path"),
        (lambda m: build.objective("InfoNC"), r"^Unknown objective 'InfoNC'\. Did you mean 'InfoNCE'\?"),
        (lambda m: build.view("DropEge"), r"^Unknown view 'DropEge'\. Did you mean 'DropEdge'\?"),
        (lambda m: build.objective({"temperature": 1}), r"^objective must be a name, a mapping"),
        (lambda m: build.objective(3), r"^objective must be a name, .* got 3\.$"),
        (lambda m: build.view({"name": "Noise", "epsilon": 1}), r"^Noise has no argument 'epsilon'\..*eps"),
        (lambda m: build.view({"name": "Noise", "eps": "x"}), r"^Noise: eps must be a valid number, got 'x'\.$"),
        (lambda m: build.view({"name": "Noise", "eps": -1}), r"^Noise: eps must not be negative, got -1"),
        (lambda m: build.model_class("no_such_pkg:A"), r"^Cannot import 'no_such_pkg' of model .*ModuleNotFoundError"),
        (lambda m: build.objective("outside_broken:A"), r"^Cannot import 'outside_broken' of .*ZeroDivisionError"),
        (lambda m: build.objective(f"{m}:MyLos"), r"^outside_parts has no 'MyLos'\. Did you mean 'MyLoss'\?"),
        (lambda m: build.objective(f"{m}:nothing"), r"must be a subclass of gcl\.losses\.base\.Objective\.$"),
        (lambda m: build.view(f"{m}:MyLoss"), r"must be a subclass of gcl\.views\.base\.View\.$"),
        (lambda m: build.objective(f"{m}:MyLoss"), r"^outside_parts:MyLoss needs strength; give \{name: outside"),
        (lambda m: build.objective({"name": f"{m}:MyLoss", "strength": -1}), r"^outside_parts:MyLoss: strength must"),
    ],
)
def test_bad_specifications(outside, call, text):
    with pytest.raises(InputError, match=text):
        call(outside)


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("LightGCN", {"layers": "abc"}, r"^LightGCN: layers must be a valid integer, got 'abc'\.$"),
        ("LightGCN", {"layers": True}, r"^LightGCN: layers must be a valid integer, got True\.$"),
        ("LightGCN", {"layer": 2}, r"^LightGCN has no argument 'layer'\. Did you mean 'layers'\?"),
        ("LightGCN", {"readout": "medium"}, r"^LightGCN: readout must be 'mean'.* got 'medium'\.$"),
        ("EASE", {"l2": 0}, r"^EASE: l2 must be positive"),
        ("Popularity", {"dim": 3}, r"^Popularity has no argument 'dim'\. It takes none\.$"),
        (
            "SimGCL",
            {"objective": "BPR"},
            r"^SimGCL: objective must be of kind pair, got BPR of kind ranking\. V.*InfoNCE",
        ),
        (
            "LightGCN",
            {"objective": "InfoNCE"},
            r"^LightGCN: objective must be of kind ranking, got InfoNCE of kind pair\.",
        ),
        ("SimGCL", {"objective": "InfoNC"}, r"^SimGCL: objective: Unknown objective 'InfoNC'\. Did you mean"),
        ("SimGCL", {"views": ["Nois"]}, r"^SimGCL: views: Unknown view 'Nois'\. Did you mean 'Noise'\?"),
        ("SimGCL", {"views": ["Noise"] * 3}, r"^SimGCL: views must have one entry, .*got 3\.$"),
        ("SimGCL", {"objective": {"name": "InfoNCE", "temperature": -1}}, r"^SimGCL: objective: InfoNCE: temperature"),
    ],
)
def test_bad_arguments_of_models(name, arguments, text):
    with pytest.raises(InputError, match=text):
        build.create(name, tiny_dataset(), arguments)


def test_instances_are_taken_as_they_are():
    model = build.create("SimGCL", tiny_dataset(), {"objective": InfoNCE(temperature=0.7), "views": [Noise(0.3)]})
    written = build.spec(model)
    assert written["objective"]["temperature"] == 0.7
    assert written["views"] == [{"name": "Noise", "eps": 0.3}]


def test_what_cannot_be_written_is_an_error():
    class Local(BPR):
        """Not importable."""

    with pytest.raises(InputError, match=r"cannot be named in configuration; define the class at the top level"):
        build.spec(Local())
    with pytest.raises(InputError, match=r"^x cannot be written as configuration: a object is no number"):
        build.plain(object(), "x")


def test_catalogues_have_stable_names():
    for entries, group in (
        (catalogue.models(), "family"),
        (catalogue.objectives(), "kind"),
        (catalogue.views(), "kind"),
    ):
        assert entries
        for entry in entries:
            more = {"on"} if "on" in entry else set()
            assert set(entry) == {"name", group, "reference", "arguments", "summary"} | more
            assert entry["summary"]
            yaml.safe_dump(entry)
    assert {e["name"] for e in catalogue.models()} == set(build.MODELS)
    assert all(issubclass(build.objective_class(e["name"]), Objective) for e in catalogue.objectives())


def test_the_tables_name_everything_there_is():
    import gcl.views
    from gcl.recommenders import general, multimodal, sequential

    there = [getattr(gcl.views, name) for name in gcl.views.__all__]
    concrete = {v.__name__ for v in there if isinstance(v, type) and issubclass(v, View) and not inspect.isabstract(v)}
    assert concrete - {"View"} == set(build.VIEWS)
    found = set()
    families = (general, multimodal, sequential)
    folders = [(folder, info) for folder in families for info in pkgutil.iter_modules(folder.__path__)]
    for folder, info in folders:
        module = importlib.import_module(f"{folder.__name__}.{info.name}")
        found |= {n for n, v in vars(module).items() if isinstance(v, type) and issubclass(v, Recommender)}
    assert found - {"Recommender", "SequenceRecommender", "Multimodal"} == set(build.MODELS)
