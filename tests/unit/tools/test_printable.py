"""Sanitizing untrusted text."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tools.printable import sanitize


@pytest.mark.parametrize("text", ["Cho\u2019Gath", "아리 1\t2\n3", "🏆"])
def test_printable_text_is_unchanged(text: str) -> None:
    assert sanitize(text) == text


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x7f", "\x9b", "\u202e", "\ufffe", "\ud800"])
def test_control_characters_are_replaced(character: str) -> None:
    assert sanitize(f"a{character}b") == "a\ufffdb"


def test_lines_of_a_log_are_sanitized() -> None:
    log = "first\tline\nforged\x1b[2J\x9b\u202e아리\n".encode() + b"not UTF-8: \xff\n"
    run = subprocess.run([sys.executable, "-m", "tools.printable"], input=log, capture_output=True, check=True)
    assert run.stdout.decode() == "first\tline\nforged\ufffd[2J\ufffd\ufffd아리\nnot UTF-8: \ufffd\n"
