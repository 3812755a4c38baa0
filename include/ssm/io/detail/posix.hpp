#pragma once

#include <filesystem>
#include <system_error>
#include <utility>

#include <ssm/core/error.hpp>

/// 1 where files are mapped, synchronised and replaced with the calls of POSIX; 0 for the plain C++
/// substitutes, as on Windows.
#if !defined(SSM_POSIX_FILES)
#if defined(__unix__) || defined(__APPLE__)
#define SSM_POSIX_FILES 1
#else
#define SSM_POSIX_FILES 0
#endif
#endif

#if SSM_POSIX_FILES
#include <cerrno>

#include <fcntl.h>
#include <unistd.h>
#endif

namespace ssm::detail {

[[noreturn]] inline void raise_system(const char* what, const std::filesystem::path& path,
                                      const std::error_code& code) {
    raise<FileError>("ssm: cannot ", what, " \"", path.string(), "\": ", code.message());
}

#if SSM_POSIX_FILES

/// Why the last call of the system failed.
[[nodiscard]] inline std::error_code last_error() noexcept {
    return {errno, std::generic_category()};
}

/// An open file descriptor that closes itself.
class FileDescriptor {
public:
    FileDescriptor() = default;
    FileDescriptor(const char* path, int flags, unsigned mode = 0) noexcept {
        do {
            value_ = ::open(path, flags | O_CLOEXEC, mode);
        } while (value_ < 0 && errno == EINTR);
    }
    FileDescriptor(FileDescriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
    FileDescriptor& operator=(FileDescriptor&& other) noexcept {
        std::swap(value_, other.value_);
        return *this;
    }
    ~FileDescriptor() { close(); }

    [[nodiscard]] int get() const noexcept { return value_; }
    [[nodiscard]] bool is_open() const noexcept { return value_ >= 0; }
    /// False when the system reports a failure, which for a written file may mean lost data.
    bool close() noexcept { return value_ < 0 || ::close(std::exchange(value_, -1)) == 0; }

private:
    int value_ = -1;
};

#endif

}  // namespace ssm::detail
