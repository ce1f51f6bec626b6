"""Text of others is shown as it is, but for what cannot be printed."""

from __future__ import annotations

import pytest

from tools.printable import plain


@pytest.mark.parametrize("text", ["Cho\u2019Gath", "아리 1\t2\n3", "🏆"])
def test_text_is_left_as_it_is(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x7f", "\x9b", "\u202e", "\ufffe", "\ud800"])
def test_what_cannot_be_printed_is_replaced(character: str) -> None:
    assert plain(f"a{character}b") == "a\ufffdb"
