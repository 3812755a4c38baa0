#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/io/detail/posix.hpp>

#if SSM_POSIX_FILES
#include <sys/stat.h>
#else
#include <fstream>
#include <ios>
#endif

namespace ssm::detail {

/// A file that appears under its name complete or not at all: written to a temporary file in the
/// same folder, which `commit` moves over the old one after its bytes have reached the disk. Without
/// a commit, and after an error, the old file is as it was and the temporary is gone.
///
/// A link is followed. The file keeps its permissions.
/// Errors    FileError: the folder cannot be written, the disk is full, the path is no regular file
class AtomicFile {
public:
    explicit AtomicFile(const std::filesystem::path& path) : target_(resolve(path)) {
        buffer_.reserve(buffer_size);
        open_temporary();
    }
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;
    ~AtomicFile() { discard(); }

    void write(std::span<const std::byte> bytes) {
        if (buffer_.size() + bytes.size() > buffer_size)
            flush();
        if (bytes.size() > buffer_size)
            write_through(bytes);
        else
            buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
    }

    /// Brings all bytes to the disk, beside the old file. Nothing more can be written, `commit` only renames.
    void prepare() {
        flush();
        synchronise();
        is_prepared_ = true;
    }
    void commit() {
        if (!is_prepared_)
            prepare();
        std::error_code code;
        std::filesystem::rename(temporary_, target_, code);
        if (code)
            raise_system("replace", target_, code);
        temporary_.clear();
        synchronise_folder();
    }

private:
    static constexpr std::size_t buffer_size = std::size_t{1} << 16U;

    static std::filesystem::path resolve(const std::filesystem::path& path) {
        std::error_code code;
        const auto status = std::filesystem::status(path, code);
        require<FileError>(
            !std::filesystem::exists(status) || std::filesystem::is_regular_file(status), "ssm: \"",
            path.string(), "\" is not a regular file");
        if (!std::filesystem::is_symlink(std::filesystem::symlink_status(path, code)))
            return path;
        auto target = std::filesystem::weakly_canonical(path, code);
        if (code)
            raise_system("follow the link", path, code);
        return target;
    }
    void flush() {
        write_through(buffer_);
        buffer_.clear();
    }
    /// Opens a new file of a name that nothing else has.
    void open_temporary() {
        std::error_code code;
        for (unsigned attempt = 0; attempt < 100000; ++attempt) {
            auto candidate = target_.parent_path() / (".ssm-" + std::to_string(attempt) + ".tmp");
            code = create(candidate);
            if (!code) {
                temporary_ = std::move(candidate);
                return;
            }
            if (code != std::errc::file_exists)
                break;
        }
        raise_system("write", target_, code);
    }
    void discard() noexcept {
        std::error_code code;
        close();
        if (!temporary_.empty())
            std::filesystem::remove(temporary_, code);
    }

    /// An error leaves no file behind.
    std::error_code create(const std::filesystem::path& path);
    void write_through(std::span<const std::byte> bytes);
    void synchronise();
    void synchronise_folder() noexcept;
    void close() noexcept;

    std::filesystem::path target_;
    std::filesystem::path temporary_;
    std::vector<std::byte> buffer_;
    bool is_prepared_ = false;
#if SSM_POSIX_FILES
    FileDescriptor file_;
#else
    std::ofstream file_;
#endif
};

#if SSM_POSIX_FILES

inline std::error_code AtomicFile::create(const std::filesystem::path& path) {
    file_ = FileDescriptor(path.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0666U);
    if (!file_.is_open())
        return last_error();
    struct ::stat old {};
    if (::stat(target_.c_str(), &old) == 0 && ::fchmod(file_.get(), old.st_mode & 07777U) != 0) {
        const std::error_code code = last_error();
        ::unlink(path.c_str());
        return code;
    }
    return {};
}

inline void AtomicFile::write_through(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const auto written = ::write(file_.get(), bytes.data(), bytes.size());
        if (written < 0 && errno != EINTR)
            raise_system("write", target_, last_error());
        bytes = bytes.subspan(static_cast<std::size_t>(std::max<decltype(written)>(written, 0)));
    }
}

inline void AtomicFile::synchronise() {
    if (::fsync(file_.get()) != 0 || !file_.close())
        raise_system("write", target_, last_error());
}

// The rename has happened; that some file systems refuse to synchronise a folder changes nothing.
inline void AtomicFile::synchronise_folder() noexcept {
    const FileDescriptor folder((target_.parent_path() / ".").c_str(), O_RDONLY);
    if (folder.is_open())
        ::fsync(folder.get());
}

inline void AtomicFile::close() noexcept {
    file_.close();
}

#else

inline std::error_code AtomicFile::create(const std::filesystem::path& path) {
    std::error_code code;
    if (std::filesystem::exists(path, code))
        return std::make_error_code(std::errc::file_exists);
    file_.open(path, std::ios::binary | std::ios::trunc);
    return file_.is_open() ? std::error_code{} : std::make_error_code(std::errc::io_error);
}

inline void AtomicFile::write_through(std::span<const std::byte> bytes) {
    file_.write(reinterpret_cast<const char*>(bytes.data()),
                static_cast<std::streamsize>(bytes.size()));
    if (!file_.good())
        raise_system("write", target_, std::make_error_code(std::errc::io_error));
}

inline void AtomicFile::synchronise() {
    file_.close();
    if (file_.fail())
        raise_system("write", target_, std::make_error_code(std::errc::io_error));
}

inline void AtomicFile::synchronise_folder() noexcept {}

inline void AtomicFile::close() noexcept {
    file_.close();
}

#endif

}  // namespace ssm::detail
