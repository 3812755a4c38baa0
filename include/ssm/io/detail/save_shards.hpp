#pragma once

#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>

#include <nlohmann/json.hpp>

#include <ssm/core/error.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/io/detail/atomic_file.hpp>
#include <ssm/io/detail/json_file.hpp>
#include <ssm/io/detail/quoted.hpp>
#include <ssm/io/dtype.hpp>
#include <ssm/io/safetensors_writer.hpp>
#include <ssm/io/save.hpp>
#include <ssm/io/stored_as.hpp>

namespace ssm::detail {

/// Weights in the order in which they are visited, distributed to files.
class Shards {
public:
    explicit Shards(std::size_t most) : most_(most) {}

    void add(const std::string& tensor, std::size_t bytes) {
        if (most_ > 0 && used_ > 0 && used_ + bytes > most_) {
            ++count_;
            used_ = 0;
        }
        used_ += bytes;
        total_ += bytes;
        shards_.emplace(tensor, count_ - 1);
    }
    [[nodiscard]] std::size_t count() const noexcept { return count_; }
    [[nodiscard]] bool has(std::size_t shard, const std::string& tensor) const {
        return shards_.at(tensor) == shard;
    }
    [[nodiscard]] std::string file(std::size_t shard) const {
        if (count_ == 1)
            return "model.safetensors";
        char name[80];
        std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", shard + 1, count_);
        return name;
    }
    [[nodiscard]] nlohmann::json index() const {
        nlohmann::json result{{"metadata", {{"total_size", total_}}}};
        for (const auto& [tensor, shard] : shards_)
            result["weight_map"][tensor] = file(shard);
        return result;
    }

private:
    std::size_t most_;
    std::size_t used_ = 0;
    std::size_t total_ = 0;
    std::size_t count_ = 1;
    std::map<std::string, std::size_t> shards_;
};

/// Of two descriptions of the weights in a folder, one file or an index of several, the other one goes: it is of an
/// older model.
inline void remove_stale(const std::filesystem::path& path) {
    std::error_code code;
    std::filesystem::remove(path, code);
    require<FileError>(!code, "ssm::save_hugging_face: ", Quoted{path.string()},
                       " describes an older model, but cannot be removed: ", code.message());
}

/// Writes all weights as `dtype`, or as they are, to model.safetensors in the folder, or to shards of at most `most` bytes
/// and their index; `stored_as` tells how each is stored, in one tensor. No file of an older model is replaced before
/// all are on the disk.
template <class Model, class StoredAsOf>
void save_shards(const Model& model, const std::filesystem::path& folder,
                 std::optional<Dtype> dtype, std::size_t most, StoredAsOf&& stored_as) {
    Shards shards(most);
    visit(
        [&](std::string_view name, const WeightTraits&, const auto& weight) {
            using T = typename std::remove_cvref_t<decltype(weight)>::value_type;
            shards.add(stored_as(name).names[0],
                       weight.size() * bits_of(dtype.value_or(dtype_of<T>)) / 8);
        },
        model);
    std::list<AtomicFile> files;
    for (std::size_t shard = 0; shard < shards.count(); ++shard) {
        SaveOptions of_shard{.dtype = dtype};
        of_shard.stored_as = [&](std::string_view name) {
            const StoredAs stored = stored_as(name);
            return shards.has(shard, stored.names[0]) ? stored : StoredAs();
        };
        SafetensorsWriter writer;
        writer.add_metadata("format", "pt");
        add_weights(writer, model, of_shard);
        AtomicFile& file = files.emplace_back(folder / shards.file(shard));
        writer.write(file);
        file.prepare();
    }
    const auto index = folder / "model.safetensors.index.json";
    if (shards.count() > 1)
        write_json(files.emplace_back(index), shards.index());
    for (AtomicFile& file : files)
        file.commit();
    remove_stale(shards.count() > 1 ? folder / "model.safetensors" : index);
}

}  // namespace ssm::detail
