"""Words for people, and text that a terminal does not obey."""

from __future__ import annotations

import pytest

from pyflow.terminal import clean, columns, counted, cut, duration_text, one_line, padded, size_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("\x1b]0;a title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPstuff\x1b\\after", "after"),
        ("\x1b]never ended", ""),
        ("\x1bcreset", "reset"),
        ("bell\x07", "bell\\x07"),
        ("back\x08\x7f", "back\\x08\\x7f"),
        ("\u202eabc", "\\u202eabc"),
        ("a\r\nb", "a\nb"),
        (" 10%\r 50%\r100%\nend", "100%\nend"),
        ("working\r", "working"),
    ],
)
def test_clean(text, expected):
    """Nothing that a terminal would obey is left; of what was overwritten, the last state is."""
    assert clean(text) == expected


def test_one_line():
    """Newlines become blanks, and a long text is cut off."""
    assert one_line("a\n  b\x1b[1m c", 4) == "a b…"


def test_wide_characters_count_twice():
    """A column is what a terminal takes for a character, not the character."""
    assert columns("日本") == 4
    assert padded("日本", 6) == "日本  "
    assert cut("日本語", 5) == "日本…"
    assert cut("日本語" * 100_000, 5) == "日本…"
    assert columns("e\u0301") == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.004, "0.00 s"), (0.0996, "0.1 s"), (12.34, "12.3 s"), (59.97, "1 min 00 s"), (245, "4 min 05 s"),
     (12000, "3 h 20 min"), (183600, "2 d 3 h"), (-1, "0.00 s")],
)  # fmt: skip
def test_duration(seconds, text):
    """A duration is as exact as is worth reading."""
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1023 B"), (4200, "4.1 KiB"), (256 << 20, "256 MiB"), (1023 << 10, "1.0 MiB")]
)
def test_size(size, text):
    """A size has at most three digits and its unit."""
    assert size_text(size) == text


def test_counted():
    """One task, several tasks."""
    assert [counted(n, "task") for n in (0, 1, 1200)] == ["0 tasks", "1 task", "1,200 tasks"]
