"""Sanitizing untrusted text."""

from __future__ import annotations

import pytest

from tools.printable import sanitize


@pytest.mark.parametrize("text", ["Cho\u2019Gath", "아리 1\t2\n3", "🏆"])
def test_printable_text_is_unchanged(text: str) -> None:
    assert sanitize(text) == text


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x7f", "\x9b", "\u202e", "\ufffe", "\ud800"])
def test_control_characters_are_replaced(character: str) -> None:
    assert sanitize(f"a{character}b") == "a\ufffdb"
