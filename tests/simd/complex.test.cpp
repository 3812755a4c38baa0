#include <complex>

#include <ssm/simd/complex.hpp>

#include "support/catch.hpp"

namespace simd = ssm::simd;

namespace {

// Small whole numbers: every product and sum is exact, fused or not.
template <class V>
bool equals(simd::Complex<V> a, std::complex<double> b) {
    using T = simd::Scalar<V>;
    const V re(static_cast<T>(b.real()));
    const V im(static_cast<T>(b.imag()));
    if constexpr (std::floating_point<V>)
        return a.re == re && a.im == im;
    else
        return simd::all(a.re == re) && simd::all(a.im == im);
}

}  // namespace

TEMPLATE_TEST_CASE("complex packs follow complex arithmetic", "[simd]", float, double,
                   simd::Pack<float>, simd::Pack<double>) {
    using V = TestType;
    using T = simd::Scalar<V>;
    using Complex = simd::Complex<V>;
    using Plain = std::complex<double>;
    const Complex a{V(T(3)), V(T(-2))};
    const Complex b{V(T(5)), V(T(7))};
    const Complex c{V(T(-11)), V(T(13))};
    const Plain pa(3, -2);
    const Plain pb(5, 7);
    const Plain pc(-11, 13);
    const V real(T(4));
    CHECK(equals(a + b, pa + pb));
    CHECK(equals(a - b, pa - pb));
    CHECK(equals(-a, -pa));
    CHECK(equals(a * b, pa * pb));
    CHECK(equals(a * real, pa * 4.0));
    CHECK(equals(real * a, pa * 4.0));
    CHECK(equals(simd::conj(a), std::conj(pa)));
    CHECK(equals(simd::conj_mul(a, b), std::conj(pa) * pb));
    CHECK(equals(simd::fma(a, b, c), pa * pb + pc));
    CHECK(equals(simd::fma(a, real, c), pa * 4.0 + pc));
    CHECK(equals(simd::conj_fma(a, b, c), std::conj(pa) * pb + pc));
    CHECK(equals(Complex{simd::real_fma(a, b, real), simd::norm(b)},
                 Plain((pa * pb).real() + 4.0, std::norm(pb))));
    Complex sum = a;
    sum += b;
    sum *= c;
    sum -= a;
    CHECK(equals(sum, (pa + pb) * pc - pa));
}
