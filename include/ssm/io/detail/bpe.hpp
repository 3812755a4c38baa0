#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <span>
#include <tuple>
#include <unordered_map>
#include <vector>

namespace ssm::detail {

/// Byte pair encoding: merges the pair of neighbours that is first in a list, leftmost first, until no
/// two neighbours are in the list.
///
/// Cost      n log n for n symbols
/// Source    Sennrich et al. 2016
class PairMerges {
public:
    /// Puts `left right -> merged` at the end of the list; false when the pair is there already.
    bool add(std::int32_t left, std::int32_t right, std::int32_t merged) {
        return merges_.try_emplace(key(left, right), Merge{merges_.size(), merged}).second;
    }

    /// Replaces symbols until nothing can be merged.
    void apply(std::vector<std::int32_t>& symbols) const {
        if (symbols.size() < 2)
            return;
        const std::size_t end = symbols.size();
        // Neighbours of each symbol that is left; a merged symbol is where its first part was.
        std::vector<std::size_t> previous(end), next(end);
        std::vector<bool> is_left(end, true);
        std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
        const auto look_at = [&](std::size_t left, std::size_t right) {
            if (const auto merge = find(symbols[left], symbols[right]))
                queue.push({merge->rank, left, right, symbols[left], symbols[right]});
        };
        for (std::size_t i = 0; i < end; ++i) {
            previous[i] = i == 0 ? end : i - 1;
            next[i] = i + 1;
            if (i > 0)
                look_at(i - 1, i);
        }
        while (!queue.empty()) {
            const auto [rank, left, right, a, b] = queue.top();
            queue.pop();
            const bool is_stale = !is_left[left] || !is_left[right] || symbols[left] != a ||
                                  symbols[right] != b || next[left] != right;
            if (is_stale)
                continue;
            symbols[left] = find(a, b)->merged;
            is_left[right] = false;
            next[left] = next[right];
            if (next[left] != end) {
                previous[next[left]] = left;
                look_at(left, next[left]);
            }
            if (previous[left] != end)
                look_at(previous[left], left);
        }
        std::size_t size = 0;
        for (std::size_t i = 0; i < end; i = next[i])
            symbols[size++] = symbols[i];
        symbols.resize(size);
    }

private:
    struct Merge {
        std::size_t rank;
        std::int32_t merged;
    };
    /// rank, positions and symbols of the two
    using Candidate = std::tuple<std::size_t, std::size_t, std::size_t, std::int32_t, std::int32_t>;

    static std::uint64_t key(std::int32_t left, std::int32_t right) noexcept {
        return std::uint64_t{static_cast<std::uint32_t>(left)} << 32U |
               static_cast<std::uint32_t>(right);
    }
    [[nodiscard]] std::optional<Merge> find(std::int32_t left, std::int32_t right) const {
        const auto position = merges_.find(key(left, right));
        if (position == merges_.end())
            return std::nullopt;
        return position->second;
    }

    std::unordered_map<std::uint64_t, Merge> merges_;
};

}  // namespace ssm::detail
