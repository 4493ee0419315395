"""Graphs of words and their supervised contrast."""

import tracemalloc

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_graphs import generator
from torch_geometric.data import Data

from gcl import ssl
from gcl.errors import InputError
from gcl.ssl import TokenContrast, token_graph, tokens
from gcl.training import pretrain

FILL = ["and", "the", "with", "from", "over"]


def topics(texts: int = 300, seed: int = 0) -> tuple[list[str], list[int]]:
    """Texts of two topics: words of their own among words of both."""
    rng = np.random.default_rng(seed)
    own = [[f"{kind}{a}{b}" for a in "abcd" for b in "efg"] for kind in ("sport", "food")]
    labels = rng.integers(0, 2, texts).tolist()
    made = [[*rng.choice(own[c], 3), *rng.choice(FILL, 5)] for c in labels]
    return [" ".join(rng.permutation(words)) for words in made], labels


def train(method: TokenContrast, data: object, steps: int) -> list[float]:
    """Losses over steps."""
    adam, draws, found = torch.optim.Adam(method.parameters(), 0.01), generator(), []
    for _ in range(steps):
        loss = method.losses(data, draws)["contrast"]
        adam.zero_grad()
        loss.backward()
        adam.step()
        found.append(float(loss.detach()))
    return found


def gap(z: torch.Tensor, y: torch.Tensor) -> float:
    """Mean cosine of words of one class less that of words of two."""
    z, y = F.normalize(z[y >= 0], dim=1), y[y >= 0]
    s, alike = z @ z.T, y[:, None] == y
    return float(s[alike & ~torch.eye(len(y), dtype=torch.bool)].mean() - s[~alike].mean())


def test_a_graph_of_three_texts() -> None:
    data = token_graph(["Red apple, red wine!", "wine red", "apple"], [0, 0, 1], window=1, prior=0.0, threshold=1.0)
    assert data.words == ["red", "apple", "wine"] and data.count.tolist() == [3, 2, 2]
    weights = {tuple(e): w for e, w in zip(data.edge_index.T.tolist(), data.edge_weight.tolist(), strict=True)}
    assert weights == {(0, 1): 2, (1, 0): 2, (0, 2): 2, (2, 0): 2}
    assert data.y.tolist() == [0, -1, 0] and data.x.shape == (3, 64)
    several = token_graph(["red", "red"], [[0, 1], [1]], prior=1.0, threshold=0.5)
    assert several.y.tolist() == [1], "(2 + 1) / (1 + 1 + 2 + 1)"


def test_a_graph_of_words_beside_counting_by_hand(monkeypatch) -> None:
    texts, labels = topics(40)
    data = token_graph(texts, labels, window=3, min_count=1, dim=6)
    number = {word: at for at, word in enumerate(data.words)}
    near = np.zeros((len(number), len(number)))
    for text in texts:
        line = [number[w] for w in text.split()]
        for at, one in enumerate(line):
            for other in line[at + 1 : at + 4]:
                near[one, other] += one != other
                near[other, one] += one != other
    found = np.zeros_like(near)
    found[tuple(data.edge_index.numpy())] = data.edge_weight.numpy()
    assert np.array_equal(found, near)
    with np.errstate(divide="ignore"):
        shared = np.maximum(np.log(near * near.sum() / np.outer(near.sum(1), near.sum(1))), 0)
    u, s, _ = np.linalg.svd(shared)
    assert np.allclose(np.abs(data.x.numpy()), np.abs(u[:, :6] * np.sqrt(s[:6])), atol=1e-5)
    monkeypatch.setattr(tokens, "DENSE", 8)
    assert torch.allclose(token_graph(texts, labels, window=3, min_count=1, dim=6).x, data.x, atol=1e-4)


def test_many_words_make_no_dense_matrix() -> None:
    rng = np.random.default_rng(0)
    names = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 6)) for _ in range(4000)]
    texts = [" ".join(rng.choice(names, 10, p=np.arange(4000, 0, -1) / 8002000)) for _ in range(4000)]
    tracemalloc.start()
    data = token_graph(texts, [i % 2 for i in range(len(texts))], min_count=1, dim=4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert data.num_nodes > 3500 and peak < 8 * 3500**2 / 2


def test_words_of_a_topic_come_together_and_classify_texts() -> None:
    texts, labels = topics()
    data = token_graph(texts, labels, threshold=0.9, dim=16)
    assert int((data.y >= 0).sum()) == 24 and all(data.y[data.words.index(w)] == -1 for w in FILL)
    torch.manual_seed(0)
    method = TokenContrast(TokenContrast.default_encoder(16, 16))
    before = gap(method.embed(data), data.y)
    losses = train(method, data, 60)
    z = method.embed(data)
    assert losses[-1] < losses[0] - 0.1
    assert gap(z, data.y) > before + 0.3

    def vectors(table: torch.Tensor, lines: list[str]) -> torch.Tensor:
        number = {w: i for i, w in enumerate(data.words)}
        return torch.stack([table[[number[w] for w in t.split() if w in number]].mean(0) for t in lines])

    def accuracy(table: torch.Tensor) -> float:
        fresh, told = topics(200, seed=1)
        seen, y = vectors(table, texts), torch.tensor(labels)
        centres = torch.stack([seen[y == c].mean(0) for c in (0, 1)])
        return float((torch.cdist(vectors(table, fresh), centres).argmin(1) == torch.tensor(told)).float().mean())

    assert accuracy(z) > max(0.95, accuracy(torch.randn(len(z), 16, generator=generator())))


def test_the_loss_is_that_of_the_paper_with_the_sign_of_its_text() -> None:
    data = token_graph(*topics(60), dim=8)
    torch.manual_seed(0)
    method = TokenContrast(TokenContrast.default_encoder(8, 8), anchors=10)
    words = method.draw(data, generator(2))
    h, y = method.embed(data)[words], data.y[words]
    assert len(words) <= 20 and bool((y >= 0).all()) and len(words.unique()) == len(words)
    rows = []
    for t in range(len(words)):
        others = [i for i in range(len(words)) if i != t]
        s = torch.stack([h[t] @ h[i] for i in others]) / 5
        share = s - s.logsumexp(0)
        positive = [k for k, i in enumerate(others) if y[i] == y[t]]
        rows += [-share[positive].mean()] if positive else []
    assert float(method.losses(data, generator(2))["contrast"].detach()) == pytest.approx(
        float(torch.stack(rows).mean()), rel=1e-5
    )


def test_neighbours_are_drawn_by_how_often_they_stand_near() -> None:
    """Words 0 and 1 are anchors; 0 stands near 2 nine times, near 3 once, and near 4 of another class more often."""
    near = {2: 9.0, 3: 1.0, 4: 50.0}
    data = Data(x=torch.ones(5, 1), y=torch.tensor([0, 0, 0, 0, 1]), edge_weight=torch.tensor(list(near.values())))
    data.edge_index = torch.tensor([[0, 0, 0], list(near)])
    method, draws = TokenContrast(TokenContrast.default_encoder(1, 2), anchors=2), generator()
    found = [method.draw(data, draws).tolist() for _ in range(6000)]
    share = {end: found.count([0, 1, end]) for end in near}
    assert share[2] / (share[2] + share[3]) == pytest.approx(0.9, abs=0.04) and share[4] == 0


def test_words_without_classes_are_an_error() -> None:
    data = Data(x=torch.ones(2, 1), edge_index=torch.tensor([[0], [1]]), edge_weight=torch.ones(1))
    data.y = torch.tensor([0, -1])
    with pytest.raises(InputError, match="TokenContrast needs words with a class, y from 0, and 1 have one"):
        TokenContrast(TokenContrast.default_encoder(1, 2)).losses(data)


def test_titles_of_films_by_genre(gcl_data) -> None:
    from gcl.data import load

    films = load("ml-100k", show=("title",))
    titles, genres = films.item_columns["title"], films.item_columns["genres"]
    names = sorted({g for own in genres for g in (own.split() if isinstance(own, str) else own)})
    number = {g: i for i, g in enumerate(names)}
    labels = [[number[g] for g in (own.split() if isinstance(own, str) else own)] for own in genres]
    data = token_graph([str(t) for t in titles], labels, threshold=0.35, prior=0.1)
    known = int((data.y >= 0).sum())
    assert data.num_nodes > 300 and known > 100
    torch.manual_seed(0)
    method = TokenContrast(TokenContrast.default_encoder(64))
    before = gap(method.embed(data), data.y)
    losses = train(method, data, 40)
    assert losses[-1] < losses[0] and gap(method.embed(data), data.y) > before + 0.1


def test_errors() -> None:
    with pytest.raises(InputError, match="labels must be one a text, 1, got 2"):
        token_graph(["a"], [0, 1])
    with pytest.raises(ValueError, match=r"window must be at least 1, threshold in \(0, 1\], prior at least 0, got 0"):
        token_graph(["word"], [0], window=0)
    with pytest.raises(InputError, match="min_count must leave some words, and none of 1 comes 2 times"):
        token_graph(["word"], [0])
    with pytest.raises(ValueError, match="anchors must be at least 2 words, got 1"):
        TokenContrast(ssl.GRACE.default_encoder(4), anchors=1)


def test_it_is_trained_by_the_trainer_and_not_probed_on_what_it_learnt_from(tmp_path):
    data = token_graph(*topics(60), min_count=1)
    run = pretrain(TokenContrast, data, train={"epochs": 2}, out=tmp_path / "a")
    assert "accuracy" not in run.result
    probe = {"protocol": "kmeans"}
    asked = pretrain(TokenContrast, data, train={"epochs": 1}, probe=probe, out=tmp_path / "b")
    assert asked.result["accuracy"] > 0
