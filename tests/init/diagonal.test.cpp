#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numbers>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/init/combination.hpp>
#include <ssm/init/diagonal.hpp>
#include <ssm/init/legs.hpp>
#include <ssm/init/system.hpp>

#include "support/catch.hpp"
#include "support/prebuilt_systems.hpp"

using namespace ssm;
using init::Diagonal;

static_assert(init::DiagonalInit<init::Lin> && init::DiagonalInit<init::Inv> &&
              init::DiagonalInit<init::Inv2> && init::DiagonalInit<init::Quad> &&
              init::DiagonalInit<init::Real> && init::DiagonalInit<init::Random> &&
              init::DiagonalInit<init::LegS> && init::DiagonalInit<init::Fourier>);
static_assert(init::DiagonalBankInit<init::LegS> && init::DiagonalBankInit<init::Hippo> &&
              !init::DiagonalInit<init::Hippo>);
static_assert(!init::DiagonalInit<int>);

namespace {

template <class Init>
Diagonal make(const Init& init, std::size_t modes, std::uint64_t seed = 1) {
    Rng rng(seed);
    return init(modes, rng);
}

void check_poles(const std::vector<std::complex<double>>& found,
                 const std::vector<std::complex<double>>& expected) {
    for (std::size_t j = 0; j < expected.size(); ++j) {
        CHECK(found[j].real() == Approx(expected[j].real()).margin(1e-8));
        CHECK(found[j].imag() == Approx(expected[j].imag()).margin(1e-8));
    }
}

}  // namespace

TEST_CASE("The elementary initialisations have the poles of their papers") {
    constexpr double pi = std::numbers::pi;
    check_poles(make(init::Lin{}, 3).A, {{-0.5, 0.0}, {-0.5, -pi}, {-0.5, -2.0 * pi}});
    check_poles(make(init::Inv{}, 32).A,
                {{-0.5, -1283.42546109}, {-0.5, -414.22726522}, {-0.5, -240.38762605}});
    check_poles(make(init::Inv2{}, 32).A,
                {{-0.5, -1283.42546109}, {-0.5, -631.52681419}, {-0.5, -414.22726522}});
    check_poles(make(init::Quad{}, 32).A,
                {{-0.5, -0.31830989}, {-0.5, -2.86478898}, {-0.5, -7.95774715}});
    check_poles(make(init::Real{}, 3).A, {{-1.0, 0.0}, {-2.0, 0.0}, {-3.0, 0.0}});
    check_poles(make(init::LegS{}, 2).A, {{-0.5, -4.6032930071}, {-0.5, -0.5565011151}});
    check_poles(make(init::Fourier{}, 3).A, {{0.0, -2.0 * pi}, {0.0, -pi}, {0.0, 0.0}});
}

TEST_CASE("LegS takes B from HiPPO with the imaginary part cut, or exact on request") {
    const Diagonal clipped = make(init::LegS{}, 2);
    check_poles(clipped.B, {{0.2870198601, 2.0}, {0.6462349417, 0.7192609314}});
    const Diagonal exact = make(init::LegS{.B_clip = std::numeric_limits<double>::infinity()}, 2);
    check_poles(exact.B, {{0.2870198601, 2.6424730297}, {0.6462349417, 0.7192609314}});
}

TEST_CASE("Every initialisation has poles with no positive part") {
    const auto check = [](const auto& init) {
        for (const std::size_t modes : std::vector<std::size_t>{1, 2, 5, 32}) {
            const Diagonal system = make(init, modes);
            REQUIRE(system.A.size() == modes);
            REQUIRE(system.B.size() == modes);
            for (const std::complex<double>& a : system.A) {
                CHECK(a.real() <= 0.0);
                CHECK(a.imag() <= 0.0);
            }
        }
    };
    check(init::Lin{});
    check(init::Inv{});
    check(init::Inv2{});
    check(init::Quad{});
    check(init::Real{});
    check(init::Random{});
    check(init::LegS{});
    check(init::Fourier{});
    check(init::Lin{{.real_random = true, .imag_random = true}});
    check(init::Inv{{.real_random = true, .imag_random = true}});
    check(init::Real{{.real_random = true}});
}

TEST_CASE("Scales multiply the parts of A and B") {
    const Diagonal system =
        make(init::Lin{{.real_scale = 3.0, .imag_scale = 0.5, .B_scale = 2.0}}, 2);
    check_poles(system.A, {{-1.5, 0.0}, {-1.5, -0.5 * std::numbers::pi}});
    check_poles(system.B, {{2.0, 0.0}, {2.0, 0.0}});
    check_poles(make(init::LegS{.imag_scale = 2.0}, 2).A,
                {{-0.5, -9.2065860142}, {-0.5, -1.1130022302}});
}

TEST_CASE("Random parts lie where they should and differ between copies") {
    Rng rng(3);
    const init::Lin init{{.real_random = true, .imag_random = true}};
    const auto bank = init::diagonal_bank(init, 50, 16, rng);
    double largest = 0.0;
    for (const Diagonal& system : bank)
        for (const std::complex<double>& a : system.A) {
            CHECK(a.real() > -1.0);
            CHECK(a.imag() > -16.0 * std::numbers::pi);
            largest = std::max(largest, -a.imag());
        }
    CHECK(largest > 15.0 * std::numbers::pi);
    CHECK(bank[0].A != bank[1].A);
}

TEST_CASE("B starts constant, alternating, on the unit circle or random") {
    check_poles(make(init::Lin{}, 2).B, {{1.0, 0.0}, {1.0, 0.0}});
    check_poles(make(init::Lin{{.B = init::InputInit::alternating}}, 3).B,
                {{1.0, 0.0}, {-1.0, 0.0}, {1.0, 0.0}});
    check_poles(make(init::Lin{{.B = init::InputInit::unit_cw}}, 2).B, {{1.0, 0.0}, {0.0, -1.0}});
    check_poles(make(init::Lin{{.B = init::InputInit::unit_ccw}}, 2).B, {{1.0, 0.0}, {0.0, 1.0}});
    double variance = 0.0;
    for (const std::complex<double>& b : make(init::Lin{{.B = init::InputInit::random}}, 10000).B)
        variance += std::norm(b) / 10000.0;
    CHECK(variance == Approx(1.0).margin(0.05));  // five standard deviations
}

TEST_CASE("Normalising gives the response to a constant unit variance") {
    const Diagonal system = make(init::Inv{{.B_scale = 7.0, .normalize = true}}, 8);
    double variance = 0.0;
    for (std::size_t j = 0; j < 8; ++j)
        variance += 2.0 * std::norm(system.B[j] / system.A[j]);
    CHECK(variance == Approx(1.0));
}

TEST_CASE("Combinations give each initialisation a contiguous group of copies") {
    Rng rng;
    const auto bank = init::diagonal_bank(init::All{}, 8, 4, rng);
    REQUIRE(bank.size() == 8);
    check_poles(bank[1].A, make(init::LegS{}, 4).A);
    check_poles(bank[2].A, make(init::Fourier{}, 4).A);
    check_poles(bank[5].A, make(init::Inv{}, 4).A);
    check_poles(bank[6].A, make(init::Lin{}, 4).A);
    CHECK_THROWS_AS(init::diagonal_bank(init::All{}, 6, 4, rng), ValueError);
}

namespace {

/// What a user writes: poles on a parabola.
struct Parabola {
    double curvature = 1.0;

    Diagonal operator()(std::size_t modes, Rng&) const {
        Diagonal system;
        for (std::size_t j = 0; j < modes; ++j) {
            const auto x = static_cast<double>(j);
            system.A.emplace_back(-0.1 - curvature * x * x, -x);
            system.B.emplace_back(1.0, 0.0);
        }
        return system;
    }
};

struct Careless {
    Diagonal operator()(std::size_t, Rng&) const { return {{-1.0}, {1.0, 1.0}}; }
};

}  // namespace

TEST_CASE("A user's own initialisation plugs in, also as a part of combinations") {
    static_assert(init::DiagonalInit<Parabola>);
    Rng rng;
    const init::Combination<Parabola, init::Lin> both{{Parabola{.curvature = 2.0}, init::Lin{}}};
    const auto bank = init::diagonal_bank(both, 2, 3, rng);
    check_poles(bank[0].A, {{-0.1, 0.0}, {-2.1, -1.0}, {-8.1, -2.0}});
    check_poles(bank[1].A, make(init::Lin{}, 3).A);
}

TEST_CASE("An initialisation of the wrong size is refused") {
    Rng rng;
    CHECK_THROWS_AS(init::diagonal_bank(Careless{}, 1, 1, rng), ValueError);
    CHECK_THROWS_AS(init::diagonal_bank(Careless{}, 1, 2, rng), ValueError);
}
