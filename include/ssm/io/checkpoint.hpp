#pragma once

#include <concepts>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/io/detail/checkpoint_value.hpp>
#include <ssm/io/detail/quoted.hpp>
#include <ssm/io/load.hpp>
#include <ssm/io/safetensors.hpp>
#include <ssm/io/safetensors_writer.hpp>

namespace ssm {

/// What a checkpoint can keep: a layer or anything else that names its weights (`visit_weights`: layers,
/// gradients, averages), its numbers (`visit_numbers(visitor, values...)`, which calls
/// `visitor(name, value...)` for each: schedules, states) or both (optimisers); numbers, vectors of
/// numbers, texts and random generators. What `visit_numbers` names may be any of these again.
template <class V>
concept Checkpointable =
    !std::is_const_v<V> &&
    (detail::HasVisitedWeights<V> || detail::HasVisitedNumbers<V> || detail::StoredNumber<V> ||
     detail::NumberVector<V> || std::same_as<V, std::string> || std::same_as<V, Rng>);

/// Everything a run needs to continue as if it had never stopped, bit for bit: a list of named values,
/// and the two ways between them and a file.
///
///     ssm::Checkpoint run;
///     run.add("weights", model);
///     run.add("optimizer", optimizer);
///     run.add("rng", rng);
///     run.add("epoch", epoch);
///     if (std::filesystem::exists(path))
///         run.load(path);
///     for (; epoch < epochs; run.save(path)) { ... ++epoch; }
///
/// The values are not copied: they must live and keep their place as long as the checkpoint. `save`
/// writes what they are, `load` makes them what they were. Vectors added by name may have another
/// length in the file; those inside other values may not.
///
/// File      a safetensors file with the text "ssm.checkpoint" = "1". Weights are tensors `name.weight`,
///           so that `load(model, path, {.prefix = "weights."})` takes just the model out of it; numbers
///           are tensors of their own type without axes; texts are metadata.
/// Errors    ValueError for a name used twice. FileError when the file cannot be written, the old one
///           being as it was; or when it does not hold exactly these values with these shapes and
///           types: the message lists all differences, and nothing has been changed.
class Checkpoint {
public:
    /// Adds a value under a name, with which its names in the file begin.
    template <Checkpointable V>
    void add(const std::string& name, V& value) {
        require<ValueError>(names_.insert(name).second, "ssm::Checkpoint: ", detail::Quoted{name},
                            " was added before");
        items_.push_back(
            {[name, &value](const detail::ValueWriter& file) { file.write(name, value); },
             [name, &value](detail::ValueChecker& file) { file.check(name, value); },
             [name, &value](const detail::ValueReader& file) { file.read(name, value); }});
    }
    /// What is about to vanish cannot be loaded into.
    template <class V>
    requires(!std::is_lvalue_reference_v<V>) void add(const std::string& name, V&& value) = delete;

    /// Writes all values: the new file is complete, or the old one as it was.
    void save(const std::filesystem::path& path) const {
        SafetensorsWriter file;
        file.add_metadata(mark, version);
        for (const Item& item : items_)
            item.write({file});
        file.save(path);
    }

    /// Reads all values, or none when anything does not fit.
    void load(const std::filesystem::path& path) const {
        const Safetensors file(path);
        const auto found = file.metadata().find(mark);
        require<FileError>(found != file.metadata().end() && found->second == version,
                           "ssm::Checkpoint: ", detail::Quoted{file.origin()},
                           " is no checkpoint of version ", version);
        check(file);
        for (const Item& item : items_)
            item.read({file});
    }

private:
    struct Item {
        std::function<void(const detail::ValueWriter&)> write;
        std::function<void(detail::ValueChecker&)> check;
        std::function<void(const detail::ValueReader&)> read;
    };
    static constexpr const char* mark = "ssm.checkpoint";
    static constexpr const char* version = "1";

    void check(const Safetensors& file) const {
        detail::ValueChecker checker{file};
        for (const Item& item : items_)
            item.check(checker);
        detail::Misfits& misfits = checker.misfits;
        for (const auto& [name, entry] : file.entries())
            if (!checker.tensors.contains(name))
                misfits.unexpected.push_back(name);
        for (const auto& [name, text] : file.metadata())
            if (name != mark && !checker.texts.contains(name))
                misfits.unexpected.push_back(name);
        const std::string text = misfits.text();
        require<FileError>(text.empty(), "ssm::Checkpoint: ", detail::Quoted{file.origin()},
                           " does not hold what is to be loaded:", text);
    }

    std::set<std::string, std::less<>> names_;
    std::vector<Item> items_;
};

}  // namespace ssm
