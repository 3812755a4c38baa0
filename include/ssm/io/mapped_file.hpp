#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <system_error>
#include <utility>

#include <ssm/core/error.hpp>
#include <ssm/io/detail/posix.hpp>

#if SSM_POSIX_FILES
#include <sys/mman.h>
#include <sys/stat.h>
#else
#include <fstream>
#include <ios>

#include <ssm/core/aligned.hpp>
#endif

namespace ssm {

namespace detail {

/// Whether something is at `path`: also what cannot be looked at, of which opening it will say why.
[[nodiscard]] inline bool is_there(const std::filesystem::path& path) {
    std::error_code code;
    return std::filesystem::exists(path, code) || code;
}

}  // namespace detail

/// The bytes of a file, read only: mapped into memory on POSIX systems, read into memory elsewhere.
///
/// A mapping costs no memory until its pages are touched and shares them with other processes. It
/// shows what others write into the file, and reading past the new end of a file that shrank is a
/// fault of the process: replace files by renaming, as this library does, never in place.
///
/// Errors    FileError when the path is not a regular file that can be read.
class MappedFile {
public:
    explicit MappedFile(const std::filesystem::path& path);

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }

    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;
    MappedFile(MappedFile&& other) noexcept { swap(other); }
    MappedFile& operator=(MappedFile&& other) noexcept {
        MappedFile(std::move(other)).swap(*this);
        return *this;
    }
    ~MappedFile();

private:
    void swap(MappedFile& other) noexcept;

    std::span<const std::byte> bytes_;
#if !SSM_POSIX_FILES
    AlignedVector<std::byte> storage_;
#endif
};

#if SSM_POSIX_FILES

inline MappedFile::MappedFile(const std::filesystem::path& path) {
    // O_NONBLOCK: a named pipe must be refused, not waited for.
    const detail::FileDescriptor file(path.c_str(), O_RDONLY | O_NONBLOCK);
    struct ::stat status {};
    if (!file.is_open() || ::fstat(file.get(), &status) != 0)
        detail::raise_system("open", path, detail::last_error());
    require<FileError>(S_ISREG(status.st_mode), "ssm: \"", path.string(),
                       "\" is not a regular file");
    const auto size = static_cast<std::size_t>(status.st_size);
    if (size == 0)
        return;
    void* const memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (memory == MAP_FAILED)
        detail::raise_system("map", path, detail::last_error());
    bytes_ = {static_cast<const std::byte*>(memory), size};
}

inline MappedFile::~MappedFile() {
    if (!bytes_.empty())
        ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

inline void MappedFile::swap(MappedFile& other) noexcept {
    std::swap(bytes_, other.bytes_);
}

#else

inline MappedFile::MappedFile(const std::filesystem::path& path) {
    std::error_code code;
    const auto size =
        std::filesystem::is_regular_file(path, code) ? std::filesystem::file_size(path, code) : 0;
    std::ifstream file(path, std::ios::binary);
    require<FileError>(!code && file.is_open() && std::filesystem::is_regular_file(path, code),
                       "ssm: cannot open \"", path.string(), "\"");
    storage_.resize(static_cast<std::size_t>(size));
    file.read(reinterpret_cast<char*>(storage_.data()), static_cast<std::streamsize>(size));
    require<FileError>(file.good(), "ssm: cannot read \"", path.string(), "\"");
    bytes_ = storage_;
}

inline MappedFile::~MappedFile() = default;

inline void MappedFile::swap(MappedFile& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(storage_, other.storage_);
}

#endif

}  // namespace ssm
