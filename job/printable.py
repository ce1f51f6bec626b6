"""Escapes text from messages and other programs before it is logged or displayed."""


def escape(text: str) -> str:
    """Escape control characters, line breaks, bidirectional controls and all else that is not printable."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
