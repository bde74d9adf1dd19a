"""Feature rows -> one packed batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch

from benchmark.data.batches import OPTIONAL, Batch
from benchmark.data.windows import WindowPlan
from benchmark.errors import UserError


class Collator:
    """Turns feature rows into a Batch, in numpy; no Python loop runs over pairs or mentions.

    needs: the optional fields that the batch carries. Raises UserError if there is no such field.
    """

    def __init__(self, plan: WindowPlan, needs: Sequence[str] = ()):
        if isinstance(needs, str):
            raise UserError(f"needs must be a tuple of names: write needs = ({needs!r},)")
        self.plan, self.needs = plan, tuple(needs)
        for name in set(needs) - set(OPTIONAL):
            known = ", ".join(OPTIONAL)
            raise UserError(f"needs: a batch has no optional field {name!r}. Known: {known}")

    def __call__(self, rows: Sequence[dict]) -> Batch:
        room, after = self.plan.room, self.plan.after
        further = np.arange(1, len(after))
        tokens = [np.asarray(row["tokens"], dtype=np.int64) for row in rows]
        starts = [self.plan.starts(len(t)) for t in tokens]
        lengths = np.array([len(t) + 1 + len(after) for t in tokens])
        width = int(lengths.max())
        windows = sum(map(len, starts))
        ids = np.full((windows, min(width, self.plan.size)), self.plan.pad, dtype=np.int64)
        mask = np.zeros_like(ids)
        target = np.full_like(ids, len(rows) * width)

        parts: defaultdict[str, list[np.ndarray]] = defaultdict(list)
        window = entity = mention = pair = 0
        for d, row in enumerate(rows):
            column = lambda name, row=row: np.asarray(row[name], dtype=np.int64)
            positions, first_token = column("mention_position"), d * width + 1
            text_end = first_token + len(tokens[d])
            for k, start in enumerate(starts[d]):
                piece = tokens[d][start : start + room]
                end = len(piece) + 1
                ids[window, 0] = self.plan.start
                ids[window, 1:end] = piece
                ids[window, end : end + len(after)] = after
                mask[window, : end + len(after)] = 1
                target[window, 1:end] = first_token + start + np.arange(len(piece))
                if k == 0:  # the text's own start and end; those of inner windows are dropped
                    target[window, 0] = first_token - 1
                stop = start + len(piece)
                if k == len(starts[d]) - 1:
                    target[window, end] = text_end
                    stop += 1  # the end stands for an unmarked mention without tokens before it
                target[window, end + further] = text_end + further  # the same in all windows
                inside = np.flatnonzero((positions >= start) & (positions < stop))
                parts["occurrence_mention"].append(mention + inside)
                parts["occurrence_window"].append(np.full(len(inside), window))
                parts["occurrence_column"].append(positions[inside] - start + 1)
                parts["occurrence_slot"].append(np.arange(len(inside)))
                window += 1

            n = int(row["entities"])
            parts["mention_state"].append(first_token + positions)
            parts["mention_entity"].append(entity + column("mention_entity"))
            parts["entity_document"].append(np.full(n, d))
            parts["entity_slot"].append(np.arange(n))
            head, tail = np.divmod(np.arange(n * n), max(n, 1))
            parts["cells"].append(np.stack([np.full(n * n, d), head, tail], axis=1))
            parts["off_diagonal"].append(head != tail)
            parts["pair_reverse"].append(pair + _pair_number(tail, head, n)[head != tail])
            # an entity makes no pair with itself: such facts stay in gold and leave training
            head, tail = column("fact_head"), column("fact_tail")
            parts["fact_pair"].append((pair + _pair_number(head, tail, n))[head != tail])
            parts["fact_class"].append(column("fact_class")[head != tail])

            for name in {"entity_type", "mention_sentence"} & set(self.needs):
                parts[name].append(column(name))
            if "mention_end" in self.needs:
                parts["mention_end"].append(first_token + column("mention_end"))
            if "token_sentence" in self.needs:
                sizes = np.diff([*row["sentence_start"], len(tokens[d])])
                numbers = np.repeat(np.arange(len(sizes)), sizes)
                parts["token_sentence"].append(np.full((1, width), -1))
                parts["token_sentence"][d][0, 1 : 1 + len(numbers)] = numbers
            if "evidence" in self.needs:
                head, tail = column("evidence_head"), column("evidence_tail")
                cited = pair + _pair_number(head, tail, n), column("evidence_sentence")
                cited = np.stack([*cited, column("evidence_count")], axis=1)
                parts["evidence"].append(cited[head != tail])
            entity, mention, pair = entity + n, mention + len(positions), pair + n * (n - 1)

        packed = {name: np.concatenate(arrays).astype(np.int64) for name, arrays in parts.items()}
        packed |= {
            "rows": np.array([row["row"] for row in rows]),
            "lengths": lengths,
            "entities": np.array([row["entities"] for row in rows], dtype=np.int64),
            "window_ids": ids,
            "window_mask": mask,
            "window_target": target,
            "pair_cell": np.flatnonzero(packed.pop("off_diagonal")),
            "positive": np.unique(packed["fact_pair"]),
        }
        return Batch(
            **{name: torch.from_numpy(array) for name, array in packed.items()},
            width=width,
            largest=int(packed["entities"].max()),
            slots=int(packed["occurrence_slot"].max(initial=-1)) + 1,
        )


def _pair_number(head: np.ndarray, tail: np.ndarray, n: int) -> np.ndarray:
    """Running number of (head, tail) among a document's n(n-1) pairs in row-major order."""
    return head * (n - 1) + tail - (tail > head)
