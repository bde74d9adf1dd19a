import json
import sys
from subprocess import run

from samples import document

from benchmark.data.docred import as_docred
from benchmark.data.stats import statistics, table


def row(words, entities, facts):
    """words: of each sentence. entities: for each, the sentences of its mentions."""
    mentions = [[(sentence, 0, 1) for sentence in at] for at in entities]
    return document("t", ["w " * number for number in words], mentions, facts)


ROWS = [
    # pairs 3*2 = 6; positive (0,1) with a and b, (1,2) with a; intra: 0 and 1 meet in sentence 0, 1
    # and 2 nowhere; one fact twice
    row([3, 4], [[0, 1], [0], [1]], [(0, 1, "a"), (0, 1, "b"), (1, 2, "a"), (1, 2, "a")]),
    # pairs 2; the fact relates an entity to itself: no positive pair
    row([5], [[0], [0]], [(0, 0, "c")]),
    row([1], [], []),
]


def test_numbers_of_a_hand_made_split():
    numbers = statistics(ROWS, frequent={"a", "z"})
    assert [numbers[k] for k in ("documents", "without_facts", "under_two_entities")] == [3, 1, 1]
    assert (numbers["words"], numbers["words_max"], numbers["sentences"]) == (13, 7, 4)
    assert (numbers["entities"], numbers["entities_max"], numbers["mentions"]) == (5, 3, 6)
    assert (numbers["facts"], numbers["self_relations"]) == (4, 1)
    assert (numbers["pairs"], numbers["positive_pairs"], numbers["na_share"]) == (8, 2, 0.75)
    assert numbers["labels_per_pair"] == {1: 1, 2: 1}
    assert numbers["relations"] == {"a": 2, "b": 1, "c": 1} and numbers["frequent"] == ["a"]
    assert (numbers["frequent_share"], numbers["tail_share"]) == (0.5, 0.5)
    # the fact of entity 0 with itself is intra
    assert (numbers["intra_share"], numbers["inter_share"]) == (0.75, 0.25)


def test_shares_without_a_denominator_are_none_and_the_table_shows_them():
    numbers = statistics([ROWS[2]])
    assert numbers["na_share"] is numbers["intra_share"] is numbers["frequent_share"] is None
    shown = dict(table(numbers))
    assert shown["  without a relation (NA)"] == "-"
    assert shown["entities"] == "0 (0.0 a document, at most 0)"
    assert dict(table(statistics([])))["documents"] == "0"


def test_the_table_says_what_the_numbers_say():
    shown = dict(table(statistics(ROWS)))
    assert shown["facts"] == "4 (1.3 a document)"
    assert shown["relations of a positive pair"] == "1: 1, 2: 1"
    assert shown["  frequent"] == "a 2, b 1, c 1"


def test_statistics_of_a_file_need_no_datasets_library(tmp_path):
    path = tmp_path / "file.json"
    path.write_text(json.dumps([as_docred(ROWS[0])]))
    code = (
        "import sys; from benchmark.data.docred import read_documents;"
        "from benchmark.data.stats import statistics;"
        f"statistics(read_documents({str(path)!r})); sys.exit('datasets' in sys.modules)"
    )
    assert run([sys.executable, "-c", code], check=False).returncode == 0
