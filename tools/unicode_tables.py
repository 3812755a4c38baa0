#!/usr/bin/env python3
"""Writes include/ssm/io/detail/unicode_tables.hpp from Python's own Unicode data."""

import pathlib
import unicodedata

CODES = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def ranges(key):
    """Runs of neighbouring code points of one nonzero key: [first, last, key]."""
    found = []
    for code in CODES:
        value = key(chr(code))
        if not value:
            continue
        if found and found[-1][1] == code - 1 and found[-1][2] == value:
            found[-1][1] = code
        else:
            found.append([code, code, value])
    return found


def decompositions():
    """Canonical decompositions: (code, first, second or 0, whether the pair composes again)."""
    found = []
    for code in CODES:
        text = unicodedata.decomposition(chr(code))
        if not text or text.startswith("<"):
            continue
        parts = [int(part, 16) for part in text.split()] + [0]
        pair = "".join(chr(part) for part in parts[:2])
        composes = parts[1] != 0 and unicodedata.normalize("NFC", pair) == chr(code)
        found.append((code, parts[0], parts[1], int(composes)))
    return found


def table(kind, name, about, rows):
    entries = ["{" + ",".join(hex(n) if n > 255 else str(n) for n in row) + "}," for row in rows]
    lines = [""]
    for entry in entries:
        if len(lines[-1]) + len(entry) > 98:
            lines.append("")
        lines[-1] += entry
    return "\n".join([f"/// {about}", f"inline constexpr {kind} {name}[] = {{", *lines, "};\n"])


HEAD = f"""#pragma once

#include <cstdint>

// clang-format off
// Made by tools/unicode_tables.py from the Unicode Character Database {unicodedata.unidata_version}.

namespace ssm::detail {{

/// Code points first to last.
struct CodeRange {{ std::uint32_t first; std::uint32_t last; }};
/// Code points of one canonical combining class.
struct CombiningRange {{ std::uint32_t first; std::uint32_t last; std::uint8_t order; }};
/// code = first second in canonical decomposition, second 0 for none; whether NFC composes it again.
struct Decomposition {{ std::uint32_t code; std::uint32_t first; std::uint32_t second; bool composes; }};
"""


def main():
    category = unicodedata.category
    letters = [row[:2] for row in ranges(lambda c: category(c)[0] == "L")]
    numbers = [row[:2] for row in ranges(lambda c: category(c)[0] == "N")]
    text = "\n".join([
        HEAD,
        table("CodeRange", "letter_ranges", "General category L.", letters),
        table("CodeRange", "number_ranges", "General category N.", numbers),
        table("CombiningRange", "combining_ranges", "Combining classes other than 0.",
              ranges(unicodedata.combining)),
        table("Decomposition", "decompositions", "By code; Hangul syllables follow a rule instead.",
              decompositions()),
        "}  // namespace ssm::detail\n"])
    root = pathlib.Path(__file__).parent.parent
    (root / "include/ssm/io/detail/unicode_tables.hpp").write_text(text)


if __name__ == "__main__":
    main()
