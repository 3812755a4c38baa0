#pragma once

#include <cmath>
#include <cstddef>
#include <type_traits>

#include <ssm/core/config.hpp>
#include <ssm/core/context.hpp>
#include <ssm/math/smooth_activations.hpp>
#include <ssm/scan/ssd_panel.hpp>
#include <ssm/scan/ssd_system.hpp>
#include <ssm/simd/exp.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>
#include <ssm/simd/sigmoid.hpp>

namespace ssm::detail {

/// A of a head.
template <class T>
[[nodiscard]] double ssd_rate(const SsdSystem<T>& system, std::size_t head) noexcept {
    const double a = static_cast<double>(system.A[head]);
    return system.log_A ? -std::exp(a) : a;
}
/// D of channels i, i + 1, ... of a head.
template <class T, class Lanes>
[[nodiscard]] SSM_INLINE simd::Pack<T> ssd_skip(const SsdSystem<T>& system, Lanes lanes,
                                                std::size_t head, std::size_t i) noexcept {
    if (system.D == nullptr)
        return simd::Pack<T>(T(0));
    return system.D_per_channel ? lanes.load(system.D + head * system.channels + i)
                                : simd::Pack<T>(system.D[head]);
}
/// dt for delta + bias.
template <class T>
[[nodiscard]] double ssd_timestep(const SsdSystem<T>& system, double raw) noexcept {
    const double dt = system.softplus ? simd::softplus(raw) : raw;
    return dt < system.dt_min ? system.dt_min : dt > system.dt_max ? system.dt_max : dt;
}

/// Steps that a scan takes without rescaling its states.
struct SsdStretch {
    std::size_t first;
    std::size_t last;
    bool fresh;  ///< reset before the first step
};

/// Time steps and decays of one head in a block of steps.
///
/// Inside a stretch the panel's states are S_t exp(-travelled_t): they do not decay, their inputs grow. That saves a
/// third of the work, and is exact as long as the numbers stay in range: a stretch ends where the logarithm of the
/// decay would leave it. All of it is computed in double: it is little work, shared by all channels of a head.
template <class T>
class SsdDecay {
    static constexpr double range = std::is_same_v<T, float> ? 30.0 : 300.0;

public:
    void load(const SsdSystem<T>& system, const SsdInput<T>& input, std::size_t head, std::size_t b,
              std::size_t begin, std::size_t steps, const Context& context) noexcept {
        const double bias =
            system.dt_bias == nullptr ? 0.0 : static_cast<double>(system.dt_bias[head]);
        rate_ = ssd_rate(system, head);
        for (std::size_t t = 0; t < steps; ++t) {
            raw_[t] =
                bias + static_cast<double>(input.delta.at(b * input.length + begin + t)[head]);
            dt_[t] = raw_[t];
        }
        if (system.softplus)
            for_each(steps, [&](auto lanes, std::size_t t) SSM_INLINE_LAMBDA {
                lanes.store(dt_ + t, simd::softplus(lanes.load(raw_ + t)));
            });
        for (std::size_t t = 0; t < steps; ++t) {
            limited_[t] = dt_[t] < system.dt_min || dt_[t] > system.dt_max;
            if (limited_[t])
                dt_[t] = dt_[t] < system.dt_min ? system.dt_min : system.dt_max;
        }
        cut(b, begin, steps, context);
        for_each(steps, [&](auto lanes, std::size_t t) SSM_INLINE_LAMBDA {
            const simd::Pack<double> way = lanes.load(travelled_ + t);
            lanes.store(shrunk_ + t, simd::exp(way));
            lanes.store(grown_ + t, simd::exp(-way));
        });
    }

    [[nodiscard]] std::size_t stretches() const noexcept { return count_; }
    [[nodiscard]] const SsdStretch& stretch(std::size_t i) const noexcept { return stretches_[i]; }
    [[nodiscard]] double rate() const noexcept { return rate_; }
    [[nodiscard]] double dt(std::size_t t) const noexcept { return dt_[t]; }
    /// Decay from the first step of the stretch to t, and its inverse.
    [[nodiscard]] double shrunk(std::size_t t) const noexcept { return shrunk_[t]; }
    [[nodiscard]] double grown(std::size_t t) const noexcept { return grown_[t]; }
    /// Decay at step t.
    [[nodiscard]] double decay(std::size_t t) const noexcept { return std::exp(dt_[t] * rate_); }
    /// d dt / d delta
    [[nodiscard]] double slope(const SsdSystem<T>& system, std::size_t t) const noexcept {
        if (limited_[t])
            return 0.0;
        return system.softplus ? math::Softplus{}.derivative(raw_[t]) : 1.0;
    }

private:
    template <class Body>
    static void for_each(std::size_t steps, Body&& body) noexcept {
        simd::for_each_pack<double>(steps, body);
    }

    void cut(std::size_t b, std::size_t begin, std::size_t steps, const Context& context) noexcept {
        count_ = 0;
        double way = 0.0;
        for (std::size_t t = 0; t < steps; ++t) {
            const bool fresh = context.resets_at(b, begin + t);
            way += dt_[t] * rate_;
            if (t == 0 || fresh || !(std::abs(way) <= range)) {
                if (count_ > 0)
                    stretches_[count_ - 1].last = t;
                stretches_[count_++] = {t, steps, fresh};
                way = 0.0;
            }
            travelled_[t] = way;
        }
    }

    alignas(64) double raw_[ssd_steps];
    alignas(64) double dt_[ssd_steps];
    alignas(64) double travelled_[ssd_steps];
    alignas(64) double shrunk_[ssd_steps];
    alignas(64) double grown_[ssd_steps];
    bool limited_[ssd_steps];
    SsdStretch stretches_[ssd_steps];
    std::size_t count_ = 0;
    double rate_ = 0.0;
};

}  // namespace ssm::detail
