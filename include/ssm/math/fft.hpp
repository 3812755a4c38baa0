#pragma once

#include <algorithm>
#include <complex>
#include <cstddef>
#include <span>
#include <vector>

#include <unsupported/Eigen/FFT>

#include <ssm/core/error.hpp>

namespace ssm::math {

/// Discrete Fourier transforms of single sequences of any length n >= 1, with the conventions of PyTorch and NumPy:
///
///   fft     X[k] = sum_l x[l] exp(-2 pi i k l / n)
///   ifft    x[l] = 1/n sum_k X[k] exp(2 pi i k l / n)
///   rfft    bins 0 .. n/2 of the transform of a real sequence
///   irfft   the real sequence of bins 0 .. n/2; imaginary parts of bin 0, and of bin n/2 if n is even, are ignored
///
/// For windows, spectra and kernels given by their frequency response. Long convolutions of many channels are much
/// faster with `fft_convolution`.
///
/// State     tables for the lengths seen so far, and scratch memory
/// Aliasing  none
/// Errors    ShapeError for lengths that do not fit together, and for n = 0
/// Cost      about 5 n log2(n) flops at some 2 GFLOP/s for lengths with small prime factors; n p for a prime factor p
/// Accuracy  1e-12 relative to the largest value in double; tests/math/fft.test.cpp
/// Threads   one object for each thread
/// Source    Eigen's FFT, which is kissfft
template <class T>
class Fft {
public:
    using Complex = std::complex<T>;

    void fft(std::span<const Complex> x, std::span<Complex> X) {
        check("fft", x.size(), X.size(), x.size());
        if (x.size() == 1)  // for which Eigen's engine has no factors
            X[0] = x[0];
        else
            engine_.fwd(X.data(), x.data(), static_cast<Eigen::Index>(x.size()));
    }
    void ifft(std::span<const Complex> X, std::span<Complex> x) {
        check("ifft", X.size(), x.size(), X.size());
        if (x.size() == 1)
            x[0] = X[0];
        else
            engine_.inv(x.data(), X.data(), static_cast<Eigen::Index>(x.size()));
    }
    /// x has n numbers, X has n / 2 + 1.
    void rfft(std::span<const T> x, std::span<Complex> X) {
        check("rfft", x.size(), X.size(), x.size() / 2 + 1);
        sequence_.assign(x.begin(), x.end());
        bins_.resize(x.size());
        fft(sequence_, bins_);
        std::copy_n(bins_.begin(), X.size(), X.begin());
    }
    /// X has n / 2 + 1 numbers, x has n.
    void irfft(std::span<const Complex> X, std::span<T> x) {
        check("irfft", x.size(), X.size(), x.size() / 2 + 1);
        const std::size_t n = x.size();
        bins_.resize(n);
        for (std::size_t k = 0; k < n; ++k)
            bins_[k] = k < X.size() ? X[k] : std::conj(X[n - k]);
        sequence_.resize(n);
        ifft(bins_, sequence_);
        for (std::size_t l = 0; l < n; ++l)
            x[l] = sequence_[l].real();
    }

private:
    static void check(const char* what, std::size_t length, std::size_t bins,
                      std::size_t expected) {
        require<ShapeError>(length > 0, "ssm::Fft::", what, ": the sequence is empty");
        require<ShapeError>(bins == expected, "ssm::Fft::", what, ": ", bins,
                            " numbers on the other side of ", length, ", expected ", expected);
    }

    Eigen::FFT<T> engine_;
    std::vector<Complex> sequence_, bins_;
};

}  // namespace ssm::math
