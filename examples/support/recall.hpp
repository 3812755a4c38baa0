#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <ssm/core/rng.hpp>
#include <ssm/train/source.hpp>

namespace examples {

/// What must be remembered from a text of tokens, and is asked for at its end.
///
///   induction   b c ? g a e b ... d f a ?         what followed the first question mark: g
///   copying     . . b . . g . a . . . ? ? ?       all letters in order: b g a
///
/// A text has `length` tokens; the last `answers` of them are questions, the n-th of which asks for the n-th answer.
/// Source  Gu and Dao, arXiv:2312.00752, section 3.1
struct RecallTask {
    std::string name;
    std::size_t tokens;   ///< letters, the question mark, and for copying the blank
    std::size_t length;   ///< of a text with its questions
    std::size_t answers;  ///< 1 for induction

    RecallTask(std::string task, std::size_t vocabulary, std::size_t text, std::size_t copied)
        : name(std::move(task)),
          tokens(vocabulary),
          length(text),
          answers(name == "copying" ? copied : 1) {
        if (name != "copying" && name != "induction")
            throw std::runtime_error("--task " + name + ": expected induction or copying");
        if (tokens < 4 || answers == 0 || length < 2 * answers + 2)
            throw std::runtime_error("the texts are too short, or their letters too few");
    }

    [[nodiscard]] std::int32_t question() const { return static_cast<std::int32_t>(tokens) - 1; }
    [[nodiscard]] std::size_t before_questions() const { return length - answers; }

    /// What stands where nothing is to be remembered.
    void fill(ssm::Rng& rng, std::span<std::int32_t> text) const {
        for (std::int32_t& token : text)
            token = name == "copying" ? 0 : letter(rng);
    }
    /// A text and what should be answered at each of its tokens: -100 where nothing. `reminders` times, on average
    /// half as often, the letter of induction is asked for and told once more.
    void write(ssm::Rng& rng, std::span<std::int32_t> text, std::span<std::int32_t> targets,
               std::size_t reminders = 0) const {
        std::fill(targets.begin(), targets.end(), -100);
        fill(rng, text);
        std::fill(text.end() - static_cast<std::ptrdiff_t>(answers), text.end(), question());
        if (name == "induction") {
            const std::int32_t fact = letter(rng);
            std::size_t first = text.size();
            for (std::size_t n = 0; n <= rng.below(reminders + 1); ++n) {
                const std::size_t place = rng.below(text.size() - 2);
                if (text[place + 1] == question() || (place > 0 && text[place - 1] == question()))
                    continue;
                text[place] = targets[place] = question();
                text[place + 1] = fact;
                first = std::min(first, place);
            }
            for (std::size_t l = 0; l < text.size(); ++l)
                if (text[l] == question() && l != first)
                    targets[l] = fact;
                else targets[l] = -100;
            return;
        }
        std::vector<std::size_t> places(text.size() - answers);
        std::iota(places.begin(), places.end(), std::size_t{0});
        rng.shuffle(std::span(places));
        std::sort(places.begin(), places.begin() + static_cast<std::ptrdiff_t>(answers));
        for (std::size_t i = 0; i < answers; ++i)
            text[places[i]] = targets[before_questions() + i] = letter(rng);
    }

private:
    [[nodiscard]] std::int32_t letter(ssm::Rng& rng) const {
        const std::size_t first = name == "copying" ? 1 : 0;
        return static_cast<std::int32_t>(first + rng.below(tokens - 1 - first));
    }
};

/// Examples of a task. They are made when they are taken, number i from random numbers of its own, so that training
/// never sees one twice and none is stored. Only the questions have targets.
class RecallExamples {
public:
    using input_type = std::int32_t;
    using target_type = std::int32_t;

    RecallExamples(RecallTask task, std::size_t count, std::size_t reminders, std::uint64_t seed)
        : task_(std::move(task)), count_(count), reminders_(reminders), seed_(seed) {}

    [[nodiscard]] std::size_t size() const { return count_; }

    void take(std::span<const std::size_t> indices,
              ssm::MiniBatch<std::int32_t, std::int32_t>& batch) const {
        batch.inputs.resize({indices.size(), task_.length, 1});
        batch.targets.resize({indices.size(), task_.length, 1});
        for (std::size_t i = 0; i < indices.size(); ++i) {
            ssm::Rng rng(seed_ + indices[i]);
            task_.write(rng, batch.inputs.view().sequence(i).flat(),
                        batch.targets.view().sequence(i).flat(), reminders_);
        }
    }

private:
    RecallTask task_;
    std::size_t count_, reminders_;
    std::uint64_t seed_;
};

}  // namespace examples
