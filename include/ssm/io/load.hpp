#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/io/detail/quoted.hpp>
#include <ssm/io/dtype.hpp>
#include <ssm/io/safetensors.hpp>
#include <ssm/io/stored_as.hpp>

namespace ssm {

/// How weights are found in a file.
struct LoadOptions {
    /// Only tensors whose names start with this take part, such as "backbone."; it is put before
    /// every name.
    std::string prefix{};
    /// Name in the file of a weight, before the prefix; none: its own. An empty name leaves the
    /// weight as it is. Two weights may have one name. Asked more than once for each weight.
    std::function<std::string(std::string_view)> name{};
    /// The same for files that store weights in parts or transposed; used instead of `name` if it is there.
    std::function<StoredAs(std::string_view)> stored_as{};
    /// Weights that the file does not have stay as they are.
    bool allow_missing = false;
    /// Tensors of the file that no weight has the name of are left alone.
    bool allow_unexpected = false;
    /// A tensor fits when its shape does without axes of size 1: (64, 1, 4) for (64, 4).
    bool ignore_unit_axes = false;
};

/// What was allowed to differ between a file and a layer: names of tensors, prefix included.
struct LoadReport {
    std::vector<std::string> missing;
    std::vector<std::string> unexpected;
};

namespace detail {

/// What does not fit between a file and the values to be loaded, for one message.
struct Misfits {
    std::vector<std::string> missing;
    std::vector<std::string> unexpected;
    std::vector<std::string> different;  ///< sentences

    [[nodiscard]] std::string text() const {
        std::ostringstream out;
        list(out, "missing from the file", missing, true);
        list(out, "not expected in the file", unexpected, true);
        list(out, "different", different, false);
        return out.str();
    }

private:
    static void list(std::ostream& out, const char* title, const std::vector<std::string>& lines,
                     bool are_names) {
        constexpr std::size_t most = 50;
        if (lines.empty())
            return;
        out << "\n  " << title << " (" << lines.size() << "):";
        for (std::size_t i = 0; i < lines.size() && i < most; ++i) {
            out << "\n    ";
            if (are_names)
                out << Quoted{lines[i]};
            else
                out << lines[i];
        }
        if (lines.size() > most)
            out << "\n    and " << lines.size() - most << " more";
    }
};

template <class... Parts>
[[nodiscard]] std::string joined(const Parts&... parts) {
    std::ostringstream text;
    (text << ... << parts);
    return text.str();
}

[[nodiscard]] inline std::vector<std::size_t> without_unit_axes(
    std::span<const std::size_t> shape) {
    std::vector<std::size_t> result(shape.begin(), shape.end());
    std::erase(result, std::size_t{1});
    return result;
}

[[nodiscard]] inline bool is_same_shape(std::span<const std::size_t> a,
                                        std::span<const std::size_t> b, bool ignore_unit_axes) {
    if (ignore_unit_axes)
        return without_unit_axes(a) == without_unit_axes(b);
    return std::vector(a.begin(), a.end()) == std::vector(b.begin(), b.end());
}

/// Loads one value in two phases: `check` looks at everything and changes nothing, after it `read`
/// has no reason to fail.
template <class L>
class WeightLoader {
public:
    /// With `same_dtype` the numbers must be of the weight's own type.
    WeightLoader(const Safetensors& file, LoadOptions options, bool same_dtype = false)
        : file_(file), options_(std::move(options)), same_dtype_(same_dtype) {}

    /// Adds what does not fit to `misfits`, and names of tensors used to `used`.
    void check(const L& layer, Misfits& misfits, std::set<std::string, std::less<>>& used) const {
        visit(
            [&](std::string_view name, const WeightTraits&, const auto& weight) {
                const StoredAs stored = find(name);
                if (stored.names.empty())
                    return;
                const StoredParts parts(stored, weight.extents());
                for (const std::string& part : stored.names) {
                    used.insert(part);
                    check_part(part, weight, parts.shape(), misfits);
                }
            },
            layer);
    }
    void read(L& layer) const {
        visit(
            [&](std::string_view name, const WeightTraits&, auto& weight) {
                const StoredAs stored = find(name);
                if (stored.names.empty())
                    return;
                const StoredParts parts(stored, weight.extents());
                for (std::size_t part = 0; part < stored.names.size(); ++part)
                    if (file_.contains(stored.names[part]))
                        read_part(stored.names[part], parts, part, weight.flat());
            },
            layer);
    }

private:
    [[nodiscard]] StoredAs find(std::string_view name) const {
        StoredAs stored = options_.stored_as ? options_.stored_as(name)
                          : options_.name    ? StoredAs(options_.name(name))
                                             : StoredAs(std::string(name));
        for (std::string& part : stored.names)
            part = options_.prefix + part;
        return stored;
    }
    template <class T>
    void read_part(const std::string& name, const StoredParts& parts, std::size_t part,
                   std::span<T> weight) const {
        if (parts.is_plain()) {
            file_.read(name, weight);
            return;
        }
        const std::vector<T> numbers = file_.template read<T>(name);
        parts.for_each(part, [&](std::size_t i, std::size_t j) { weight[i] = numbers[j]; });
    }
    template <class Weight>
    void check_part(const std::string& name, const Weight&, std::span<const std::size_t> expected,
                    Misfits& misfits) const {
        using T = typename Weight::value_type;
        if (!file_.contains(name)) {
            misfits.missing.push_back(name);
            return;
        }
        const auto found = file_.real_shape(name);
        if (!is_same_shape(found, expected, options_.ignore_unit_axes))
            misfits.different.push_back(joined(Quoted{name}, " has shape ", ShapeText{found},
                                               ", expected ", ShapeText{expected}));
        else if (same_dtype_ && file_.entry(name).dtype != dtype_of<T>)
            misfits.different.push_back(joined(Quoted{name}, " has dtype ", file_.entry(name).dtype,
                                               ", expected ", dtype_of<T>));
        else if (const std::string problem = file_.misfit<T>(name); !problem.empty())
            misfits.different.push_back(joined(Quoted{name}, " ", problem));
    }

    const Safetensors& file_;
    LoadOptions options_;
    bool same_dtype_;
};

}  // namespace detail

/// Loads all weights of a layer from an open file: all, or none when something does not fit.
///
/// Errors    FileError that lists every tensor which is missing, not expected, of another shape (both
///           shapes), or of numbers that do not fit the weight's type (see `Safetensors::misfit`)
template <class L>
LoadReport load(L& layer, const Safetensors& file, const LoadOptions& options = {}) {
    const detail::WeightLoader<L> loader(file, options);
    detail::Misfits misfits;
    std::set<std::string, std::less<>> used;
    loader.check(layer, misfits, used);
    for (const auto& [name, entry] : file.entries())
        if (name.starts_with(options.prefix) && !used.contains(name))
            misfits.unexpected.push_back(name);

    const bool fits = misfits.different.empty() &&
                      (options.allow_missing || misfits.missing.empty()) &&
                      (options.allow_unexpected || misfits.unexpected.empty());
    require<FileError>(fits, "ssm::load: ", detail::Quoted{file.origin()},
                       " does not fit the layer:", fits ? "" : misfits.text());
    loader.read(layer);
    return {std::move(misfits.missing), std::move(misfits.unexpected)};
}

/// Opens a safetensors file, or the index of a sharded one, and loads all weights of a layer from it.
///
///     ssm::load(model, "model.safetensors");
///     ssm::load(model, "model.safetensors.index.json", {.prefix = "backbone.", .name = names});
template <class L>
LoadReport load(L& layer, const std::filesystem::path& path, const LoadOptions& options = {}) {
    return load(layer, Safetensors(path), options);
}

}  // namespace ssm
