"""A Gaussian for each label set that borrows strength from frequent ones."""

import torch

from augmenters.pool import KeepsPairs
from benchmark.options import Least, OptionModel, Whole
from benchmark.registry import AUGMENTERS


@AUGMENTERS.register("calibrated")
class Calibrated(KeepsPairs):
    """Distribution calibration (Yang et al. 2021, Eq. 6), for label sets of any size.

    Label sets with at least `base` training pairs keep their own mean and covariance; where none
    has so many, the largest do. One with n < base pairs and mean m mixes them, with weight
    n / (n + own), with those it borrows: the mean of m and of the k nearest base means, and the
    mean covariance of these k, to which `alpha` times the mean variance is added in every dimension
    (in that paper a constant). Its power transform is left out. Covariances are never built: a
    sample is the sum of `draws` random residuals with standard normal factors, divided by the
    square root of `draws`, which has just this covariance.
    """

    class Options(OptionModel):
        neighbours: Whole = 2  # k, how many base label sets are borrowed from
        base: Whole = 50  # training pairs from which a label set stands on its own
        own: Least = 5.0  # pairs that weigh as much as what is borrowed
        alpha: Least = 0.21  # added variance, in units of the mean variance within label sets
        draws: Whole = 32  # residuals in a sample

    def _prepare(self, label_sets, *, rng, progress):
        super()._prepare(label_sets, rng=rng, progress=progress)
        sets, rows, options = self.pool.sets, self.stored.representations, self.options
        ids, n = sets.ids.to(rows.device), sets.counts.to(rows)
        means = rows.new_zeros(len(sets), rows.shape[1]).index_add_(0, ids, rows) / n[:, None]
        self.residuals = rows - means[ids]
        is_base = n >= min(options.base, int(n.max()))
        base = is_base.nonzero().squeeze(1)
        k = min(options.neighbours, len(base))
        near = base[torch.cdist(means, means[base]).topk(k, largest=False).indices]
        borrowed = (means[near].sum(1) + means) / (k + 1)
        weight = torch.where(is_base, 1.0, n / (n + options.own))
        self.means = torch.lerp(borrowed, means, weight[:, None])
        self.near, self.weight = near.cpu(), weight.cpu()
        self.noise = (options.alpha * self.residuals.square().mean() * (1 - weight)).sqrt()[:, None]

    def _augment(self, representations, labels, *, rng):
        device, draws = labels.device, self.options.draws
        shape = (len(labels), draws)
        ids = self.pool.sets.ids[self.pool.draw_nearest(labels, rng)]  # [Q] a known label set each
        borrowed = self.near[ids].gather(1, torch.randint(self.near.shape[1], shape, generator=rng))
        is_own = torch.rand(shape, generator=rng) < self.weight[ids, None]
        source = torch.where(is_own, ids[:, None], borrowed)
        drawn = self.pool.draw(source.flatten(), rng).view(shape).to(device)
        factors = torch.randn(shape, generator=rng).to(representations)[:, None]
        spread = (factors @ self.residuals[drawn]).squeeze(1) / draws**0.5
        noise = torch.randn(spread.shape, generator=rng).to(representations)
        ids = ids.to(device)
        return self.means[ids] + spread + self.noise[ids] * noise, labels.clone()
