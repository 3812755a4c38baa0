#pragma once

#include <cstdint>

namespace ssm {

namespace detail {

#if defined(__x86_64__) || defined(__i386__)
// Two bits of MXCSR: subnormal results become zero, and so do subnormal operands.
inline constexpr std::uint64_t flush_bits = (1U << 15U) | (1U << 6U);

[[nodiscard]] inline std::uint64_t float_control() noexcept {
    std::uint32_t control = 0;
    asm volatile("stmxcsr %0" : "=m"(control));
    return control;
}
inline void set_float_control(std::uint64_t control) noexcept {
    const auto word = static_cast<std::uint32_t>(control);
    asm volatile("ldmxcsr %0" : : "m"(word) : "memory");
}
#elif defined(__aarch64__)
inline constexpr std::uint64_t flush_bits = 1U << 24U;  // FZ of FPCR, operands and results

[[nodiscard]] inline std::uint64_t float_control() noexcept {
    std::uint64_t control = 0;
    asm volatile("mrs %0, fpcr" : "=r"(control));
    return control;
}
inline void set_float_control(std::uint64_t control) noexcept {
    asm volatile("msr fpcr, %0" : : "r"(control) : "memory");
}
#else
inline constexpr std::uint64_t flush_bits = 0;

[[nodiscard]] inline std::uint64_t float_control() noexcept {
    return 0;
}
inline void set_float_control(std::uint64_t) noexcept {}
#endif

/// How a thread treats subnormal numbers: the flush bits of its control register.
[[nodiscard]] inline std::uint64_t subnormal_mode() noexcept {
    return float_control() & flush_bits;
}

/// While it lives, its thread treats subnormal numbers in this way.
class WithSubnormalMode {
public:
    explicit WithSubnormalMode(std::uint64_t mode) noexcept : before_(subnormal_mode()) {
        set(mode);
    }
    ~WithSubnormalMode() { set(before_); }
    WithSubnormalMode(const WithSubnormalMode&) = delete;
    WithSubnormalMode& operator=(const WithSubnormalMode&) = delete;

private:
    static void set(std::uint64_t mode) noexcept {
        set_float_control((float_control() & ~flush_bits) | mode);
    }

    std::uint64_t before_;
};

}  // namespace detail

/// Whether this thread takes subnormal numbers (in float, below 1.2e-38) for zero, as operands and as results.
[[nodiscard]] inline bool flushes_subnormals() noexcept {
    return detail::flush_bits != 0 && detail::subnormal_mode() == detail::flush_bits;
}

/// While it lives, its thread takes subnormal numbers for zero, and so do the threads that work for it in calls of
/// this library.
///
///   const FlushSubnormals flush;                    // at the top of an audio callback, or of a training program
///   model.step(sample, answer, state);
///
/// The state of a stream decays for as long as there is silence and ends in subnormal numbers, with which many
/// processors compute far slower (a step of LRU 70 times on an Intel Xeon, not at all on an AMD Zen 4): just where the
/// time of a step counts. Nothing in the library needs them. As this is the thread's own decision, no call makes it
/// unasked but `fit`, which has an option for it; and kernels of convolutions, which end in such numbers, while they are
/// computed: on that Xeon that took up to ten times as long.
///
/// Cost  two accesses of a register, once
/// Note  on processors other than x86 and 64-bit ARM it changes nothing: `is_supported`
class FlushSubnormals {
public:
    static constexpr bool is_supported = detail::flush_bits != 0;

    [[nodiscard]] FlushSubnormals() noexcept : mode_(detail::flush_bits) {}

private:
    detail::WithSubnormalMode mode_;
};

}  // namespace ssm
