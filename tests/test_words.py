"""The words that a reader meets: the field's own, one word for one thing."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PLACES = ("src", "conf", "docs", "scripts", "README.md")

WORDS = {
    "picture": "image",
    "mend": "fix",
    "knob": "option or hyperparameter",
}
"""Words of the past, and today's."""

SENTENCES = (
    "moves the thresholds no more",
    "brought together",
    "that there is not",
    "told of other devices",
    "held still",
    "of which less is better",
    "nobody foresaw",
    "lie as they were",
    "to be had here",
    "a run that is none",
    "what is no map",
    "told of later",
    "below the line",
    "can mend",
    "where slurm is",
    "needs more packages says which",
    "with what was cut",
    "before it is left",
    "nearest that there is",
    "is a function here",
)
"""Parts of sentences that puzzled readers."""


def lines() -> list[tuple[str, str]]:
    """Every line that a reader may meet, with its place."""
    files = [REPOSITORY / "README.md", *(path for place in PLACES for path in (REPOSITORY / place).rglob("*"))]
    read = (path for path in files if path.suffix in (".py", ".yaml", ".md"))
    return [
        (f"{path.relative_to(REPOSITORY)}:{number}", line.lower())
        for path in read
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    ]


@pytest.mark.parametrize("word", WORDS)
def test_one_word_for_one_thing(word: str) -> None:
    pattern = re.compile(rf"\b{word}(s|ed|ing)?\b")
    found = [place for place, line in lines() if pattern.search(line)]
    assert not found, f"write {WORDS[word]}"


def test_no_sentence_that_puzzled_readers() -> None:
    assert [(place, part) for place, line in lines() for part in SENTENCES if part in line] == []
