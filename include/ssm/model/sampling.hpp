#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>

namespace ssm {

/// How a token is drawn from logits.
struct SamplingOptions {
    double temperature = 0.0;  ///< logits are divided by it; 0 takes the most likely token
    std::size_t top_k = 0;     ///< only the k most likely tokens; 0: all
    double top_p = 1.0;  ///< only the fewest tokens that together have this probability; 1: all
    double min_p = 0.0;  ///< only tokens of at least this share of the largest probability
    double repetition_penalty = 1.0;  ///< makes tokens that were there before less likely
};

/// Draws tokens from logits.
///
///   z_v -> z_v / r or, where negative, z_v r     for tokens that were there before, r the penalty
///   p_v = softmax(z_v / temperature) among the top_k tokens; then without those of p_v < min_p max p;
///   then the most likely ones up to a sum of top_p of what is left; then one of them by its probability
///
/// Of equal logits the token of smaller number comes first. Logits of -infinity are never drawn.
///
/// Errors    ValueError for options out of range, and for logits of NaN, +infinity, or -infinity alone;
///           ShapeError for marks of another number than the logits
/// Cost      one pass over V logits, and for top_k and top_p another log V for each token that is kept
/// Source    the order of state-spaces/mamba; min_p as it is usually defined
template <class T>
class Sampler {
public:
    explicit Sampler(const SamplingOptions& options = {}) : options_(options) {
        const auto require_option = [](bool claim, const char* name, double value,
                                       const char* range) {
            require<ValueError>(claim, "ssm::Sampler: ", name, " = ", value, ", expected ", range);
        };
        const SamplingOptions& o = options;
        require_option(o.temperature >= 0.0 && std::isfinite(o.temperature), "temperature",
                       o.temperature, "a number from 0");
        require_option(o.top_p > 0.0 && o.top_p <= 1.0, "top_p", o.top_p,
                       "a probability above 0, at most 1");
        require_option(o.min_p >= 0.0 && o.min_p <= 1.0, "min_p", o.min_p,
                       "a share between 0 and 1");
        require_option(o.repetition_penalty > 0.0 && std::isfinite(o.repetition_penalty),
                       "repetition_penalty", o.repetition_penalty, "a number above 0");
    }

    [[nodiscard]] const SamplingOptions& options() const noexcept { return options_; }

    /// A token. `seen`, unless empty, has a mark for each token, not zero where it was there before.
    /// `rng` moves on unless only the most likely token is wanted.
    [[nodiscard]] std::int32_t operator()(std::span<const T> logits, Rng& rng,
                                          std::span<const std::uint8_t> seen = {}) {
        collect(logits);
        penalise(seen);
        const auto most = std::max_element(candidates_.begin(), candidates_.end(), Less{});
        require<ValueError>(most != candidates_.end() && std::isfinite(most->value),
                            "ssm::Sampler: the largest logit is infinite, or there is none");
        if (options_.temperature == 0.0 || options_.top_k == 1)
            return most->token;
        const double largest = most->value;
        keep_top_k();
        weigh(largest);
        keep_top_p();
        return draw(rng);
    }

private:
    /// A token with its logit, later with its weight: probability relative to the largest.
    struct Candidate {
        double value;
        std::int32_t token;
    };
    struct Less {
        bool operator()(const Candidate& a, const Candidate& b) const noexcept {
            return a.value != b.value ? a.value < b.value : a.token > b.token;
        }
    };

    void collect(std::span<const T> logits) {
        candidates_.resize(logits.size());
        bool is_number = true;
        for (std::size_t v = 0; v < logits.size(); ++v) {
            candidates_[v] = {static_cast<double>(logits[v]), static_cast<std::int32_t>(v)};
            is_number = is_number && !std::isnan(logits[v]);
        }
        require<ValueError>(is_number, "ssm::Sampler: the logits have NaN");
    }

    void penalise(std::span<const std::uint8_t> seen) {
        require<ShapeError>(seen.empty() || seen.size() == candidates_.size(),
                            "ssm::Sampler: ", seen.size(), " marks of what was there, but ",
                            candidates_.size(), " logits");
        for (std::size_t v = 0; v < seen.size(); ++v)
            if (seen[v] != 0) {
                double& logit = candidates_[v].value;
                logit = logit < 0.0 ? logit * options_.repetition_penalty
                                    : logit / options_.repetition_penalty;
            }
    }

    /// The k largest come to the front, the largest first; the others go.
    void keep_top_k() {
        if (options_.top_k == 0 || options_.top_k >= candidates_.size())
            return;
        const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(options_.top_k);
        const auto is_more = [](const Candidate& a, const Candidate& b) { return Less{}(b, a); };
        std::partial_sort(candidates_.begin(), end, candidates_.end(), is_more);
        candidates_.erase(end, candidates_.end());
    }

    /// Logits become weights; those below min_p go.
    void weigh(double largest) {
        for (Candidate& candidate : candidates_)
            candidate.value = std::exp((candidate.value - largest) / options_.temperature);
        std::erase_if(candidates_, [this](const Candidate& candidate) {
            return candidate.value == 0.0 || candidate.value < options_.min_p;
        });
    }

    /// Takes the largest from a heap, one after the other, until they have their share.
    void keep_top_p() {
        if (options_.top_p == 1.0)
            return;
        const double enough = options_.top_p * total();
        std::make_heap(candidates_.begin(), candidates_.end(), Less{});
        auto rest = candidates_.end();
        double sum = 0.0;
        do {
            std::pop_heap(candidates_.begin(), rest, Less{});
            --rest;
            sum += rest->value;
        } while (sum < enough && rest != candidates_.begin());
        candidates_.erase(candidates_.begin(), rest);
    }

    [[nodiscard]] double total() const noexcept {
        double sum = 0.0;
        for (const Candidate& candidate : candidates_)
            sum += candidate.value;
        return sum;
    }

    [[nodiscard]] std::int32_t draw(Rng& rng) const noexcept {
        double left = rng.uniform() * total();
        for (const Candidate& candidate : candidates_) {
            left -= candidate.value;
            if (left < 0.0)
                return candidate.token;
        }
        return candidates_.back().token;
    }

    SamplingOptions options_;
    std::vector<Candidate> candidates_;
};

}  // namespace ssm
