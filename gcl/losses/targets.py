"""Objectives of real targets: near in target, near in space."""

import torch
from torch import Tensor

from gcl.losses.base import Objective, Rows
from gcl.losses.checks import expect
from gcl.losses.functional.mixing import beta, uniform
from gcl.losses.functional.numerics import lse, lse_of, normalise
from gcl.losses.functional.streaming import by_rows
from gcl.losses.slots.temperatures import positive_temperature

__all__ = ["ConR", "SupReMix"]


class ConR(Objective):
    r"""Contrast for imbalanced regression: a negative is far in target and near in prediction.

    Positives |t_i - t_j| <= w, j ≠ i; negatives |t_i - t_j| > w and |t^_i - t^_j| <= w; a negative weighs S_ij = g_i
    exp(e |t_i - t_j|) inside -mean_p log( e^{s_ip/τ} / (Σ_p' e^{s_ip'/τ} + Σ_n S_in e^{s_in/τ}) ), and the row g_i.
    Targets are the labels; t^ is given as ``predictions=`` [N] without gradient (without it all that is far is
    negative), g as ``rarity=`` [N]. Rows without a confused pair cost 0; rows without a positive do not count. The
    authors' code counts every other row once more, as exp(0). Keramati et al., ConR (ICLR 2024).

    Args:
        temperature: τ > 0.
        window: w >= 0.
        push: e.
    """

    kind = "labelled"
    reference = "Keramati et al., ICLR 2024"
    reduces = ("SupCon (out) with push=0, where all that is far in target is near in prediction",)
    slots = {
        "similarity": "Cosine()",
        "positives": "near in target",
        "negatives": "far in target, near in prediction",
        "weighting": "rarity and target distance",
        "kernel": "LogRatio(denominator='all')",
    }

    def __init__(self, temperature: float = 0.07, window: float = 1.0, push: float = 0.01) -> None:
        super().__init__()
        if window < 0:
            raise ValueError(f"window must be at least 0, got {window}.")
        self.temperature, self.window, self.push = positive_temperature(temperature), window, push

    def compute(
        self, z: Tensor, labels: Tensor, predictions: Tensor | None = None, rarity: Tensor | None = None
    ) -> Rows:
        """Loss of every row [N]."""
        for name, given in (("predictions", predictions), ("rarity", rarity)):
            if given is not None:
                expect(name, given, (len(z),), "one number a row of z")
        x, t = normalise(z), labels.to(z.dtype)
        guess = torch.zeros_like(t) if predictions is None else predictions.detach().to(z.dtype)
        weight = torch.ones_like(t) if rarity is None else rarity.detach().to(z.dtype)
        window, push, own = self.window, self.push, torch.arange(len(z), device=z.device)

        def block(
            a: Tensor, i: Tensor, t1: Tensor, p1: Tensor, g: Tensor, c: Tensor, j: Tensor, t2: Tensor, p2: Tensor
        ) -> Tensor:
            logits, gap = a @ c.T, (t1[:, None] - t2).abs()
            positive = (gap <= window) & (i[:, None] != j)
            negative = (gap > window) & ((p1[:, None] - p2).abs() <= window)
            pull = lse(logits.masked_fill(~positive, -torch.inf))
            away = lse((logits + push * gap + g.log()[:, None]).masked_fill(~negative, -torch.inf))
            number = positive.sum(1)
            mean = logits.masked_fill(~positive, 0.0).sum(1) / number.clamp_min(1)
            held = (number > 0) & negative.any(1)
            value = lse_of(pull, away).masked_fill(~held, 0.0) - mean
            return torch.stack([(g * value).masked_fill(~held, 0.0), (number > 0).to(value.dtype)], 1)

        rows = (x / self.temperature, own, t, guess, weight)
        out = by_rows(block, rows, (x, own, t, guess), columns=len(z))
        return out[:, 0], out[:, 1].detach() > 0


class SupReMix(Objective):
    r"""Supervised contrast for regression with made positives and negatives.

    Base: :class:`SupCon` out, positives of equal target, with a negative's logit magnified by log(1 + |t_i - t_j|).
    Made negatives of anchor i: λ z_i + (1 - λ) z_k, t_k ≠ t_i, λ ~ Beta(a, b). Made positives: λ z_j + (1 - λ) z_k, t_j
    < t_i < t_k within the window, λ = (t_k - t_i) / (t_k - t_j), so that the mixed target is t_i. ``mixtures`` of each
    an anchor are drawn (the authors' code makes all B³) and carry no gradient. Rows without a positive do not count.
    Wu et al., Mixup Your Own Pairs (2023).

    Args:
        temperature: τ > 0.
        mixtures: made points of each sort an anchor; 0 for none.
        window: largest |t_j - t_i| and |t_k - t_i|; None: any.
        law: (a, b).
        magnify: weigh negatives by target distance.
    """

    kind = "labelled"
    detached = True
    reference = "Wu et al., 2023"
    reduces = ("SupCon (out) on exact targets with mixtures=0 and magnify=False",)
    slots = {
        "similarity": "Cosine()",
        "positives": "rows of the target and mixtures at it",
        "negatives": "all other rows and mixtures with the anchor",
        "weighting": "1 + target distance",
        "kernel": "LogRatio(denominator='all', positives='mean')",
    }

    def __init__(
        self,
        temperature: float = 0.1,
        mixtures: int = 8,
        window: float | None = None,
        law: tuple[float, float] = (2.0, 8.0),
        magnify: bool = True,
    ) -> None:
        super().__init__()
        if mixtures < 0 or (window is not None and window <= 0) or min(law) <= 0:
            raise ValueError(f"mixtures >= 0, window > 0, law > 0 must hold, got {mixtures}, {window}, {law}.")
        self.temperature, self.mixtures = positive_temperature(temperature), mixtures
        self.window = float("inf") if window is None else window
        self.law, self.magnify = law, magnify

    def compute(self, z: Tensor, labels: Tensor) -> Rows:
        """Loss of every row [N]."""
        x, t, own = normalise(z), labels.to(z.dtype), torch.arange(len(z), device=z.device)
        magnify = self.magnify

        def block(a: Tensor, i: Tensor, t1: Tensor, c: Tensor, j: Tensor, t2: Tensor) -> Tensor:
            logits, gap = a @ c.T, (t1[:, None] - t2).abs()
            equal = (gap == 0) & (i[:, None] != j)
            total = lse((logits + torch.log1p(gap) if magnify else logits).masked_fill(i[:, None] == j, -torch.inf))
            return torch.stack([total, logits.masked_fill(~equal, 0.0).sum(1), equal.sum(1).to(total.dtype)], 1)

        total, sums, number = by_rows(block, (x / self.temperature, own, t), (x, own, t), columns=len(z)).unbind(1)
        if self.mixtures and len(z) > 1:
            negative, positive = self._negatives(x, t), self._positives(x, t)
            for logits, held, mine in ((*negative, False), (*positive, True)):
                total = lse_of(total, lse(logits.masked_fill(~held, -torch.inf)))
                if mine:
                    sums, number = sums + logits.masked_fill(~held, 0.0).sum(1), number + held.sum(1)
        valid = number.detach() > 0
        return total.masked_fill(~valid, 0.0) - sums / number.detach().clamp_min(1), valid

    def _logits(self, x: Tensor, made: Tensor, gap: Tensor | None) -> Tensor:
        """Logits [N, s] of made points [N, s, d], magnified by the distance of their targets."""
        logits = (normalise(made) @ x[:, :, None])[..., 0] / self.temperature
        return logits if gap is None or not self.magnify else logits + torch.log1p(gap)

    def _negatives(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of anchor-inclusive mixtures and which of them exist, [N, s]."""
        other = draw_other(t, self.mixtures, self.generator)
        share = beta(x, *self.law, len(x), self.mixtures, generator=self.generator)
        partner = other.clamp_min(0)
        fixed = x.detach()
        made = share[..., None] * fixed[:, None] + (1 - share[..., None]) * fixed[partner]
        gap = (1 - share) * (t[partner] - t[:, None]).abs()
        return self._logits(x, made, gap), other >= 0

    def _positives(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of anchor-exclusive mixtures at the anchor's target and which of them exist, [N, s]."""
        below, above = draw_around(t, self.window, self.mixtures, self.generator)
        j, k = below.clamp_min(0), above.clamp_min(0)
        share = mixing_share(t[j], t[:, None], t[k]).clamp(0, 1)[..., None]
        fixed = x.detach()
        return self._logits(x, share * fixed[j] + (1 - share) * fixed[k], None), (below >= 0) & (above >= 0)


def mixing_share(low: Tensor, at: Tensor, high: Tensor) -> Tensor:
    """λ with λ low + (1 - λ) high = at; 0 where low = high."""
    width = high - low
    return torch.where(width != 0, (high - at) / torch.where(width != 0, width, 1.0), 0.0)


def draw_other(t: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    """For every row ``count`` rows of another target, drawn evenly, [N, count]; -1 where there are none."""
    order = t.argsort(stable=True)
    low, high = torch.searchsorted(t[order], t), torch.searchsorted(t[order], t, right=True)
    place = between(torch.zeros_like(low), len(t) - (high - low), count, generator)
    place = torch.where(place >= low[:, None], place + (high - low)[:, None], place)
    return _rows(order, place)


def draw_around(t: Tensor, width: float, count: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """For every row ``count`` rows of smaller and ``count`` of larger target, within the width, as in draw_other."""
    order = t.argsort(stable=True)
    ranked = t[order]
    low, high = torch.searchsorted(ranked, t), torch.searchsorted(ranked, t, right=True)
    below = between(torch.searchsorted(ranked, t - width), low, count, generator)
    above = between(high, torch.searchsorted(ranked, t + width, right=True), count, generator)
    return _rows(order, below), _rows(order, above)


def between(start: Tensor, stop: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    """Whole numbers drawn evenly from start_i .. stop_i - 1, [N, count]; -1 where there are none."""
    size = (stop - start)[:, None]
    chance = uniform(torch.zeros((), dtype=torch.float64, device=start.device), len(start), count, generator=generator)
    place = start[:, None] + torch.minimum((chance * size).long(), (size - 1).clamp_min(0))
    return place.masked_fill(size <= 0, -1)


def _rows(order: Tensor, place: Tensor) -> Tensor:
    return order[place.clamp_min(0)].masked_fill(place < 0, -1)
