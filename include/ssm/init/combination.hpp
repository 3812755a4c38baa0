#pragma once

#include <cstddef>
#include <tuple>
#include <utility>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/init/diagonal.hpp>
#include <ssm/init/legs.hpp>
#include <ssm/init/system.hpp>

namespace ssm::init {

/// Splits the copies into equal contiguous groups, one for each initialisation.
///
/// Errors  ValueError unless the number of initialisations divides that of copies
template <class... Inits>
requires((DiagonalInit<Inits> || DiagonalBankInit<Inits>)&&...) struct Combination {
    std::tuple<Inits...> inits{};

    [[nodiscard]] std::vector<Diagonal> operator()(std::size_t copies, std::size_t modes,
                                                   Rng& rng) const {
        constexpr std::size_t groups = sizeof...(Inits);
        require<ValueError>(copies % groups == 0, "ssm::init::Combination: ", copies,
                            " copies cannot be split into ", groups, " equal groups");
        std::vector<Diagonal> bank;
        const auto append = [&](const auto& init) {
            for (Diagonal& system : diagonal_bank(init, copies / groups, modes, rng))
                bank.push_back(std::move(system));
        };
        std::apply([&](const auto&... init) { (append(init), ...); }, inits);
        return bank;
    }
};

/// The combination "hippo" of S4.
using Hippo = Combination<LegS, Fourier>;
/// The combination "diag" of S4D.
using Diag = Combination<Inv, Lin>;
/// The combination "all".
using All = Combination<LegS, Fourier, Inv, Lin>;

}  // namespace ssm::init
