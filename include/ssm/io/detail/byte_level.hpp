#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include <ssm/io/detail/unicode.hpp>

namespace ssm::detail {

/// Byte-level vocabularies write each byte as a printable character: most printable ones of Latin-1 as
/// themselves, the other 68 bytes in order as U+0100 and so on.
class ByteSymbols {
public:
    constexpr ByteSymbols() {
        char32_t next = first_other;
        for (std::size_t byte = 0; byte < 256; ++byte) {
            const bool is_itself =
                (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
            symbols_[byte] = is_itself ? static_cast<char32_t>(byte) : next++;
            bytes_[symbols_[byte]] = static_cast<std::uint8_t>(byte);
        }
    }
    [[nodiscard]] constexpr char32_t symbol(std::uint8_t byte) const noexcept {
        return symbols_[byte];
    }
    /// The byte of a symbol; none for other characters.
    [[nodiscard]] constexpr std::optional<std::uint8_t> byte(char32_t symbol) const noexcept {
        if (symbol >= bytes_.size() || symbols_[bytes_[symbol]] != symbol)
            return std::nullopt;
        return bytes_[symbol];
    }

private:
    static constexpr char32_t first_other = 0x100;

    std::array<char32_t, 256> symbols_{};
    std::array<std::uint8_t, first_other + 68> bytes_{};
};

inline constexpr ByteSymbols byte_symbols;

/// Length of the English contraction at the start of a text: 's 't 're 've 'm 'll 'd; 0 for none.
[[nodiscard]] inline std::size_t contraction(std::u32string_view text) noexcept {
    for (const std::u32string_view suffix : {U"'s", U"'t", U"'re", U"'ve", U"'m", U"'ll", U"'d"})
        if (text.starts_with(suffix))
            return suffix.size();
    return 0;
}

/// Length of the piece at the start of a text, as GPT-2's regular expression cuts it: a contraction;
/// letters, numbers, or other characters, with a space in front; or white space, of which the last
/// character stays for what follows. Precondition: text is not empty.
///
/// Cost      proportional to the piece
[[nodiscard]] inline std::size_t first_piece(std::u32string_view text) noexcept {
    if (const std::size_t length = contraction(text); length > 0)
        return length;
    const bool has_space = text[0] == U' ' && text.size() > 1 && !is_white_space(text[1]);
    const std::size_t begin = has_space ? 1 : 0;
    const auto run = [text](std::size_t from, auto&& belongs) {
        std::size_t end = from;
        while (end < text.size() && belongs(text[end]))
            ++end;
        return end;
    };
    if (is_white_space(text[begin])) {
        const std::size_t end = run(0, is_white_space);
        return end < text.size() && end > 1 ? end - 1 : end;
    }
    if (is_letter(text[begin]))
        return run(begin, is_letter);
    if (is_number(text[begin]))
        return run(begin, is_number);
    return run(begin,
               [](char32_t c) { return !is_white_space(c) && !is_letter(c) && !is_number(c); });
}

}  // namespace ssm::detail
