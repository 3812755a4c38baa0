#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include <ssm/io/detail/unicode_tables.hpp>

/// The little of Unicode that byte-level tokenizers need: UTF-8, three classes of characters, NFC.
namespace ssm::detail {

inline constexpr char32_t replacement_character = 0xFFFD;

/// What stands at the start of a text.
struct Utf8Character {
    char32_t code = replacement_character;
    std::size_t bytes = 1;
    bool is_valid = false;
    bool is_cut = false;  ///< more bytes could make it valid
};

/// Reads one character. Of invalid bytes it takes the longest start of a character, at least one byte,
/// for a replacement character, as Unicode recommends. Precondition: text is not empty.
[[nodiscard]] inline Utf8Character read_utf8(std::string_view text) noexcept {
    const auto byte = [text](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
    const std::uint8_t lead = byte(0);
    if (lead < 0x80)
        return {lead, 1, true, false};
    if (lead < 0xC2 || lead > 0xF4)
        return {};
    const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    auto code = static_cast<char32_t>(lead & (0x7FU >> length));
    for (std::size_t i = 1; i < length; ++i) {
        if (i == text.size())
            return {replacement_character, i, false, true};
        // The second byte must make neither a longer form of a short one, nor a surrogate, nor too much.
        const std::uint8_t low = i > 1 ? 0x80 : lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
        const std::uint8_t high = i > 1 ? 0xBF : lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
        if (byte(i) < low || byte(i) > high)
            return {replacement_character, i, false, false};
        code = (code << 6U) | (byte(i) & 0x3FU);
    }
    return {code, length, true, false};
}

inline void append_utf8(std::string& text, char32_t code) {
    const auto put = [&text](char32_t byte) { text.push_back(static_cast<char>(byte)); };
    if (code < 0x80) {
        put(code);
    } else if (code < 0x800) {
        put(0xC0U | (code >> 6U));
        put(0x80U | (code & 0x3FU));
    } else if (code < 0x10000) {
        put(0xE0U | (code >> 12U));
        put(0x80U | ((code >> 6U) & 0x3FU));
        put(0x80U | (code & 0x3FU));
    } else {
        put(0xF0U | (code >> 18U));
        put(0x80U | ((code >> 12U) & 0x3FU));
        put(0x80U | ((code >> 6U) & 0x3FU));
        put(0x80U | (code & 0x3FU));
    }
}

[[nodiscard]] inline std::u32string from_utf8(std::string_view text) {
    std::u32string codes;
    codes.reserve(text.size());
    while (!text.empty()) {
        const Utf8Character next = read_utf8(text);
        codes.push_back(next.code);
        text.remove_prefix(next.bytes);
    }
    return codes;
}

[[nodiscard]] inline std::string to_utf8(std::u32string_view codes) {
    std::string text;
    for (const char32_t code : codes)
        append_utf8(text, code);
    return text;
}

// --- classes ------------------------------------------------------------------------------------

/// The range of a sorted table that has the code point; the table's end for none.
template <class Table>
[[nodiscard]] constexpr auto find_range(const Table& table, char32_t code) noexcept {
    const auto after =
        std::upper_bound(std::begin(table), std::end(table), code,
                         [](char32_t c, const auto& range) { return c < range.first; });
    if (after == std::begin(table) || std::prev(after)->last < code)
        return std::end(table);
    return std::prev(after);
}

[[nodiscard]] inline bool is_letter(char32_t code) noexcept {
    if (code < 0x80)
        return (code | 0x20U) >= 'a' && (code | 0x20U) <= 'z';
    return find_range(letter_ranges, code) != std::end(letter_ranges);
}

[[nodiscard]] inline bool is_number(char32_t code) noexcept {
    if (code < 0x80)
        return code >= '0' && code <= '9';
    return find_range(number_ranges, code) != std::end(number_ranges);
}

/// The property White_Space.
[[nodiscard]] inline bool is_white_space(char32_t code) noexcept {
    return (code >= 0x09 && code <= 0x0D) || code == 0x20 || code == 0x85 || code == 0xA0 ||
           code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
           code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

// --- normalisation form C -----------------------------------------------------------------------

[[nodiscard]] inline std::uint8_t combining_class(char32_t code) noexcept {
    const auto range = find_range(combining_ranges, code);
    return range == std::end(combining_ranges) ? std::uint8_t{0} : range->order;
}

/// Hangul syllables are made of a leading consonant, a vowel and perhaps a trailing consonant.
struct Hangul {
    static constexpr char32_t syllables = 0xAC00, leads = 0x1100, vowels = 0x1161, trails = 0x11A7;
    static constexpr char32_t lead_count = 19, vowel_count = 21, trail_count = 28;
    static constexpr char32_t count = lead_count * vowel_count * trail_count;

    [[nodiscard]] static bool is_syllable(char32_t code) noexcept {
        return code >= syllables && code < syllables + count;
    }
    /// 0 for no syllable.
    [[nodiscard]] static char32_t compose(char32_t a, char32_t b) noexcept {
        if (a >= leads && a < leads + lead_count && b >= vowels && b < vowels + vowel_count)
            return syllables + ((a - leads) * vowel_count + (b - vowels)) * trail_count;
        const bool is_open = is_syllable(a) && (a - syllables) % trail_count == 0;
        return is_open && b > trails && b < trails + trail_count ? a + (b - trails) : 0;
    }
};

inline void decompose(char32_t code, std::u32string& out) {
    if (Hangul::is_syllable(code)) {
        const char32_t index = code - Hangul::syllables;
        out.push_back(Hangul::leads + index / Hangul::trail_count / Hangul::vowel_count);
        out.push_back(Hangul::vowels + index / Hangul::trail_count % Hangul::vowel_count);
        if (index % Hangul::trail_count != 0)
            out.push_back(Hangul::trails + index % Hangul::trail_count);
        return;
    }
    const auto row =
        std::lower_bound(std::begin(decompositions), std::end(decompositions), code,
                         [](const Decomposition& a, char32_t c) { return a.code < c; });
    if (row == std::end(decompositions) || row->code != code) {
        out.push_back(code);
        return;
    }
    decompose(row->first, out);
    if (row->second != 0)
        decompose(row->second, out);
}

/// What NFC makes of two characters; 0 for nothing.
[[nodiscard]] inline char32_t compose(char32_t a, char32_t b) {
    // By pair of parts; those of starters and marks that compose at all.
    static const std::u32string by_parts = [] {
        std::u32string rows;
        for (std::size_t i = 0; i < std::size(decompositions); ++i)
            if (decompositions[i].composes)
                rows.push_back(static_cast<char32_t>(i));
        std::sort(rows.begin(), rows.end(), [](char32_t x, char32_t y) {
            return std::pair(decompositions[x].first, decompositions[x].second) <
                   std::pair(decompositions[y].first, decompositions[y].second);
        });
        return rows;
    }();
    if (const char32_t syllable = Hangul::compose(a, b); syllable != 0)
        return syllable;
    const std::pair<std::uint32_t, std::uint32_t> parts(a, b);
    const auto row = std::lower_bound(
        by_parts.begin(), by_parts.end(), parts, [](char32_t i, const auto& searched) {
            return std::pair(decompositions[i].first, decompositions[i].second) < searched;
        });
    if (row == by_parts.end() || decompositions[*row].first != parts.first ||
        decompositions[*row].second != parts.second)
        return 0;
    return decompositions[*row].code;
}

/// Marks behind a starter into the order of their classes.
inline void order_marks(std::u32string& codes) {
    for (auto begin = codes.begin(); begin != codes.end();) {
        if (combining_class(*begin) == 0) {
            ++begin;
            continue;
        }
        const auto end =
            std::find_if(begin, codes.end(), [](char32_t c) { return combining_class(c) == 0; });
        std::stable_sort(begin, end, [](char32_t a, char32_t b) {
            return combining_class(a) < combining_class(b);
        });
        begin = end;
    }
}

/// Normalisation form C.
///
/// Cost      n log n in the worst case; texts without characters from U+0300 are returned as they are
/// Source    Unicode Standard Annex 15
[[nodiscard]] inline std::u32string nfc(std::u32string_view text) {
    if (std::all_of(text.begin(), text.end(), [](char32_t c) { return c < 0x300; }))
        return std::u32string(text);
    std::u32string codes;
    codes.reserve(text.size());
    for (const char32_t code : text)
        decompose(code, codes);
    order_marks(codes);

    constexpr std::size_t none = ~std::size_t{0};
    std::size_t starter = none;
    std::size_t size = 0;
    std::uint8_t before = 0;  // class of the last character kept behind the starter
    for (const char32_t code : codes) {
        const std::uint8_t order = combining_class(code);
        const bool is_next = starter != none && size == starter + 1;
        if (starter != none && (is_next || (before < order && before != 0)))
            if (const char32_t composed = compose(codes[starter], code); composed != 0) {
                codes[starter] = composed;
                continue;
            }
        if (order == 0)
            starter = size;
        before = order;
        codes[size++] = code;
    }
    codes.resize(size);
    return codes;
}

}  // namespace ssm::detail
