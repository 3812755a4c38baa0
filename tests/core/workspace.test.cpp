#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include <ssm/core/aligned.hpp>
#include <ssm/core/detail/poison.hpp>
#include <ssm/core/workspace.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"

using namespace ssm;

namespace {

/// Takes and gives back as nested calls do.
void use(Workspace& workspace) {
    const Workspace::Frame outer = workspace.frame();
    (void)workspace.take<double>(1000);
    for (int i = 0; i < 3; ++i) {
        const Workspace::Frame inner = workspace.frame();
        (void)workspace.take_zero<float>(5000);
        (void)workspace.take<std::size_t>(1);
    }
}

}  // namespace

TEST_CASE("a warm workspace does not allocate") {
    Workspace workspace;
    use(workspace);
    use(workspace);
    const std::size_t capacity = workspace.capacity();
    const ssm_test::AllocationCounter allocations;
    for (int i = 0; i < 10; ++i)
        use(workspace);
    CHECK(allocations.count() == 0);
    CHECK(workspace.capacity() == capacity);
}

TEST_CASE("what is taken is aligned, separate, and stays while more is taken") {
    Workspace workspace;
    const Workspace::Frame frame = workspace.frame();
    const std::span<float> first = workspace.take_zero<float>(3);
    const std::span<double> second = workspace.take<double>(7);
    for (double& value : second)
        value = 1.0;
    for (int i = 0; i < 20; ++i)
        (void)workspace.take<double>(std::size_t{1} << i);
    CHECK(reinterpret_cast<std::uintptr_t>(first.data()) % alignment == 0);
    CHECK(reinterpret_cast<std::uintptr_t>(second.data()) % alignment == 0);
    for (const float value : first)
        CHECK(value == 0.0F);
    for (const double value : second)
        CHECK(value == 1.0);
}

TEST_CASE("a frame gives back what was taken since it was made") {
    Workspace workspace;
    const Workspace::Frame outer = workspace.frame();
    const double* first = nullptr;
    {
        const Workspace::Frame inner = workspace.frame();
        first = workspace.take<double>(10).data();
    }
    CHECK(workspace.take<double>(10).data() == first);
}

TEST_CASE("copies of a workspace are new, empty ones") {
    Workspace workspace;
    use(workspace);
    const Workspace copy = workspace;
    CHECK(copy.capacity() == 0);
    Workspace other;
    other = workspace;
    CHECK(other.capacity() == 0);
    const std::size_t capacity = workspace.capacity();
    const Workspace moved = std::move(workspace);
    CHECK(moved.capacity() == capacity);
}

TEST_CASE("tables are made once for each size") {
    static int made = 0;
    struct Table {
        explicit Table(std::size_t n) : size(n) { ++made; }
        std::size_t size;
    };
    Workspace workspace;
    CHECK(workspace.table<Table>(4).size == 4);
    CHECK(&workspace.table<Table>(4) == &workspace.table<Table>(4));
    CHECK(workspace.table<Table>(5).size == 5);
    CHECK(made == 2);
}

#if defined(SSM_HAS_ADDRESS_SANITIZER)
TEST_CASE("AddressSanitizer sees what is next to taken memory and what was given back") {
    const auto is_open = [](const double* at) {
        return __asan_address_is_poisoned(reinterpret_cast<const char*>(at)) == 0;
    };
    Workspace workspace;
    const Workspace::Frame outer = workspace.frame();
    const double* first = workspace.take<double>(8).data();
    const double* inside = nullptr;
    {
        const Workspace::Frame inner = workspace.frame();
        inside = workspace.take<double>(3).data();
        CHECK(is_open(inside + 2));
        CHECK_FALSE(is_open(inside + 3));
        (void)workspace.take<double>(100000);
        CHECK(is_open(inside));
    }
    CHECK(is_open(first + 7));
    CHECK_FALSE(is_open(first + 8));
    CHECK_FALSE(is_open(inside));
    CHECK(is_open(workspace.take<double>(3).data()));
}
#endif
