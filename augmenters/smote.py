"""Between a stored training pair and one of its neighbours: SMOTE in representation space."""

import torch

from augmenters.pool import KeepsPairs
from benchmark.options import OptionModel, Whole
from benchmark.registry import AUGMENTERS

CHUNK = 1024  # rows whose distances to all others are held at a time


@AUGMENTERS.register("smote")
class Smote(KeepsPairs):
    """SMOTE (Chawla et al. 2002): x_i + u (x_j - x_i), u ~ U(0, 1).

    x_i is a training pair with the requested label set, in the space of the stage 1 model, x_j one
    of its nearest pairs with the same label set. Where no other pair has it, x_j is one of the
    nearest pairs that share the rarest relation; where there is none either, x_i is repeated. The
    generated pair has the requested label set. Its control is `bank`, where u = 0.
    """

    class Options(OptionModel):
        neighbours: Whole = 5  # k, how many nearest pairs are drawn from

    def _prepare(self, label_sets, *, rng, progress):
        super()._prepare(label_sets, rng=rng, progress=progress)
        sets, rows, labels = self.pool.sets, self.stored.representations, self.stored.labels
        ids, counts = sets.ids.to(rows.device), sets.counts.to(rows.device)
        alone = counts[ids] == 1
        frequency = labels.sum(0).expand_as(labels).masked_fill(~labels, len(labels) + 1)
        rarest = frequency.argmin(1)  # [N] the rarest relation of each row
        found = []
        for part in torch.arange(len(rows), device=rows.device).split(CHUNK):
            shares_rarest, same = labels[:, rarest[part]].T, ids[part, None] == ids
            fellow = torch.where(alone[part, None], shares_rarest, same)
            fellow[torch.arange(len(part)), part] = False
            distance = torch.cdist(rows[part], rows).masked_fill(~fellow, torch.inf)
            k = min(self.options.neighbours, len(rows))
            nearest = distance.topk(k, largest=False)
            # a missing neighbour is the row itself
            found.append(nearest.indices.where(nearest.values.isfinite(), part[:, None]))
            progress(int(part[-1]) + 1, len(rows))
        self.nearest = torch.cat(found)  # [N, k], those that exist first
        self.known = (self.nearest != torch.arange(len(rows), device=rows.device)[:, None]).sum(1)

    def _augment(self, representations, labels, *, rng):
        device, Q = labels.device, len(labels)
        base = self.pool.draw_nearest(labels, rng).to(device)
        place, share = torch.rand(2, Q, generator=rng).to(device)
        chosen = (place * self.known[base]).long()
        stored = self.stored.representations
        start, end = stored[base], stored[self.nearest[base, chosen]]
        return torch.lerp(start, end, share[:, None]), labels.clone()
