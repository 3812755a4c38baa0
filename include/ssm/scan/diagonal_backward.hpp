#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <type_traits>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/discretize/modes.hpp>
#include <ssm/scan/leapfrog.hpp>
#include <ssm/scan/leapfrog_adjoint.hpp>
#include <ssm/scan/leapfrog_tile.hpp>
#include <ssm/scan/segments.hpp>

namespace ssm {
namespace detail {

/// Backward of a bank of systems from rest: what the tasks of one call share. A task takes one tile
/// of channels through a group of sequences. How many groups there are depends on the batch alone,
/// and their sums are added in order.
template <class T, class Arch = simd::Arch>
class DiagonalBackward {
public:
    static constexpr std::size_t lanes = line<T>;

    DiagonalBackward(const LeapfrogBank<T>& bank, std::span<const T> skip, BatchView<const T> u,
                     BatchView<const T> dy, BatchView<T> du, const Context& context)
        : bank_(bank),
          skip_(skip),
          u_(u),
          dy_(dy),
          du_(du),
          context_(context),
          heads_(bank.shape().heads),
          groups_(std::min<std::size_t>(u.batch(), 8)) {}

    void run(const Modes& modes, Modes& gradient, std::span<T> skip_gradient) const {
        const auto frame = context_.workspace.frame();
        const std::size_t scratch = Scratch::size(*this);
        T* const memory = context_.workspace.template take<T>(threads() * scratch).data();
        const std::size_t tiles = bank_.tiles().size();
        double* const totals =
            context_.workspace.template take_zero<double>(groups_ * tiles * totals_size()).data();
        parallel_for(
            groups_ * tiles,
            [&](std::size_t task, std::size_t worker) {
                const Scratch mine(*this, memory + worker * scratch);
                const std::size_t group = task / tiles;
                for (std::size_t b = group * u_.batch() / groups_;
                     b < (group + 1) * u_.batch() / groups_; ++b)
                    run_sequence(bank_.tiles()[task % tiles], b, mine,
                                 totals + task * totals_size());
            },
            TaskCost{0.5 *
                     static_cast<double>(u_.length() * line<T> * bank_.shape().modes * heads_)});
        for (std::size_t group = 0; group < groups_; ++group)
            for (std::size_t i = 0; i < tiles; ++i) {
                const LeapfrogTile& tile = bank_.tiles()[i];
                const double* const total = totals + (group * tiles + i) * totals_size();
                leapfrog_chain_rule<T>(tile, total, modes, gradient);
                add_skip(tile, total, skip_gradient);
            }
        if (!du_.empty())
            clear_after_end(du_, context_);
    }

private:
    /// Steps first .. first + count - 1 between checkpoints.
    struct Piece {
        std::size_t begin;
        std::size_t end;
        bool fresh;
    };

    struct Scratch {
        static constexpr std::size_t path_size = (adjoint_steps + 1) * 4 * simd::width<T>;
        [[nodiscard]] static std::size_t size(const DiagonalBackward& call) {
            return (2 + call.heads_) * adjoint_steps * lanes +
                   call.state_size() * (1 + call.heads_ + call.blocks()) + padded<T>(path_size);
        }
        Scratch(const DiagonalBackward& call, T* memory)
            : u(memory),
              du(u + adjoint_steps * lanes),
              dy(du + adjoint_steps * lanes),
              state(dy + call.heads_ * adjoint_steps * lanes),
              adjoint(state + call.state_size()),
              checkpoints(adjoint + call.heads_ * call.state_size()),
              path(checkpoints + call.blocks() * call.state_size()) {}

        T* u;            ///< [steps][line]
        T* du;           ///< [steps][line]
        T* dy;           ///< [head][steps][line]
        T* state;        ///< [slot][v, d][line]
        T* adjoint;      ///< [head][slot][v, d][line]
        T* checkpoints;  ///< [block][slot][v, d][line]
        T* path;
    };

    [[nodiscard]] std::size_t state_size() const noexcept { return 2 * bank_.most_slots() * lanes; }
    [[nodiscard]] std::size_t blocks() const noexcept {
        return (u_.length() + adjoint_steps - 1) / adjoint_steps;
    }
    /// Per slot p, q and b, c of the heads; then D of the heads.
    [[nodiscard]] std::size_t totals_size() const noexcept {
        return (bank_.most_slots() * (2 + 2 * heads_) + heads_) * lanes;
    }
    [[nodiscard]] std::size_t skip_offset() const noexcept {
        return bank_.most_slots() * (2 + 2 * heads_) * lanes;
    }

    void run_sequence(const LeapfrogTile& tile, std::size_t b, const Scratch& scratch,
                      double* totals) const {
        const std::size_t length = context_.valid_length(b, u_.length());
        keep_checkpoints(tile, b, length, scratch);
        std::fill_n(scratch.adjoint, heads_ * state_size(), T(0));
        for (std::size_t first = (length + adjoint_steps - 1) / adjoint_steps * adjoint_steps;
             first > 0;) {
            first -= adjoint_steps;
            run_block(tile, b, first, std::min(adjoint_steps, length - first), scratch, totals);
        }
    }

    void keep_checkpoints(const LeapfrogTile& tile, std::size_t b, std::size_t length,
                          const Scratch& scratch) const {
        const std::size_t size = 2 * tile.slots * lanes;
        std::fill_n(scratch.state, size, T(0));
        for (std::size_t first = 0; first < length; first += adjoint_steps) {
            const std::size_t steps = std::min(adjoint_steps, length - first);
            std::copy_n(scratch.state, size,
                        scratch.checkpoints + first / adjoint_steps * state_size());
            if (first + steps == length)
                return;
            gather_inputs(tile, u_, b, first, steps, scratch.u);
            for_each_segment(
                context_, b, first, first + steps,
                [&](std::size_t begin, std::size_t end, bool fresh) {
                    if (fresh)
                        std::fill_n(scratch.state, size, T(0));
                    for_each_slots<4>(tile, [&](auto count, std::size_t slot, std::size_t lane) {
                        leapfrog_states<count, false>(
                            bank_.dynamics(tile) + 3 * slot * lanes + lane,
                            scratch.u + (begin - first) * lanes + lane, end - begin,
                            scratch.state + 2 * slot * lanes + lane, static_cast<T*>(nullptr));
                    });
                });
        }
    }

    void run_block(const LeapfrogTile& tile, std::size_t b, std::size_t first, std::size_t steps,
                   const Scratch& scratch, double* totals) const {
        gather_inputs(tile, u_, b, first, steps, scratch.u);
        for (std::size_t c = 0; c < heads_; ++c) {
            T* const dy = scratch.dy + c * adjoint_steps * lanes;
            gather_inputs(tile, dy_, b, first, steps, dy, c * u_.channels());
            add_products(scratch.u, dy, steps, totals + skip_offset() + c * lanes);
        }
        std::fill_n(scratch.du, steps * lanes, T(0));
        std::array<Piece, adjoint_steps> pieces;
        std::size_t count = 0;
        for_each_segment(context_, b, first, first + steps,
                         [&](std::size_t begin, std::size_t end, bool fresh) {
                             pieces[count++] = {begin - first, end - first, fresh};
                         });
        while (count > 0) {
            const Piece piece = pieces[--count];
            run_piece(tile, piece, scratch.checkpoints + first / adjoint_steps * state_size(),
                      scratch, totals);
            if (piece.fresh)
                std::fill_n(scratch.adjoint, heads_ * state_size(), T(0));
        }
        if (!du_.empty())
            store_du(tile, b, first, steps, scratch);
    }

    void run_piece(const LeapfrogTile& tile, Piece piece, const T* checkpoint,
                   const Scratch& scratch, double* totals) const {
        const std::size_t steps = piece.end - piece.begin;
        for_each_slots<2>(tile, [&](auto count, std::size_t slot, std::size_t lane) {
            const T* const dynamics = bank_.dynamics(tile) + 3 * slot * lanes + lane;
            const std::size_t at = 2 * slot * lanes + lane;
            const std::size_t time = piece.begin * lanes + lane;
            for (std::size_t k = 0; k < 2 * count; ++k)
                simd::store_aligned(scratch.state + at + k * lanes,
                                    piece.fresh ? simd::Pack<T>(T(0))
                                                : simd::load_aligned(checkpoint + at + k * lanes));
            leapfrog_states<count, true>(dynamics, scratch.u + time, steps, scratch.state + at,
                                         scratch.path);
            double* const total = totals + slot * (2 + 2 * heads_) * lanes + lane;
            for (std::size_t c = 0; c < heads_; ++c)
                leapfrog_adjoint<count>(
                    dynamics, bank_.readout(c, tile) + 4 * slot * lanes + lane, scratch.path,
                    scratch.dy + c * adjoint_steps * lanes + time, scratch.du + time, steps,
                    scratch.adjoint + c * state_size() + at,
                    {total, total + (2 + 2 * c) * lanes, (2 + 2 * heads_) * lanes});
        });
    }

    /// Calls `body(count, slot, lane)` for all slots of all registers of a tile, in groups of up to
    /// `most`.
    template <std::size_t most, class Body>
    static void for_each_slots(const LeapfrogTile& tile, Body&& body) {
        for (std::size_t lane = 0; lane < lanes; lane += simd::width<T>) {
            std::size_t slot = 0;
            for (; slot + most <= tile.slots; slot += most)
                body(std::integral_constant<std::size_t, most>{}, slot, lane);
            for (; slot < tile.slots; ++slot)
                body(std::integral_constant<std::size_t, 1>{}, slot, lane);
        }
    }

    /// total += sum over the steps of u dy, the gradient of D.
    static void add_products(const T* u, const T* dy, std::size_t steps, double* total) noexcept {
        for (std::size_t lane = 0; lane < lanes; lane += simd::width<T>) {
            simd::Pack<T> sum(T(0));
            for (std::size_t t = 0; t < steps; ++t)
                sum = simd::fma(simd::load_aligned(u + t * lanes + lane),
                                simd::load_aligned(dy + t * lanes + lane), sum);
            add_widened(sum, total + lane);
        }
    }

    /// du = what the lanes add up to, + sum_c D_c dy_c.
    void store_du(const LeapfrogTile& tile, std::size_t b, std::size_t first, std::size_t steps,
                  const Scratch& scratch) const noexcept {
        for (std::size_t t = 0; t < steps; ++t) {
            T* const lane = scratch.du + t * lanes;
            fold_lanes(tile, lane);
            for (std::size_t c = 0; c < (skip_.empty() ? 0 : heads_); ++c)
                for (std::size_t i = 0; i < tile.channels; ++i)
                    lane[i] += skip_[c * u_.channels() + tile.first + i] *
                               scratch.dy[(c * adjoint_steps + t) * lanes + i];
            std::copy_n(lane, tile.channels, &du_(b, first + t, tile.first));
        }
    }

    void add_skip(const LeapfrogTile& tile, const double* total,
                  std::span<T> skip_gradient) const noexcept {
        if (skip_gradient.empty())
            return;
        for (std::size_t c = 0; c < heads_; ++c)
            for (std::size_t i = 0; i < tile.channels; ++i)
                skip_gradient[c * u_.channels() + tile.first + i] +=
                    static_cast<T>(total[skip_offset() + c * lanes + i]);
    }

    const LeapfrogBank<T>& bank_;
    std::span<const T> skip_;
    BatchView<const T> u_;
    BatchView<const T> dy_;
    BatchView<T> du_;
    const Context& context_;
    std::size_t heads_;
    std::size_t groups_;
};

}  // namespace detail

/// Gradients of a bank of diagonal systems that started from rest, given dy = d loss / d y:
///
///   lambda[t] = sum_c conj(r_c) dy_c[t] + conj(z) lambda[t+1]    (0 across resets, behind the end)
///   G(z) = sum_t lambda[t] conj(s[t-1])       G(r_c) = sum_t dy_c[t] conj(s[t])
///   du[t] = Re sum_n lambda_n[t] + sum_c D_c dy_c[t]       dD_c = sum_t dy_c[t] u[t]
///
/// with G(x) = d loss / d Re x + i d loss / d Im x; computed through the real recurrence of
/// leapfrog.hpp, which has the same gradients.
///
/// Adds to `gradient`, and to `skip_gradient` unless it is empty; overwrites `du`, which may be
/// empty.
///
/// Shapes    as DiagonalSystem: u, du (batch, L, H), dy (batch, L, heads * H), D and dD (heads, H)
///           or empty
/// Errors    ShapeError for arguments that do not fit
/// Cost      24 n flops a number of u in three passes: states at every 64th step, states in
///           between, and back. Memory: 2 n / 64 numbers for each number of one tile of 16
///           channels, each thread
/// Accuracy  sums over time are in T for 64 steps, in double beyond
/// Threads   the same bits for any number: sequences are added in a fixed order
template <class T>
void diagonal_backward(const Modes& modes, std::span<const T> skip, BatchView<const T> u,
                       BatchView<const T> dy, BatchView<T> du, Modes& gradient,
                       std::span<T> skip_gradient, const Context& context) {
    const ModeShape& shape = modes.shape;
    const std::size_t outputs = shape.heads * shape.channels;
    constexpr const char* what = "ssm::diagonal_backward";
    require<ShapeError>(shape.modes > 0 && shape.heads > 0, what, ": ", shape.modes, " modes and ",
                        shape.heads, " heads, expected at least 1");
    require_shape("ssm::diagonal_backward: input", u.shape(),
                  {u.batch(), u.length(), shape.channels});
    require_shape("ssm::diagonal_backward: dy", dy.shape(), {u.batch(), u.length(), outputs});
    if (du.data() != nullptr)
        require_shape("ssm::diagonal_backward: du", du.shape(), u.shape());
    require<ShapeError>(gradient.shape == shape, what,
                        ": the gradient is of modes of another shape");
    require<ShapeError>(skip.empty() || skip.size() == outputs, what, ": D has ", skip.size(),
                        " numbers, expected ", outputs);
    require<ShapeError>(skip_gradient.empty() || skip_gradient.size() == outputs, what,
                        ": the gradient of D has ", skip_gradient.size(), " numbers, expected ",
                        outputs);
    context.check(u.shape());
    if (u.empty())
        return;
    const auto bank = context.workspace.template borrow<detail::LeapfrogBank<T>>();
    bank->reset(modes);
    detail::DiagonalBackward<T>(*bank, skip, u, dy, du, context)
        .run(modes, gradient, skip_gradient);
}

}  // namespace ssm
