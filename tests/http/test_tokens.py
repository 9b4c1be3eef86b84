"""Where owners come from: a file of tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from mobync_core.http.tokens import KnownTokens, TokenSourceError, token_is_owner


def written(path: Path, text: str) -> Path:
    file = path / "tokens.txt"
    file.write_text(text, "utf-8")
    return file


def test_a_file_of_tokens(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "\ufeff# the family\n\nann-secret = ann\n  bob== =  Bob Müller = b@x  \r\n#old = eve\n",
    )
    owners = KnownTokens.from_file(file)
    assert len(owners) == 2
    assert owners("ann-secret") == "ann"
    assert owners("bob==") == "Bob Müller = b@x"
    assert owners("#old") is None
    assert owners("") is None
    assert owners("ann-secret ") is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("s3cret=ann", "line 1: expected `token = owner`"),
        ("# first\ns3cret ann", "line 2: expected `token = owner`"),
        ("s3cret =", "line 1: expected `token = owner`"),
        ("s3 cret = ann", "line 1: expected `token = owner`"),
        (f"s3cret = {'x' * 256}", "line 1: the owner has 256 bytes"),
        ("s3cret = ann\ns3cret = bob", "line 2: the token of line 1 again"),
        ("# nobody yet\n", "has no line `token = owner`"),
    ],
)
def test_a_file_that_is_wrong_is_told_by_line_and_without_the_token(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(TokenSourceError) as caught:
        KnownTokens.from_file(written(tmp_path, text))
    assert told in str(caught.value)
    assert "tokens.txt" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(TokenSourceError, match="cannot be read: No such file"):
        KnownTokens.from_file(tmp_path / "tokens.txt")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TokenSourceError, match="not a text in UTF-8"):
        KnownTokens.from_file(tmp_path / "binary")


def test_tokens_are_not_kept(tmp_path: Path) -> None:
    owners = KnownTokens.from_file(written(tmp_path, "s3cret = ann"))
    assert "s3cret" not in repr(vars(owners))


def test_a_token_as_the_owner() -> None:
    assert token_is_owner("ann") == "ann"
    assert token_is_owner("x" * 256) is None
