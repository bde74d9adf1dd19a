"""Objectives over entity pairs: of logits and labels [P, R] one value per pair, [P].

All are stable for any finite logit. Notation: class 0 is the adaptive threshold (NA), d_r = f_r -
f_0, positives = relations that hold, negatives = the others, class 0 in neither.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize, sigmoid, softplus

Entropy = Literal["vectorised", "per_pair", "broadcast", "none"]
Contrastive = Literal["cosine", "dot"]


def adaptive_threshold(logits: Tensor, labels: Tensor) -> Tensor:
    """ATL (Zhou et al. 2021, Eq. 6-8; atlop/losses.py): positives above the threshold, the
    threshold above the negatives.
    """
    positive = labels[:, 1:]
    above = torch.cat([torch.ones_like(labels[:, :1]), positive], 1)
    below = torch.cat([torch.ones_like(labels[:, :1]), 1 - positive], 1)
    relations_up = (positive * (_logsumexp(logits, above).unsqueeze(1) - logits[:, 1:])).sum(1)
    threshold_up = _logsumexp(logits, below) - logits[:, 0]
    return relations_up + threshold_up


def adaptive_focal(logits: Tensor, labels: Tensor, gamma: float = 1.0) -> Tensor:
    """AFL (Tan et al. 2022, Eq. 8-10; kd-docre/losses.py): each positive against the threshold,
    weighted by 1 + (1 - p)^gamma.
    """
    positive = labels[:, 1:]
    margin = logits[:, 1:] - logits[:, :1]
    # no power of 0, whose gradient is infinite for gamma < 1
    miss = sigmoid(-margin).clamp(min=torch.finfo(margin.dtype).tiny)
    focal = (1 + miss**gamma) * softplus(-margin)
    below = torch.cat([torch.ones_like(labels[:, :1]), 1 - positive], 1)
    return (positive * focal).sum(1) + _logsumexp(logits, below) - logits[:, 0]


def pairwise_moving_threshold(
    logits: Tensor, labels: Tensor, *, entropy: Entropy = "vectorised"
) -> Tensor:
    """PMTEM: pairwise moving-threshold loss with entropy minimisation (Guo et al. 2023;
    Stage_1/losses.py): L_pmt + L_em of Eq. (27).

    Every relation is compared with the threshold alone: the probability P_r of Eq. (22) is
    sigmoid(d_r), and P_NA of Eq. (23) is sigmoid(-d_r).

    Args:
        entropy: how the entropies of positives and negatives are weighted (1 / gamma_1, 1 / gamma_2
            of Eq. (26)): "vectorised": gamma_1 = 1, gamma_2 = |N|, closest to the official code;
            "per_pair": gamma_1 = |P|, gamma_2 = |N|, what it meant to do; "broadcast": what it
            does, a shape slip: the mean over all pairs of 1 / gamma weights every pair's sum;
            "none": without L_em, Eq. (29) read literally.
    """
    positive, negative = labels[:, 1:], 1 - labels[:, 1:]
    margin = logits[:, 1:] - logits[:, :1]
    # Eq. (24): -log P_r, and -log P_NA
    threshold = (positive * softplus(-margin) + negative * softplus(margin)).sum(1)
    if entropy == "none":
        return threshold
    # Eq. (25): binary entropy of sigmoid(margin), in nats
    h = softplus(-margin) + margin * sigmoid(-margin)
    sums = [(mask * h).sum(1) for mask in (positive, negative)]
    counts = [mask.sum(1).clamp(min=1) for mask in (positive, negative)]
    # Eq. (26)
    if entropy == "vectorised":
        return threshold + (sums[0] + sums[1] / counts[1])
    if entropy == "per_pair":
        return threshold + (sums[0] / counts[0] + sums[1] / counts[1])
    shares = [(1 / count).mean() for count in counts]
    return threshold + (sums[0] * shares[0] + sums[1] * shares[1])


def balanced(logits: Tensor, labels: Tensor) -> Tensor:
    """DocuNet's balanced loss (Zhang et al. 2021, Eq. 7; losses.py): positives above 0, negatives
    below it.

    log(1 + sum of exp f_r over the negatives) + log(1 + sum of exp -f_r over the positives), where
    class 0 is a class like any other.
    """
    zero = torch.zeros_like(logits[:, :1])
    above, below = torch.cat([zero, -logits], 1), torch.cat([zero, logits], 1)
    one = torch.ones_like(zero)
    positive, negative = torch.cat([one, labels], 1), torch.cat([one, 1 - labels], 1)
    return _logsumexp(below, negative) + _logsumexp(above, positive)


def none_class_ranking(logits: Tensor, labels: Tensor, *, margin: float) -> Tensor:
    """NCRL (Zhou and Lee 2022; ncrl_loss.py): each relation against the threshold, and the
    threshold against the mean relation.

    sum over r of C(d_r, y_r) + C(f_0 - mean over r of f_r, y_0), with
    C(x, y) = -y log sigmoid(x) - (1 - y) log min(1, sigmoid(-x) + margin). Written with softplus:
    the official code takes logarithms of clamped probabilities, without gradient beyond |x| = 18.

    Args:
        margin: gamma; a negative whose probability is below it has no gradient.
    """
    none = logits[:, :1] - logits[:, 1:].mean(1, keepdim=True)
    x = torch.cat([none, logits[:, 1:] - logits[:, :1]], 1)
    negative = -(sigmoid(-x) + margin).clamp(max=1).log() if margin else softplus(x)
    return (labels * softplus(-x) + (1 - labels) * negative).sum(1)


def supervised_contrastive(
    representations: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    base_temperature: float,
    form: Contrastive = "cosine",
    contrasts: Tensor | None = None,
) -> Tensor:
    """SCL, Eq. (28), times temperature / base_temperature. Scalar; 0 with fewer than two anchors.

    Args:
        representations: [N, d] of the anchors, pairs that hold at least one relation.
        labels: [N, R]; two pairs are positives of each other where they share a relation. An anchor
            without positives counts 0.
        form: "cosine" (official code, Stage_1/losses.py): cosine similarity, the mean over the
            positives of the log of their shares; "dot": Eq. (28) as printed, dot product, the log
            of the mean of the shares.
        contrasts: [K, d] of pairs without a relation: in the denominator of every anchor, never
            anchors or positives.
    """
    N = len(representations)
    if N < 2:
        return representations.sum() * 0.0
    rows = normalize(representations, dim=-1) if form == "cosine" else representations
    similarity = rows @ rows.t() / temperature
    itself = torch.eye(N, dtype=torch.bool, device=rows.device)
    others = similarity.masked_fill(itself, -torch.inf)
    if contrasts is not None and len(contrasts):
        rest = normalize(contrasts, dim=-1) if form == "cosine" else contrasts
        others = torch.cat([others, rows @ rest.t() / temperature], 1)
    log_share = similarity - others.logsumexp(1, keepdim=True)
    same = (labels[:, 1:] @ labels[:, 1:].t() > 0) & ~itself
    count = same.sum(1)
    if form == "cosine":
        per_anchor = -(log_share * same).sum(1) / count.clamp(min=1)
    else:
        alone = count == 0
        # an anchor without positives sums over all others, so that no logarithm of 0 enters the
        # gradient, and is then left out
        summed = same | (alone.unsqueeze(1) & ~itself)
        log_sum = log_share.masked_fill(~summed, -torch.inf).logsumexp(1)
        per_anchor = torch.where(alone, 0.0, count.clamp(min=1).to(rows.dtype).log() - log_sum)
    return temperature / base_temperature * per_anchor.mean()


def _logsumexp(logits: Tensor, mask: Tensor) -> Tensor:
    return logits.masked_fill(mask == 0, -torch.inf).logsumexp(1)


def grouped_similarities(anchors: Tensor, others: Tensor, block: int) -> Tensor:
    """Cosine similarities [A, N] of the grouped products of [A, 2 emb] and [N, 2 emb] pairs
    [h'; t'], which are never built.

    The product of two rows' outer products is that of their inner products, summed over groups:
    sum over g of <h_i, h_j><t_i, t_j>.
    """

    def products(left: Tensor, right: Tensor) -> Tensor:
        (a, b), (c, d) = (
            (part.unflatten(1, (-1, block)).transpose(0, 1) for part in rows.chunk(2, 1))
            for rows in (left, right)
        )
        return sum(h @ k.T * (t @ u.T) for h, t, k, u in zip(a, b, c, d, strict=True))

    def norm(rows: Tensor) -> Tensor:
        h, t = (part.unflatten(1, (-1, block)).square().sum(2) for part in rows.chunk(2, 1))
        return (h * t).sum(1).clamp(min=1e-12).sqrt()

    return products(anchors, others) / (norm(anchors)[:, None] * norm(others))
