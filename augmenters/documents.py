"""Further documents to train on, from a file."""

import os
from pathlib import Path
from typing import Any, ClassVar

from augmenters.base import Augmenter
from benchmark.data.docred import read_documents
from benchmark.errors import ConfigError
from benchmark.registry import AUGMENTERS

EXAMPLE = Path(__file__).with_name("documents_example.json")


@AUGMENTERS.register("documents")
class Documents(Augmenter):
    """Further training documents from a file: distant, written by a language model, or your own.

    A step takes as many of them as of its own documents. All their pairs enter the loss, negatives
    included. The relations must be those of the dataset, and none may be a document of dev or
    test, which is looked at before anything is trained. Ign F1 goes on leaving out the facts of the
    dataset's own training documents alone.

    Args:
        path: a file in DocRED's format. Its content is part of what identifies a run.
    """

    check_options: ClassVar[dict[str, Any]] = {"path": str(EXAMPLE)}

    def __init__(self, *, path: str):
        if not isinstance(path, str) or not Path(os.path.expanduser(path)).is_file():
            raise ConfigError(
                f"option 'path': {path!r} is no file; expected documents in DocRED's format"
            )
        self.documents_file = Path(os.path.expanduser(path))
        next(read_documents(self.documents_file))  # a file of another kind is refused at once

    def _documents(self, documents, *, rng):
        return list(read_documents(self.documents_file))
