#pragma once

#include <complex>
#include <cstddef>

#include <ssm/core/aligned.hpp>
#include <ssm/core/error.hpp>
#include <ssm/scan/linear_scan_form.hpp>
#include <ssm/simd/complex.hpp>

namespace ssm {

/// What a stretch of a linear recurrence does to the state before it: x_after = a x_before + b. These pairs are
/// what a parallel scan composes, over threads or over machines; a stretch with a reset has a = 0.
///
/// Layout    a and b as rows of the recurrence: P numbers, or P real and P imaginary parts; a in the form's way
template <LinearScanForm Form, class T>
struct ScanElement {
    ScanElement() = default;
    /// The stretch of no steps: x_after = x_before.
    explicit ScanElement(std::size_t columns)
        : a(Form::parts * columns, T(0)), b(Form::parts * columns, T(0)) {
        for (std::size_t i = 0; i < columns; ++i)
            a[i] = static_cast<T>(Form::identity);
    }

    [[nodiscard]] std::size_t columns() const noexcept { return a.size() / Form::parts; }

    friend bool operator==(const ScanElement&, const ScanElement&) = default;

    AlignedVector<T> a;
    AlignedVector<T> b;
};

namespace detail {

/// Number i of a row.
template <class Form, class T>
[[nodiscard]] auto number_at(const T* row, std::size_t columns, std::size_t i) noexcept {
    if constexpr (Form::parts == 1)
        return row[i];
    else
        return simd::Complex<T>{row[i], row[i + columns]};
}
template <class Form, class T, class Number>
void set_number(T* row, std::size_t columns, std::size_t i, Number x) noexcept {
    if constexpr (Form::parts == 1) {
        row[i] = static_cast<T>(x);
    } else {
        row[i] = static_cast<T>(x.re);
        row[i + columns] = static_cast<T>(x.im);
    }
}

/// (a, b) of `first`, then `second`, written to `second`.
template <class Form, class T>
void compose_rows(const T* first_a, const T* first_b, T* second_a, T* second_b,
                  std::size_t columns) noexcept {
    for (std::size_t i = 0; i < columns; ++i) {
        const auto a = number_at<Form>(second_a, columns, i);
        set_number<Form>(second_b, columns, i,
                         Form::advance(a, number_at<Form>(first_b, columns, i),
                                       number_at<Form>(second_b, columns, i)));
        set_number<Form>(second_a, columns, i,
                         Form::compose(number_at<Form>(first_a, columns, i), a));
    }
}

/// The coefficient of `steps` steps with coefficient `a`, by repeated squaring in double.
template <class Form, class T>
void power_row(const T* a, std::size_t columns, std::size_t steps, T* result) noexcept {
    for (std::size_t i = 0; i < columns; ++i) {
        using Number = typename Form::template Number<double>;
        Number square{};
        Number power{};
        if constexpr (Form::parts == 1) {
            square = static_cast<double>(a[i]);
            power = Form::identity;
        } else {
            square = {static_cast<double>(a[i]), static_cast<double>(a[i + columns])};
            power = {Form::identity, 0.0};
        }
        for (std::size_t left = steps; left > 0; left >>= 1U) {
            if ((left & 1U) != 0)
                power = Form::compose(power, square);
            square = Form::compose(square, square);
        }
        set_number<Form>(result, columns, i, power);
    }
}

}  // namespace detail

/// The element of `first` followed by `second`: (a2 a1, a2 b1 + b2). Associative up to rounding.
///
/// Errors    ShapeError for elements of different width
template <LinearScanForm Form, class T>
[[nodiscard]] ScanElement<Form, T> compose(const ScanElement<Form, T>& first,
                                           const ScanElement<Form, T>& second) {
    require<ShapeError>(first.columns() == second.columns(), "ssm::compose: elements of ",
                        first.columns(), " and ", second.columns(), " columns");
    ScanElement<Form, T> result = second;
    detail::compose_rows<Form>(first.a.data(), first.b.data(), result.a.data(), result.b.data(),
                               result.columns());
    return result;
}

}  // namespace ssm
