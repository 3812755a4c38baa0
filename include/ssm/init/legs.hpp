#pragma once

#include <complex>
#include <cstddef>
#include <vector>

#include <ssm/core/config.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/init/diagonal.hpp>
#include <ssm/init/hippo.hpp>
#include <ssm/init/nplr.hpp>
#include <ssm/init/system.hpp>

namespace ssm::init {

/// The diagonal of a HiPPO system: poles and B of its normal part, the low-rank part left out.
/// `nplr` gives the whole of it, for S4.
template <hippo::Measure M>
struct NormalPart {
    double real_scale = 1.0;  ///< multiplies Re A
    double imag_scale = 1.0;  ///< multiplies Im A
    double B_scale = 1.0;     ///< multiplies B
    double B_clip = 2.0;      ///< imaginary parts of B are cut to this; infinity: the exact B
    bool normalize = false;   ///< B / sqrt(2 sum_j |B_j / A_j|^2)
    SSM_NO_UNIQUE_ADDRESS M measure{};

    [[nodiscard]] Diagonal operator()(std::size_t modes, Rng&) const {
        const Nplr system = nplr(modes);
        Diagonal result;
        for (const std::complex<double>& w : system.W)
            result.A.emplace_back(real_scale * w.real(), imag_scale * w.imag());
        for (const std::complex<double>& b : system.B)
            result.B.push_back(B_scale * b);
        if (normalize)
            detail::normalize_input(result);
        return result;
    }
    /// The same for each copy, computed once.
    [[nodiscard]] std::vector<Diagonal> operator()(std::size_t copies, std::size_t modes,
                                                   Rng& rng) const {
        return std::vector<Diagonal>(copies, (*this)(modes, rng));
    }

    /// The system with its low-rank part of `rank` rows, 0: those of the measure; B clipped but nothing scaled.
    [[nodiscard]] Nplr nplr(std::size_t modes, std::size_t rank = 0) const {
        Nplr system = init::nplr(measure, modes, rank);
        system.B = clip_input(system.B, B_clip);
        return system;
    }
};

/// S4D-LegS: A_j = -1/2 - i w_j with the frequencies of the normal part of HiPPO-LegS, B from there too.
/// (In theory B should be halved when the low-rank part is left out; like the original, this is not done.)
using LegS = NormalPart<hippo::LegS>;

/// The normal part of HiPPO-FouT: A_j = -i pi j in descending order of j, not decaying.
using Fourier = NormalPart<hippo::Fourier>;

/// The normal parts of the other HiPPO systems.
using LegT = NormalPart<hippo::LegT>;
using LagT = NormalPart<hippo::LagT>;
using FourierDecay = NormalPart<hippo::FourierDecay>;
using Fourier2 = NormalPart<hippo::Fourier2>;
using FourierDiag = NormalPart<hippo::FourierDiag>;

}  // namespace ssm::init
