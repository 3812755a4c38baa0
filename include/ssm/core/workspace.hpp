#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <type_traits>
#include <typeindex>
#include <typeinfo>
#include <utility>
#include <vector>

#include <ssm/core/aligned.hpp>
#include <ssm/core/detail/poison.hpp>

namespace ssm {

/// Scratch memory of calls. It grows to a high-water mark and then never again: once warm, calls
/// of the same shapes do not allocate.
///
/// Memory is handed out as a stack: a `Frame` gives back everything taken since it was made.
/// The contents of taken memory are unspecified. AddressSanitizer reports who reads or writes next to
/// it, or after it was given back.
///
/// It also remembers tables that depend on nothing but their size (FFT twiddles and the like).
///
/// Threads   one workspace for each thread that makes calls; calls share theirs with the threads
///           they start. A copy of a workspace is a new, empty one.
class Workspace {
public:
    Workspace() = default;
    Workspace(const Workspace&) noexcept {}
    Workspace(Workspace&&) noexcept = default;
    Workspace& operator=(const Workspace&) noexcept { return *this; }
    Workspace& operator=(Workspace&&) noexcept = default;

    /// Gives back on destruction what was taken since construction. Frames nest.
    class Frame {
    public:
        explicit Frame(Workspace& workspace) noexcept
            : workspace_(workspace), block_(workspace.block_), used_(workspace.used_) {}
        Frame(const Frame&) = delete;
        Frame& operator=(const Frame&) = delete;
        ~Frame() { workspace_.release(block_, used_); }

    private:
        Workspace& workspace_;
        std::size_t block_;
        std::size_t used_;
    };

    [[nodiscard]] Frame frame() noexcept { return Frame(*this); }

    /// `count` numbers aligned to `alignment`, valid until the innermost open frame ends.
    template <class T>
    [[nodiscard]] std::span<T> take(std::size_t count) {
        static_assert(std::is_trivially_destructible_v<T> && std::is_trivially_copyable_v<T>);
        return {reinterpret_cast<T*>(take_bytes(count * sizeof(T))), count};
    }
    /// The same, filled with zeros.
    template <class T>
    [[nodiscard]] std::span<T> take_zero(std::size_t count) {
        const std::span<T> taken = take<T>(count);
        std::fill(taken.begin(), taken.end(), T(0));
        return taken;
    }

    /// The table `Table(size)`, made at the first request. `Table` depends on `size` alone.
    template <class Table>
    [[nodiscard]] const Table& table(std::size_t size) {
        std::shared_ptr<const void>& slot = tables_[{std::type_index(typeid(Table)), size}];
        if (!slot)
            slot = std::make_shared<const Table>(size);
        return *static_cast<const Table*>(slot.get());
    }

    /// A `T` for the time of a call, default-made the first time and handed out again later with
    /// whatever it holds, so that its own storage stays warm.
    template <class T>
    class Borrowed {
    public:
        explicit Borrowed(std::vector<std::shared_ptr<void>>& shelf) : shelf_(shelf) {
            if (shelf.empty()) {
                item_ = std::make_shared<T>();
            } else {
                item_ = std::static_pointer_cast<T>(std::move(shelf.back()));
                shelf.pop_back();
            }
        }
        Borrowed(const Borrowed&) = delete;
        Borrowed& operator=(const Borrowed&) = delete;
        ~Borrowed() { shelf_.push_back(std::move(item_)); }

        [[nodiscard]] T& operator*() const noexcept { return *item_; }
        [[nodiscard]] T* operator->() const noexcept { return item_.get(); }

    private:
        std::vector<std::shared_ptr<void>>& shelf_;
        std::shared_ptr<T> item_;
    };
    template <class T>
    [[nodiscard]] Borrowed<T> borrow() {
        return Borrowed<T>(shelves_[std::type_index(typeid(T))]);
    }

    /// Bytes handed out by `take` that are held at present.
    [[nodiscard]] std::size_t capacity() const noexcept {
        std::size_t bytes = 0;
        for (const auto& block : blocks_)
            bytes += block.size();
        return bytes;
    }

private:
    std::byte* take_bytes(std::size_t bytes) {
        const std::size_t room = (bytes + detail::red_zone + alignment - 1) / alignment * alignment;
        while (block_ < blocks_.size() && used_ + room > blocks_[block_].size()) {
            ++block_;
            used_ = 0;
        }
        if (block_ == blocks_.size()) {
            blocks_.emplace_back(std::max(room, capacity()));
            detail::poison(blocks_.back().data(), blocks_.back().size());
            used_ = 0;
        }
        std::byte* taken = blocks_[block_].data() + used_;
        detail::unpoison(taken, bytes);
        used_ += room;
        return taken;
    }

    void release(std::size_t block, std::size_t used) noexcept {
        if constexpr (detail::red_zone > 0)
            for (std::size_t i = block; i <= block_ && i < blocks_.size(); ++i) {
                const std::size_t begin = i == block ? used : 0;
                const std::size_t end = i == block_ ? used_ : blocks_[i].size();
                detail::poison(blocks_[i].data() + begin, end - begin);
            }
        block_ = block;
        used_ = used;
    }

    std::vector<AlignedVector<std::byte>> blocks_;
    std::size_t block_ = 0;
    std::size_t used_ = 0;
    std::map<std::pair<std::type_index, std::size_t>, std::shared_ptr<const void>> tables_;
    std::map<std::type_index, std::vector<std::shared_ptr<void>>> shelves_;
};

}  // namespace ssm
