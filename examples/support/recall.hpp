#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <ssm/core/rng.hpp>
#include <ssm/train/cross_entropy.hpp>
#include <ssm/train/source.hpp>

namespace examples {

/// A text of tokens with something to remember, for which questions at its end ask.
///
///   induction   b c ? g a e b ... d f a ?         what followed the first question mark: g
///   copying     . . b . . g . a . . . ? ? ?       all letters in their order: b g a
///
/// Tokens are numbers: letters, with the blank of copying in front of them as 0, and the question mark as the last.
/// Source  Gu and Dao, arXiv:2312.00752, section 3.1 and appendix E.1
class RecallTask {
public:
    inline static const std::int32_t no_target = ssm::loss::CrossEntropy<float>{}.ignored_label;

    /// `letters` are copied; induction has one question alone.
    RecallTask(std::string name, std::size_t tokens, std::size_t length, std::size_t letters)
        : name_(std::move(name)),
          tokens_(tokens),
          length_(length),
          questions_(copies() ? letters : 1) {
        if (!copies() && name_ != "induction")
            throw std::runtime_error("there is no task \"" + name_ + "\"");
        if (tokens < 4 || questions_ == 0 || length < 2 * questions_ + 2)
            throw std::runtime_error("too few tokens for this task");
    }

    [[nodiscard]] bool copies() const { return name_ == "copying"; }
    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] std::size_t tokens() const { return tokens_; }  ///< in the vocabulary
    [[nodiscard]] std::size_t length() const { return length_; }  ///< of a text, with its questions
    [[nodiscard]] std::size_t questions() const { return questions_; }  ///< at its end
    [[nodiscard]] std::int32_t question() const { return static_cast<std::int32_t>(tokens_) - 1; }

    /// What stands where nothing is to be remembered.
    void fill(ssm::Rng& rng, std::span<std::int32_t> text) const {
        for (std::int32_t& token : text)
            token = copies() ? 0 : letter(rng);
    }

    /// A text, and for each of its tokens the answer that is expected there, or `no_target`. Texts of induction
    /// repeat their fact at up to `reminders` random places, and at each question mark but the first it is asked for.
    void write(ssm::Rng& rng, std::span<std::int32_t> text, std::span<std::int32_t> targets,
               std::size_t reminders = 0) const {
        fill(rng, text);
        std::ranges::fill(targets, no_target);
        std::ranges::fill(text.last(questions_), question());
        if (copies())
            write_letters(rng, text, targets);
        else
            write_fact(rng, text, targets, 1 + rng.below(reminders + 1));
    }

private:
    [[nodiscard]] std::int32_t letter(ssm::Rng& rng) const {
        const std::size_t first = copies() ? 1 : 0;
        return static_cast<std::int32_t>(first + rng.below(tokens_ - 1 - first));
    }

    void write_letters(ssm::Rng& rng, std::span<std::int32_t> text,
                       std::span<std::int32_t> targets) const {
        std::vector<std::size_t> places(length_ - questions_);
        std::iota(places.begin(), places.end(), std::size_t{0});
        rng.shuffle(std::span(places));
        places.resize(questions_);
        std::ranges::sort(places);
        for (std::size_t i = 0; i < questions_; ++i)
            text[places[i]] = targets[length_ - questions_ + i] = letter(rng);
    }

    void write_fact(ssm::Rng& rng, std::span<std::int32_t> text, std::span<std::int32_t> targets,
                    std::size_t times) const {
        const std::int32_t fact = letter(rng);
        for (; times > 0; --times) {
            const std::size_t place = 2 * rng.below((length_ - 1) / 2);
            text[place] = question();
            text[place + 1] = fact;
        }
        bool is_told = false;
        for (std::size_t l = 0; l < length_; ++l)
            if (text[l] == question())
                targets[l] = std::exchange(is_told, true) ? fact : no_target;
    }

    std::string name_;
    std::size_t tokens_, length_, questions_;
};

/// Texts to learn from. They are made when they are taken, each from random numbers of its own: none is stored, and
/// none is seen twice.
class RecallTexts {
public:
    using input_type = std::int32_t;
    using target_type = std::int32_t;

    RecallTexts(RecallTask task, std::size_t count, std::size_t reminders, std::uint64_t seed)
        : task_(std::move(task)), count_(count), reminders_(reminders), seed_(seed) {}

    [[nodiscard]] std::size_t size() const { return count_; }

    void take(std::span<const std::size_t> indices,
              ssm::MiniBatch<std::int32_t, std::int32_t>& batch) const {
        batch.inputs.resize({indices.size(), task_.length(), 1});
        batch.targets.resize({indices.size(), task_.length(), 1});
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
