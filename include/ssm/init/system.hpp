#pragma once

#include <complex>
#include <concepts>
#include <cstddef>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>

namespace ssm::init {

/// A continuous diagonal system x' = diag(A) x + B u of n = N/2 stored modes. Modes come in conjugate
/// pairs; the one with Re A <= 0 and Im A <= 0 is stored.
struct Diagonal {
    std::vector<std::complex<double>> A;
    std::vector<std::complex<double>> B;
};

/// What gives one diagonal system of `modes` stored modes: an initialisation of S4D.
template <class I>
concept DiagonalInit = requires(const I& init, std::size_t modes, Rng& rng) {
    { init(modes, rng) } -> std::convertible_to<Diagonal>;
};

/// What gives `copies` diagonal systems at once, because they differ from each other by plan.
template <class I>
concept DiagonalBankInit = requires(const I& init, std::size_t copies, std::size_t modes,
                                    Rng& rng) {
    { init(copies, modes, rng) } -> std::convertible_to<std::vector<Diagonal>>;
};

/// `copies` systems of `modes` modes each: what a layer asks an initialisation for.
///
/// Errors  ValueError unless the initialisation gives A and B of the right size
template <class Init>
requires DiagonalInit<Init> || DiagonalBankInit<Init>
[[nodiscard]] std::vector<Diagonal> diagonal_bank(const Init& init, std::size_t copies,
                                                  std::size_t modes, Rng& rng) {
    std::vector<Diagonal> bank;
    if constexpr (DiagonalBankInit<Init>)
        bank = init(copies, modes, rng);
    else
        for (std::size_t copy = 0; copy < copies; ++copy)
            bank.push_back(init(modes, rng));
    require<ValueError>(bank.size() == copies, "ssm::init: the initialisation gave ", bank.size(),
                        " systems, expected ", copies);
    for (const Diagonal& system : bank)
        require<ValueError>(system.A.size() == modes && system.B.size() == modes,
                            "ssm::init: the initialisation gave A of ", system.A.size(),
                            " and B of ", system.B.size(), " modes, expected ", modes);
    return bank;
}

}  // namespace ssm::init
