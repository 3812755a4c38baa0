#pragma once

#include <complex>
#include <concepts>
#include <cstddef>
#include <tuple>
#include <utility>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/init/combination.hpp>
#include <ssm/init/normal.hpp>
#include <ssm/init/nplr.hpp>
#include <ssm/init/system.hpp>

namespace ssm::init {

/// A continuous system x' = (diag(A) - sum_r P_r P_r^*) x + B u of n = N/2 stored modes, P_r^* over the full set of
/// conjugate pairs.
struct DiagonalPlusLowRank {
    std::vector<std::complex<double>> A;
    std::vector<std::complex<double>> B;
    std::vector<std::vector<std::complex<double>>> P;  ///< [rank][n]
};

/// A diagonal initialisation with a random low-rank part: circular complex normal numbers times `P_scale`. The "dplr-"
/// initialisations of S4: `RandomLowRank<Lin>` is "dplr-lin".
template <class Init>
requires DiagonalInit<Init>
struct RandomLowRank {
    Init init{};
    double P_scale = 1.0;

    [[nodiscard]] DiagonalPlusLowRank operator()(std::size_t modes, std::size_t rank,
                                                 Rng& rng) const {
        Diagonal diagonal = init(modes, rng);
        DiagonalPlusLowRank system{std::move(diagonal.A), std::move(diagonal.B), {}};
        system.P.resize(rank);
        for (auto& row : system.P)
            for (std::size_t n = 0; n < modes; ++n)
                row.push_back(P_scale * complex_normal(rng));
        return system;
    }
};

/// What gives one system that is diagonal plus low rank.
template <class I>
concept DplrInit = requires(const I& init, std::size_t modes, std::size_t rank, Rng& rng) {
    { init(modes, rank, rng) } -> std::convertible_to<DiagonalPlusLowRank>;
};

/// A HiPPO measure, diagonalised with its low-rank part.
template <class I>
concept NplrInit = requires(const I& init, std::size_t modes) {
    { init.nplr(modes) } -> std::convertible_to<Nplr>;
};

namespace detail {

[[nodiscard]] inline DiagonalPlusLowRank from_nplr(const Nplr& nplr, std::size_t rank) {
    const auto found = static_cast<std::size_t>(nplr.P.rows());
    require<ValueError>(found <= rank, "ssm::init: rank = ", rank,
                        ", but the low-rank part of this measure has rank ", found);
    DiagonalPlusLowRank system{{nplr.W.begin(), nplr.W.end()}, {nplr.B.begin(), nplr.B.end()}, {}};
    system.P.assign(rank, std::vector<std::complex<double>>(system.A.size()));
    for (std::size_t r = 0; r < found; ++r)
        for (std::size_t n = 0; n < system.A.size(); ++n)
            system.P[r][n] = nplr.P(static_cast<Eigen::Index>(r), static_cast<Eigen::Index>(n));
    return system;
}

/// Without a low-rank part.
[[nodiscard]] inline DiagonalPlusLowRank from_diagonal(Diagonal diagonal, std::size_t rank) {
    const std::size_t modes = diagonal.A.size();
    return {std::move(diagonal.A), std::move(diagonal.B),
            std::vector<std::vector<std::complex<double>>>(
                rank, std::vector<std::complex<double>>(modes))};
}

}  // namespace detail

template <class Init>
[[nodiscard]] std::vector<DiagonalPlusLowRank> dplr_bank(const Init& init, std::size_t copies,
                                                         std::size_t modes, std::size_t rank,
                                                         Rng& rng);

namespace detail {

template <class... Inits>
[[nodiscard]] std::vector<DiagonalPlusLowRank> unchecked_dplr_bank(
    const Combination<Inits...>& combination, std::size_t copies, std::size_t modes,
    std::size_t rank, Rng& rng) {
    constexpr std::size_t groups = sizeof...(Inits);
    require<ValueError>(copies % groups == 0, "ssm::init::Combination: ", copies,
                        " copies cannot be split into ", groups, " equal groups");
    std::vector<DiagonalPlusLowRank> bank;
    const auto append = [&](const auto& init) {
        for (DiagonalPlusLowRank& system : dplr_bank(init, copies / groups, modes, rank, rng))
            bank.push_back(std::move(system));
    };
    std::apply([&](const auto&... init) { (append(init), ...); }, combination.inits);
    return bank;
}

template <class Init>
[[nodiscard]] std::vector<DiagonalPlusLowRank> unchecked_dplr_bank(const Init& init,
                                                                   std::size_t copies,
                                                                   std::size_t modes,
                                                                   std::size_t rank, Rng& rng) {
    std::vector<DiagonalPlusLowRank> bank;
    if constexpr (DplrInit<Init>) {
        for (std::size_t copy = 0; copy < copies; ++copy)
            bank.push_back(init(modes, rank, rng));
    } else if constexpr (NplrInit<Init>) {
        bank.assign(copies, from_nplr(init.nplr(modes), rank));
    } else {
        for (Diagonal& diagonal : diagonal_bank(init, copies, modes, rng))
            bank.push_back(from_diagonal(std::move(diagonal), rank));
    }
    return bank;
}

}  // namespace detail

/// `copies` systems of `modes` modes and a low-rank part of `rank` terms, from
///
///   a HiPPO measure (`LegS`, `Fourier`, any `NormalPart`): diagonalised, further terms of P are zero
///   a `RandomLowRank`, or anything else that is a `DplrInit`
///   a diagonal initialisation: P is zero
///   a `Combination` of these
///
/// Errors  ValueError for a rank below that of the measure, and for an initialisation that gives wrong sizes
template <class Init>
std::vector<DiagonalPlusLowRank> dplr_bank(const Init& init, std::size_t copies, std::size_t modes,
                                           std::size_t rank, Rng& rng) {
    std::vector<DiagonalPlusLowRank> bank =
        detail::unchecked_dplr_bank(init, copies, modes, rank, rng);
    require<ValueError>(bank.size() == copies, "ssm::init: the initialisation gave ", bank.size(),
                        " systems, expected ", copies);
    for (const DiagonalPlusLowRank& system : bank) {
        require<ValueError>(
            system.A.size() == modes && system.B.size() == modes && system.P.size() == rank,
            "ssm::init: the initialisation gave A of ", system.A.size(), " and B of ",
            system.B.size(), " modes and P of rank ", system.P.size(), ", expected ", modes,
            " modes and rank ", rank);
        for (const auto& row : system.P)
            require<ValueError>(row.size() == modes, "ssm::init: the initialisation gave P of ",
                                row.size(), " modes, expected ", modes);
    }
    return bank;
}

}  // namespace ssm::init
