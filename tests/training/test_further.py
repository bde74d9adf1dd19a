"""Further documents ride along with those of each step, after the warm-up."""

import json
from pathlib import Path

import pytest
from samples import document
from tiny_runs import config, execute, five_documents, losses, numbers, tiny_corpus

from benchmark.config import Choice
from benchmark.data.docred import as_docred, further_documents
from benchmark.data.made_up import made_up_batch, made_up_document
from benchmark.data.sampling import BLANK, DocumentBatches
from benchmark.errors import DataError
from benchmark.training.further import FurtherCollator
from benchmark.training.tried_first import require_fitting_documents


def collator(count, *, rewrites=False, size=6, seed=0):
    further = [made_up_document(100 + number, 2) | {"row": number} for number in range(count)]
    batches = DocumentBatches(range(size), 2, order="random", seed=seed)
    given = made_up_batch, further, made_up_batch, batches
    return FurtherCollator(*given, warmup_epochs=1, seed=seed, rewrites=rewrites), batches


def partners(collate, batches, epoch, size=6):
    batches.set_epoch(epoch)
    rows = [made_up_document(number, 3) for number in range(size)]
    return [collate([row]).further.rows.item() for row in rows]


def test_a_version_comes_with_its_document():
    collate, batches = collator(6, rewrites=True)
    assert partners(collate, batches, 1) == list(range(6))
    batch = collate([made_up_document(4, 3), made_up_document(1, 3)])
    assert batch.further.rows.tolist() == [4, 1] and batch.to("cpu").further is not None


def test_others_are_dealt_out_anew_in_each_epoch():
    collate, batches = collator(6)
    first, second = (partners(collate, batches, epoch) for epoch in (1, 2))
    assert sorted(first) == sorted(second) == list(range(6)) and first != second
    assert partners(*collator(6), 1) == first  # whatever epoch a process begins with
    assert partners(*collator(6, seed=1), 1) != first


@pytest.mark.parametrize(("count", "different"), [(2, 2), (50, 6)])
def test_there_may_be_fewer_or_more_of_them(count, different):
    assert len(set(partners(*collator(count), 1))) == different


def test_a_process_without_a_document_gets_none():
    collate, batches = collator(6)
    batches.set_epoch(1)
    assert collate._partner(BLANK) == BLANK


@pytest.fixture
def file(tmp_path):
    path, entities = tmp_path / "further.json", [[(0, 0, 1)], [(0, 2, 3)]]
    rows = [document(f"further {n}", [f"w{n} w1 w2 w3"], entities, [(0, 1, "r3")]) for n in (0, 1)]
    path.write_text(json.dumps(list(map(as_docred, rows))))
    return path


@pytest.mark.parametrize("augment", [{}, {"stage3": "head", "passes": 2}])
def test_a_run_with_further_documents(tmp_path, file, augment):
    """It equals `none` through the warm-up, differs after it, and is reproducible."""
    run, found = config("atlop", "copies", augment=augment), []
    chosen = Choice(name="documents", options={"path": str(file)})
    run = run.model_copy(update={"augmenter": chosen})
    for attempt in ("one", "other"):
        plain = execute(tmp_path / attempt, config("atlop"))
        if augment:
            plain = execute(tmp_path / attempt, run.plain())
        directory = execute(tmp_path / attempt, run)
        one, other = losses(plain), losses(directory)
        assert one[0] == other[0] and one[1] != other[1]
        found.append(numbers(directory))
    assert found[0] == found[1]


def further(path, *rows):
    path.write_text(json.dumps(list(map(as_docred, rows))))
    run, choice = config("atlop", "copies"), Choice(name="documents", options={"path": str(path)})
    return run.model_copy(update={"augmenter": choice})


def test_a_file_is_looked_at_before_anything_is_trained(tmp_path):
    """Its relations, and that no document of it is one to choose an epoch by or to be scored."""
    corpus, path = tiny_corpus(), tmp_path / "mine.json"
    good, odd = (
        document("mine", ["a b"], [[(0, 0, 1)], [(0, 1, 2)]], [(0, 1, name)])
        for name in ("r1", "r9")
    )
    require_fitting_documents(further(path, good), corpus)
    require_fitting_documents(config("atlop", "copies"), corpus)
    unknown = r"mine.json: document 1 'x', labels\[0\].r: unknown relation: 'r9'"
    with pytest.raises(DataError, match=unknown):
        require_fitting_documents(further(path, good, odd | {"title": "x"}), corpus)
    for split in ("dev", "test"):
        held_out = getattr(corpus, split)[1]
        shown = f"mine.json: document 1 'x' is the {split} document '{held_out['title']}', word for"
        with pytest.raises(DataError, match=shown):
            require_fitting_documents(further(path, good, held_out | {"title": "x"}), corpus)


def test_nothing_is_trained_on_what_is_scored(tmp_path):
    path = tmp_path / "mine.json"
    with pytest.raises(DataError, match="documents of 'documents': document 0 .* test document"):
        execute(tmp_path, further(path, tiny_corpus().test[1]))


def test_what_is_no_column_and_no_sentence_is_left_out():
    """As `data validate` says of evidence; `_documents` is a user's own code."""
    row = {**five_documents()[0], "source": Path("a.json")}
    (found,) = further_documents([row], tiny_corpus(), "documents of 'x'")
    row["facts"] = [{**fact, "evidence": ["a", 99, 0]} for fact in row["facts"]]
    (cited,) = further_documents([row], tiny_corpus(), "documents of 'x'")
    assert "source" not in found
    assert [fact["evidence"] for fact in cited["facts"]] == [[0]] * len(found["facts"])


def test_a_relation_that_the_corpus_lacks_is_named():
    row = document("mine", ["a b"], [[(0, 0, 1)], [(0, 1, 2)]], [(0, 1, "r9")])
    with pytest.raises(DataError, match=r"documents of 'x'.*'mine'.*r9"):
        further_documents([row], tiny_corpus(), "documents of 'x'")
