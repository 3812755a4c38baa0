#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/scan/linear_scan_call.hpp>
#include <ssm/scan/linear_scan_element.hpp>
#include <ssm/scan/linear_scan_form.hpp>
#include <ssm/scan/linear_scan_kernel.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm::detail {

/// The most steps of one task when a single sequence is cut over time.
inline constexpr std::size_t scan_chunk = 8192;
/// Tasks that are enough without cutting over time.
inline constexpr std::size_t scan_tasks = 16;
/// Numbers that are worth a cut: about a millisecond. One thread takes half as long again for a scan that is cut, and
/// threads are not worth waking for less.
inline constexpr std::size_t scan_cut_numbers = std::size_t(1) << 22U;

/// Whether a scan without resets is cut over time.
template <class Form, class T>
[[nodiscard]] bool is_cut(const Scan<Form, T>& scan) noexcept {
    return scan.x.size() >= scan_cut_numbers && scan.x.length() >= 4 * scan_chunk &&
           scan.x.batch() * scan.column_tasks() < scan_tasks;
}

/// Long sequences in chunks: what each chunk does to a state, states at the chunks' beginnings, then all chunks. The cut
/// depends on the shape alone. Both passes go over a few chunks before the next ones, so that the second finds its rows
/// in the cache.
template <class Form, bool fixed, class T, class Arch = simd::Arch>
class ScanInChunks {
public:
    ScanInChunks(const Scan<Form, T, Arch>& scan, T* states, Workspace& workspace)
        : scan_(scan),
          states_(states),
          steps_(chunk_steps(scan.width())),
          elements_(scan.x.batch() * chunks * scan.width()),
          a_(workspace.take<T>(fixed ? scan.width() : elements_)),
          b_(workspace.take<T>(elements_)) {
        if constexpr (fixed)
            power_row<Form>(scan.a, scan.columns(), steps_, a_.data());
    }

    void run() const {
        const std::size_t length = scan_.x.length();
        for (std::size_t first = 0; first < length; first += chunks * steps_) {
            const std::size_t end = std::min(length, first + chunks * steps_);
            const std::size_t count = (end - first + steps_ - 1) / steps_;
            each_group(first, end, [this](const Group& group) { find_last_states(group); });
            pass_states_on(count);
            each_group(first, end, [this](const Group& group) { scan(group); });
            // What the last steps say, not what the composition says.
            for (std::size_t b = 0; b < scan_.x.batch(); ++b)
                std::copy_n(element(b, count - 1), scan_.width(), states_ + b * scan_.width());
        }
    }

private:
    static constexpr std::size_t chunks = 8;  ///< that both passes go over together

    /// Some columns of a chunk of one sequence; or one pack of them in `together` chunks, whose chains of dependent steps
    /// then run side by side.
    struct Group {
        ScanRows<T> rows;
        std::size_t steps;
        std::size_t columns;
        std::size_t element;  ///< where the element of the first chunk begins
        bool is_together;
    };
    static constexpr std::size_t together = scan_packs;
    static_assert(chunks % together == 0);

    /// All chunks together have half of a second-level cache for their rows. Chunks side by side are not a multiple of
    /// a page apart: then their rows would meet in the same places of the first-level cache.
    [[nodiscard]] static std::size_t chunk_steps(std::size_t width) noexcept {
        const std::size_t row = width * sizeof(T);
        const std::size_t steps = (std::size_t(1) << 19U) / chunks / (fixed ? row : 2 * row);
        return std::clamp<std::size_t>(steps, 64, scan_chunk) -
               std::min<std::size_t>(32, 1024 / row);
    }
    [[nodiscard]] T* element(std::size_t b, std::size_t chunk) const noexcept {
        return b_.data() + (b * chunks + chunk) * scan_.width();
    }

    /// body(group) for the chunks of steps first .. end - 1 in the order of the scan.
    template <class Body>
    void each_group(std::size_t first, std::size_t end, Body&& body) const {
        const std::size_t tasks = scan_.column_tasks();
        const bool is_together =
            scan_.columns() <= simd::width<T> && end - first == chunks * steps_;
        const std::size_t stride = is_together ? together : 1;
        const std::size_t count = (end - first + stride * steps_ - 1) / (stride * steps_);
        parallel_for(
            scan_.x.batch() * count * tasks,
            [&](std::size_t task, std::size_t) {
                const std::size_t i = task % tasks * scan_.task_columns();
                const std::size_t chunk = task / tasks % count * stride;
                const std::size_t b = task / tasks / count;
                const std::size_t at = first + chunk * steps_;
                body(Group{scan_.rows_from(b, at, std::min(end, at + steps_), i),
                           std::min(steps_, end - at),
                           std::min(scan_.task_columns(), scan_.columns() - i),
                           (b * chunks + chunk) * scan_.width() + i, is_together});
            },
            scan_.cost(stride * steps_));
    }

    /// Where the chunks of a group are; calls body(packs).
    template <class Body>
    void with_chunk_packs(const Group& group, Body&& body) const {
        const auto steps = static_cast<std::ptrdiff_t>(group.steps);
        const std::ptrdiff_t a = fixed ? 0 : steps * group.rows.a_step;
        const std::ptrdiff_t x = steps * group.rows.x_step;
        const auto state = static_cast<std::ptrdiff_t>(scan_.width());
        if (group.columns == simd::width<T>)
            body(ChunkPacks<simd::AllLanes<T>>{a, x, state, {}});
        else
            simd::with_first_lanes<T>(group.columns, [&](const auto& lanes) {
                body(ChunkPacks<std::decay_t<decltype(lanes)>>{a, x, state, lanes});
            });
    }

    void find_last_states(const Group& group) const {
        T* const b = b_.data() + group.element;
        T* const product = fixed ? nullptr : a_.data() + group.element;
        for (std::size_t p = 0; p < (group.is_together ? together : 1); ++p) {
            clear_columns(b + p * scan_.width(), scan_.columns(), Form::parts, group.columns);
            if constexpr (!fixed) {
                T* const a = product + p * scan_.width();
                clear_columns(a, scan_.columns(), Form::parts, group.columns);
                std::fill_n(a, group.columns, static_cast<T>(Form::identity));
            }
        }
        if (group.is_together)
            with_chunk_packs(group, [&](const auto& packs) {
                last_state_of_group<Form, fixed, together>(group.rows, group.steps, b, product,
                                                           packs);
            });
        else
            scan_last_state<Form, fixed>(group.rows, group.steps, group.columns, b, product);
    }

    void scan(const Group& group) const {
        T* const state = b_.data() + group.element;
        if (group.is_together)
            with_chunk_packs(group, [&](const auto& packs) {
                scan_pack_group<Form, fixed, together>(group.rows, group.steps, state, packs);
            });
        else
            scan_columns<Form, fixed>(group.rows, group.steps, group.columns, state);
    }

    /// Of each chunk's last state from rest makes the state before it.
    void pass_states_on(std::size_t count) const noexcept {
        for (std::size_t b = 0; b < scan_.x.batch(); ++b) {
            T* const state = states_ + b * scan_.width();
            for (std::size_t chunk = 0; chunk < count; ++chunk) {
                T* const at = element(b, chunk);
                const T* const a = fixed ? a_.data() : a_.data() + (at - b_.data());
                for (std::size_t i = 0; i < scan_.columns(); ++i) {
                    const auto before = number_at<Form>(state, scan_.columns(), i);
                    const auto after = Form::advance(number_at<Form>(a, scan_.columns(), i), before,
                                                     number_at<Form>(at, scan_.columns(), i));
                    set_number<Form>(state, scan_.columns(), i, after);
                    set_number<Form>(at, scan_.columns(), i, before);
                }
            }
        }
    }

    const Scan<Form, T, Arch>& scan_;
    T* states_;
    std::size_t steps_;
    std::size_t elements_;
    std::span<T> a_, b_;
};

}  // namespace ssm::detail
