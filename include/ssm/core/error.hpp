#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

#if !defined(__cpp_exceptions)
#include <cstdio>
#include <cstdlib>
#endif

namespace ssm {

/// What every error of the library derives from. The message names the object, what was found and
/// what was expected; whatever was being changed is left as it was.
class Error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// Sizes that do not fit together: views, weights, states.
class ShapeError : public Error {
public:
    using Error::Error;
};

/// A number or option outside its domain.
class ValueError : public Error {
public:
    using Error::Error;
};

/// A file that cannot be read, written or trusted.
class FileError : public Error {
public:
    using Error::Error;
};

/// Throws `E` with the parts written one after the other. Without exceptions: prints and aborts.
template <class E = Error, class... Parts>
[[noreturn]] void raise(const Parts&... parts) {
    std::ostringstream text;
    (text << ... << parts);
#if defined(__cpp_exceptions)
    throw E(text.str());
#else
    std::fputs(text.str().c_str(), stderr);
    std::abort();
#endif
}

/// Raises `E` unless `claim` holds. The parts are put together only on failure.
template <class E = Error, class... Parts>
void require(bool claim, const Parts&... parts) {
    if (!claim) [[unlikely]]
        raise<E>(parts...);
}

}  // namespace ssm
