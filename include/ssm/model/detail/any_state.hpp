#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include <ssm/core/aligned.hpp>
#include <ssm/core/error.hpp>
#include <ssm/model/detail/type_name.hpp>

namespace ssm::detail {

/// `value`, constant when `Owner` is.
template <class Owner, class V>
[[nodiscard]] auto& as_const_like(V& value) noexcept {
    if constexpr (std::is_const_v<Owner>)
        return std::as_const(value);
    else
        return value;
}

/// The numbers that a state remembers, as a visitor of its `visit_numbers` finds them. Parts of parts have the names
/// that a checkpoint gives them.
template <class T>
struct NumberList {
    struct Item {
        std::string name;
        AlignedVector<T>* numbers;
    };

    template <class V>
    void operator()(std::string_view name, V& value) {
        const std::string full = prefix + std::string(name);
        if constexpr (std::same_as<V, AlignedVector<T>>) {
            items.push_back({full, &value});
        } else if constexpr (requires { V::visit_numbers(*this, value); }) {
            NumberList parts{.prefix = full.empty() ? "" : full + "."};
            V::visit_numbers(parts, value);
            items.insert(items.end(), parts.items.begin(), parts.items.end());
        } else {
            raise<ValueError>(
                "ssm::AnyLayer: \"", full, "\" of a state is a ", type_name<V>(),
                " and cannot be visited; an AlignedVector of the layer's numbers can");
        }
    }

    std::vector<Item> items{};
    std::string prefix{};
};

/// The state of a layer whose type is chosen at run time: a regular value. Assigning a state of the same layer
/// allocates no more than its own assignment does.
template <class T>
class AnyState {
public:
    AnyState() = default;
    template <class S>
    requires(!std::same_as<S, AnyState>) explicit AnyState(S state)
        : contents_(std::make_unique<Holder<S>>(std::move(state))) {}
    AnyState(const AnyState& other)
        : contents_(other.contents_ ? other.contents_->copy() : nullptr) {}
    AnyState(AnyState&&) noexcept = default;
    AnyState& operator=(const AnyState& other) {
        if (is_like(other))
            contents_->assign(*other.contents_);
        else
            *this = AnyState(other);
        return *this;
    }
    AnyState& operator=(AnyState&&) noexcept = default;
    ~AnyState() = default;

    /// What the state is.
    ///
    /// Errors  ShapeError when it is not an S: another layer made it
    template <class S>
    [[nodiscard]] S& as() {
        if (contents_ == nullptr || typeid(*contents_) != typeid(Holder<S>)) [[unlikely]]
            raise<ShapeError>("ssm::AnyLayer: the state is a ", name(), ", expected a ",
                              type_name<S>());
        return static_cast<Holder<S>&>(*contents_).state;
    }

    friend bool operator==(const AnyState& a, const AnyState& b) {
        return a.is_like(b) ? a.contents_->equals(*b.contents_) : a.contents_ == b.contents_;
    }

    template <class Visitor, class First, class... Others>
    static void visit_numbers(Visitor&& visitor, First& first, Others&... others) {
        (require<ShapeError>(first.is_like(others),
                             "ssm::AnyLayer: the states visited together are ", first.name(),
                             " and ", others.name()),
         ...);
        const std::array lists{first.numbers(), others.numbers()...};
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            for (std::size_t i = 0; i < lists[0].size(); ++i)
                visitor(lists[0][i].name, as_const_like<First>(*lists[0][i].numbers),
                        as_const_like<Others>(*lists[I + 1].at(i).numbers)...);
        }
        (std::index_sequence_for<Others...>{});
    }

private:
    using Numbers = std::vector<typename NumberList<T>::Item>;

    struct Contents {
        Contents() = default;
        Contents(const Contents&) = delete;
        Contents& operator=(const Contents&) = delete;
        virtual ~Contents() = default;

        [[nodiscard]] virtual std::unique_ptr<Contents> copy() const = 0;
        virtual void assign(const Contents& other) = 0;
        [[nodiscard]] virtual bool equals(const Contents& other) const = 0;
        [[nodiscard]] virtual std::string_view name() const noexcept = 0;
        [[nodiscard]] virtual Numbers numbers() = 0;
    };

    template <class S>
    struct Holder final : Contents {
        explicit Holder(S value) : state(std::move(value)) {}

        std::unique_ptr<Contents> copy() const override { return std::make_unique<Holder>(state); }
        void assign(const Contents& other) override { state = of(other).state; }
        bool equals(const Contents& other) const override { return state == of(other).state; }
        std::string_view name() const noexcept override { return type_name<S>(); }
        Numbers numbers() override {
            NumberList<T> list;
            list("", state);
            return list.items;
        }
        static const Holder& of(const Contents& contents) {
            return static_cast<const Holder&>(contents);
        }

        S state;
    };

    [[nodiscard]] bool is_like(const AnyState& other) const noexcept {
        return contents_ && other.contents_ && typeid(*contents_) == typeid(*other.contents_);
    }
    [[nodiscard]] std::string_view name() const noexcept {
        return contents_ ? contents_->name() : "state of no layer";
    }
    [[nodiscard]] Numbers numbers() const { return contents_->numbers(); }

    std::unique_ptr<Contents> contents_;
};

}  // namespace ssm::detail
