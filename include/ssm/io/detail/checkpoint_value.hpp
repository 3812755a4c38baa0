#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#include <ssm/core/concepts.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/io/detail/quoted.hpp>
#include <ssm/io/dtype.hpp>
#include <ssm/io/load.hpp>
#include <ssm/io/safetensors.hpp>
#include <ssm/io/safetensors_writer.hpp>
#include <ssm/io/save.hpp>

// The kinds of values a checkpoint keeps, and what is done with each: write, check, read. All three
// walk through a value anew each time, so that its parts may have moved meanwhile.

namespace ssm::detail {

struct IgnoreNumbers {
    template <class... Values>
    void operator()(std::string_view, Values&...) const {}
};

template <class V>
concept HasVisitedWeights = requires(V& value) {
    V::visit_weights(AnyVisitor{}, value);
};
template <class V>
concept HasVisitedNumbers = requires(V& value) {
    V::visit_numbers(IgnoreNumbers{}, value);
};
template <class V>
concept StoredNumber = std::same_as<V, float> || std::same_as<V, double> || std::same_as<V, bool> ||
    std::same_as<V, std::int8_t> || std::same_as<V, std::uint8_t> ||
    ((std::signed_integral<V> || std::unsigned_integral<V>)&&sizeof(V) > 1);
template <class V>
concept NumberVector = requires(V& value) {
    requires StoredNumber<typename V::value_type> && !std::same_as<typename V::value_type, bool>;
    requires std::same_as<V, std::vector<typename V::value_type, typename V::allocator_type>>;
};

/// Calls `function(name of the part, part)` for all that visit_numbers names.
template <class V, class Function>
void for_each_part(const std::string& name, V& value, Function&& function) {
    std::remove_const_t<V>::visit_numbers(
        [&](std::string_view part, auto& number) {
            function(name + "." + std::string(part), number);
        },
        value);
}

/// Adds values to a file to be written, which refers to them.
struct ValueWriter {
    SafetensorsWriter& file;

    template <class V>
    void write(const std::string& name, const V& value) const {
        if constexpr (StoredNumber<V>) {
            file.add(name, {}, std::span<const V>(&value, 1));
        } else if constexpr (NumberVector<V>) {
            const std::array shape{value.size()};
            file.add(name, shape, std::span<const typename V::value_type>(value));
        } else if constexpr (std::same_as<V, std::string>) {
            file.add_metadata(name, value);
        } else if constexpr (std::same_as<V, Rng>) {
            const std::array shape{value.state().size()};
            file.add(name, shape, std::span<const std::uint64_t>(value.state()));
        } else {
            static_assert(HasVisitedWeights<V> || HasVisitedNumbers<V>,
                          "ssm::Checkpoint: a part of this value (a state of a layer?) has neither "
                          "visit_weights nor visit_numbers, so it cannot be saved");
            if constexpr (HasVisitedWeights<V>)
                add_weights(file, value, {.prefix = name + "."});
            if constexpr (HasVisitedNumbers<V>)
                for_each_part(name, value, [this](const std::string& part, const auto& number) {
                    this->write(part, number);
                });
        }
    }
};

/// Compares a file with the values to be loaded from it: collects what does not fit, and all names.
struct ValueChecker {
    const Safetensors& file;
    Misfits misfits{};
    std::set<std::string, std::less<>> tensors{};
    std::set<std::string, std::less<>> texts{};

    /// Changes no value, but reserves the memory that reading it will take. The length of a vector
    /// may differ unless it is a part of something.
    template <class V>
    void check(const std::string& name, V& value, bool is_part = false) {
        if constexpr (StoredNumber<V>) {
            check_numbers<V>(name, std::vector<std::size_t>{});
        } else if constexpr (NumberVector<V>) {
            check_vector(name, value, is_part);
        } else if constexpr (std::same_as<V, std::string>) {
            check_text(name, value);
        } else if constexpr (std::same_as<V, Rng>) {
            check_rng(name);
        } else {
            if constexpr (HasVisitedWeights<V>)
                WeightLoader<V>(file, {.prefix = name + "."}, true).check(value, misfits, tensors);
            if constexpr (HasVisitedNumbers<V>)
                for_each_part(name, value, [this](const std::string& part, auto& number) {
                    this->check(part, number, true);
                });
        }
    }

private:
    /// Whether there are numbers `T` of this shape (none: any vector).
    template <class T>
    bool check_numbers(const std::string& name,
                       const std::optional<std::vector<std::size_t>>& shape) {
        tensors.insert(name);
        if (!file.contains(name)) {
            misfits.missing.push_back(name);
            return false;
        }
        const Safetensors::Entry& found = file.entry(name);
        const bool fits =
            found.dtype == dtype_of<T> && (shape ? found.shape == *shape : found.shape.size() == 1);
        const std::string expected = shape ? joined(ShapeText{*shape}) : "(any length)";
        if (!fits)
            misfits.different.push_back(joined(Quoted{name}, " is ", found.dtype, " of shape ",
                                               ShapeText{found.shape}, ", expected ", dtype_of<T>,
                                               " of shape ", expected));
        else if (const std::string problem = file.misfit<T>(name); !problem.empty())
            misfits.different.push_back(joined(Quoted{name}, " ", problem));
        return fits;
    }
    template <class Vector>
    void check_vector(const std::string& name, Vector& value, bool is_part) {
        using T = typename Vector::value_type;
        if (is_part)
            check_numbers<T>(name, std::vector{value.size()});
        else if (check_numbers<T>(name, std::nullopt))
            value.reserve(file.entry(name).shape[0]);
    }
    void check_text(const std::string& name, std::string& value) {
        texts.insert(name);
        const auto found = file.metadata().find(name);
        if (found == file.metadata().end())
            misfits.missing.push_back(name);
        else
            value.reserve(found->second.size());
    }
    void check_rng(const std::string& name) {
        using Word = Rng::result_type;
        constexpr std::size_t words = std::tuple_size_v<Rng::State>;
        if (check_numbers<Word>(name, std::vector{words}) &&
            file.read<Word>(name) == std::vector<Word>(words))
            misfits.different.push_back(joined(Quoted{name}, " is not the state of a generator"));
    }
};

/// Puts what was checked into the values.
struct ValueReader {
    const Safetensors& file;

    template <class V>
    void read(const std::string& name, V& value) const {
        if constexpr (StoredNumber<V>) {
            file.read(name, std::span<V>(&value, 1));
        } else if constexpr (NumberVector<V>) {
            value.resize(file.entry(name).shape[0]);
            file.read(name, std::span<typename V::value_type>(value));
        } else if constexpr (std::same_as<V, std::string>) {
            value = file.metadata().find(name)->second;
        } else if constexpr (std::same_as<V, Rng>) {
            Rng::State state{};
            file.read(name, std::span<std::uint64_t>(state));
            value = Rng(state);
        } else {
            if constexpr (HasVisitedWeights<V>)
                WeightLoader<V>(file, {.prefix = name + "."}, true).read(value);
            if constexpr (HasVisitedNumbers<V>)
                for_each_part(name, value, [this](const std::string& part, auto& number) {
                    this->read(part, number);
                });
        }
    }
};

}  // namespace ssm::detail
