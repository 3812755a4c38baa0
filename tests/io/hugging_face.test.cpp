#include <ssm/io/hugging_face.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <ssm/core/rng.hpp>
#include <ssm/io/hugging_face_writer.hpp>
#include <ssm/io/safetensors.hpp>
#include <ssm/io/safetensors_writer.hpp>

#include "support/catch.hpp"
#include "support/prebuilt_selective.hpp"
#include "support/safetensors_bytes.hpp"
#include "support/temporary_folder.hpp"

using namespace ssm;
using nlohmann::json;
using ssm_test::has;
using ssm_test::message_of;
using ssm_test::TemporaryFolder;
using ssm_test::write_file;

namespace {

const std::filesystem::path golden = std::filesystem::path(SSM_GOLDEN_DIR) / "lm" / "mamba";

json config_of(const std::filesystem::path& folder) {
    return json::parse(ssm_test::read_file(folder / "config.json"));
}

/// Writes the golden model's tensors, under names that `rename` may change; an empty one is left out.
template <class Rename>
void write_tensors(const std::filesystem::path& path, Rename&& rename) {
    const Safetensors from(golden / "model.safetensors");
    SafetensorsWriter to;
    std::vector<std::vector<float>> numbers;
    numbers.reserve(from.entries().size());
    for (const auto& [name, entry] : from.entries())
        if (const std::string other = rename(name); !other.empty()) {
            numbers.push_back(from.read<float>(name));
            to.add(other, entry.shape, std::span<const float>(numbers.back()));
        }
    to.save(path);
}

void write_model(const TemporaryFolder& folder, const json& config) {
    write_file(folder / "config.json", config.dump());
    std::filesystem::copy_file(golden / "model.safetensors", folder / "model.safetensors",
                               std::filesystem::copy_options::overwrite_existing);
}

std::string refusal_of_folder(const std::filesystem::path& folder) {
    return message_of([&] { static_cast<void>(load_hugging_face<Mamba<float>>(folder)); });
}

std::string refusal_of_folder(const json& config) {
    const TemporaryFolder folder;
    write_model(folder, config);
    return refusal_of_folder(folder.path());
}

bool are_equal(const LanguageModel<Mamba<float>>& a, const LanguageModel<Mamba<float>>& b) {
    bool result = true;
    visit([&](std::string_view, const WeightTraits&, const Tensor<float>& x,
              const Tensor<float>& y) { result = result && x == y; },
          a, b);
    return result;
}

}  // namespace

TEST_CASE("one file, shards, and the names and keys of the original give the same model") {
    const auto model = load_hugging_face<Mamba<float>>(golden);
    CHECK((model.tokens() == 257 && model.width() == 32 && model.is_tied()));

    const TemporaryFolder shards;
    write_file(shards / "config.json", config_of(golden).dump());
    json map;
    const auto shard_of = [&](const std::string& name) {
        return name.find("layers.1") == std::string::npos ? "a.safetensors" : "b.safetensors";
    };
    for (const char* shard : {"a.safetensors", "b.safetensors"})
        write_tensors(shards / shard, [&](const std::string& name) {
            if (shard_of(name) != std::string(shard))
                return std::string();
            map[name] = shard;
            return name;
        });
    write_file(shards / "model.safetensors.index.json", json{{"weight_map", map}}.dump());
    CHECK(are_equal(model, load_hugging_face<Mamba<float>>(shards.path())));
    std::filesystem::resize_file(shards / "b.safetensors", 30000);
    const std::string cut = refusal_of_folder(shards.path());
    CHECK((has(cut, "b.safetensors\"") && has(cut, "tensor \"backbone.layers.1")));

    const TemporaryFolder original;
    write_file(original / "config.json",
               R"({"d_model": 32, "n_layer": 2, "vocab_size": 257, "pad_vocab_size_multiple": 1,
                   "ssm_cfg": {"d_state": 8, "dt_rank": 2}, "rms_norm": true})");
    write_tensors(original / "model.safetensors", [](const std::string& name) {
        return name == "backbone.embeddings.weight" ? "backbone.embedding.weight" : name;
    });
    CHECK(are_equal(model, load_hugging_face<Mamba<float>>(original.path())));
}

TEST_CASE("a tied head may be stored once more if it is the embedding") {
    const Safetensors from(golden / "model.safetensors");
    auto head = from.read<float>("backbone.embeddings.weight");
    const TemporaryFolder folder;
    write_file(folder / "config.json", config_of(golden).dump());
    const auto write = [&] {
        SafetensorsWriter to;
        std::vector<std::vector<float>> numbers;
        numbers.reserve(from.entries().size());
        for (const auto& [name, entry] : from.entries()) {
            numbers.push_back(from.read<float>(name));
            to.add(name, entry.shape, std::span<const float>(numbers.back()));
        }
        const std::vector<std::size_t> shape{257, 32};
        to.add("lm_head.weight", shape, std::span<const float>(head));
        to.save(folder / "model.safetensors");
    };
    write();
    CHECK(refusal_of_folder(folder.path()).empty());
    head[5] += 1.0F;
    write();
    CHECK(has(refusal_of_folder(folder.path()), "\"lm_head.weight\": differs"));
}

TEST_CASE("a config that is not supported, or does not fit the tensors, is refused by its key") {
    const auto with = [](const char* pointer, const json& value) {
        json config = config_of(golden);
        config[json::json_pointer(pointer)] = value;
        return refusal_of_folder(config);
    };
    CHECK(with("/something_else", 3).empty());
    CHECK(has(with("/model_type", "jamba"), "config.json\": \"model_type\" is \"jamba\""));
    CHECK(!with("/model_type", "mamba2").empty());
    CHECK(has(with("/hidden_act", "gelu"), "\"hidden_act\" is \"gelu\""));
    CHECK(has(with("/hidden_size", "32"), "\"hidden_size\" is string, expected an integer"));
    CHECK(has(with("/hidden_size", 0), "\"hidden_size\" is 0"));
    CHECK(has(with("/hidden_size", -1), "\"hidden_size\" is number"));
    CHECK(has(with("/hidden_size", 1U << 20U), "\"backbone.embeddings.weight\": has shape"));
    CHECK(has(with("/vocab_size", std::uint64_t{1} << 62U), "\"backbone.embeddings.weight\""));
    CHECK(has(with("/num_hidden_layers", 1000000000), "layers.2.mixer.in_proj.weight"));
    CHECK(has(with("/num_hidden_layers", 1), "is not expected"));
    CHECK(has(with("/intermediate_size", 65), "layers.0.mixer.in_proj.weight"));
    CHECK(has(with("/state_size", 9), "layers.0.mixer.x_proj.weight"));
    CHECK(has(with("/conv_kernel", 3), "layers.0.mixer.conv1d.weight"));
    CHECK(has(with("/use_bias", true), "in_proj.bias"));
    CHECK(has(with("/use_conv_bias", false), "conv1d.bias"));
    CHECK(has(with("/tie_word_embeddings", false), "lm_head.weight"));
    CHECK(has(with("/quantization_config", json{{"bits", 4}}), "quantization_config"));
    CHECK(has(with("/eos_token_id", "x"), "eos_token_id"));
    CHECK(has(with("/expand", -2), "expand"));
    CHECK(has(refusal_of_folder(json::array()), "an object"));
    CHECK(has(refusal_of_folder(json::object()), "\"model_type\" is missing"));
    json hybrid{{"d_model", 32}, {"n_layer", 2}, {"attn_layer_idx", {1}}};
    CHECK(has(refusal_of_folder(hybrid), "attn_layer_idx"));
}

TEST_CASE("missing, unexpected and cut files are refused by name") {
    const TemporaryFolder folder;
    CHECK(has(refusal_of_folder(folder.path()), "config.json"));
    write_file(folder / "config.json", config_of(golden).dump());
    CHECK(has(refusal_of_folder(folder.path()), "model.safetensors"));
    write_tensors(folder / "model.safetensors", [](const std::string& name) {
        return name == "backbone.layers.1.norm.weight" ? std::string() : name;
    });
    CHECK(has(refusal_of_folder(folder.path()), "backbone.layers.1.norm.weight"));
    write_tensors(folder / "model.safetensors", [](const std::string& name) {
        return name == "backbone.norm_f.weight" ? "backbone.norm_g.weight" : name;
    });
    CHECK(has(refusal_of_folder(folder.path()), "backbone.norm_f.weight"));
    write_file(folder / "config.json", "{\"model_type\": ");
    CHECK(has(refusal_of_folder(folder.path()), "is not valid JSON"));
    const std::string message = message_of([&] {
        write_model(folder, config_of(golden));
        static_cast<void>(load_hugging_face<Mamba2<float>>(folder.path()));
    });
    CHECK(has(message, "another layer"));
    // What cannot be looked at is no reason to go on as if it were not there.
    std::filesystem::create_symlink("generation_config.json", folder / "generation_config.json");
    CHECK(has(refusal_of_folder(folder.path()), "generation_config.json"));
}

TEST_CASE("what config.json says of Mamba-2 is read, infinities in all spellings") {
    const auto mamba2 = std::filesystem::path(SSM_GOLDEN_DIR) / "lm" / "mamba2";
    const TemporaryFolder folder;
    json config = config_of(mamba2);
    for (const std::string limit :
         {R"([0.5, {"__float__": "Infinity"}])", "[0.5, Infinity]", R"([0.5, "Infinity"])"}) {
        config["time_step_limit"] = "LIMIT";
        std::string text = config.dump();
        text.replace(text.find("\"LIMIT\""), 7, limit);
        write_file(folder / "config.json", text);
        const HuggingFaceConfig read = read_hugging_face_config(folder.path());
        CHECK((read.family == ModelFamily::mamba2 && read.heads == 8 && read.groups == 2));
        CHECK((read.dt_least == 0.5 && std::isinf(read.dt_most)));
        CHECK(read.stops == std::vector<std::int32_t>{2});
    }
    config["time_step_limit"] = {2.0, 1.0};
    write_file(folder / "config.json", config.dump());
    const auto read = [&] { static_cast<void>(read_hugging_face_config(folder.path())); };
    CHECK(has(message_of(read), "\"time_step_limit\" is no range"));
    config["time_step_limit"] = nullptr;
    config["num_heads"] = 7;
    write_file(folder / "config.json", config.dump());
    CHECK(has(message_of(read), "num_heads = 7"));
    config["num_heads"] = 8;
    write_file(folder / "config.json", config.dump());
    write_file(folder / "generation_config.json", R"({"eos_token_id": [3, 4]})");
    CHECK(read_hugging_face_config(folder.path()).stops == std::vector<std::int32_t>{3, 4});
}

TEST_CASE("a config with any byte changed is read or refused, nothing else") {
    const TemporaryFolder folder;
    write_model(folder, config_of(golden));
    const std::string good = ssm_test::read_file(folder / "config.json");
    Rng rng(3);
    for (int i = 0; i < 200; ++i) {
        std::string text = good;
        if (i % 4 == 0)
            text.resize(rng.below(good.size()));
        else
            text[rng.below(text.size())] = static_cast<char>(rng.below(256));
        write_file(folder / "config.json", text);
        try {
            static_cast<void>(load_hugging_face<Mamba<float>>(folder.path()));
        } catch (const Error& error) {
            CHECK(std::string(error.what()).size() > 10);
        }
    }
}

TEST_CASE("a saved model is the same again, in one file and in shards, over each other") {
    const auto model = load_hugging_face<Mamba<float>>(golden);
    const TemporaryFolder folder;
    const auto index = folder / "model.safetensors.index.json";
    const auto is_same = [&] {
        return are_equal(model, load_hugging_face<Mamba<float>>(folder.path()));
    };
    save_hugging_face(model, folder / "new" / "folder", {.stops = {3, 4}});
    CHECK(are_equal(model, load_hugging_face<Mamba<float>>(folder / "new" / "folder")));
    CHECK(read_hugging_face_config(folder / "new" / "folder").stops ==
          std::vector<std::int32_t>{3, 4});

    save_hugging_face(model, folder.path());
    CHECK((is_same() && !std::filesystem::exists(index)));
    CHECK(read_hugging_face_config(folder.path()).stops.empty());

    constexpr std::size_t most = 40000;
    save_hugging_face(model, folder.path(), {.shard_bytes = most});
    CHECK((is_same() && !std::filesystem::exists(folder / "model.safetensors")));
    const json written = json::parse(ssm_test::read_file(index));
    CHECK(written["metadata"]["total_size"] == 4 * parameter_count(model));
    std::size_t bytes = 0;
    for (const char* file : {"model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                             "model-00003-of-00003.safetensors"}) {
        std::size_t size = 0;
        const Safetensors shard(folder / file);
        for (const auto& [name, entry] : shard.entries())
            size += entry.bytes.size();
        CHECK(size <= most);
        bytes += size;
    }
    CHECK(bytes == 4 * parameter_count(model));

    auto large = model;
    visit(
        [](std::string_view name, const WeightTraits&, auto& weight) {
            if (name == "backbone.norm_f.weight")
                weight[0] = 1e6F;
        },
        large);
    const std::size_t files = folder.size();
    CHECK(has(message_of<ValueError>([&] {
                  save_hugging_face(large, folder.path(),
                                    {.dtype = Dtype::f16, .shard_bytes = most / 2});
              }),
              "beyond the range"));
    CHECK((is_same() && folder.size() == files));

    save_hugging_face(model, folder.path(), {.dtype = Dtype::f16});
    CHECK(!std::filesystem::exists(index));
    CHECK(config_of(folder.path())["torch_dtype"] == "float16");
    CHECK(Safetensors(folder / "model.safetensors").entry("backbone.norm_f.weight").dtype ==
          Dtype::f16);
}

TEST_CASE("weights stored as bfloat16 are saved as they are, those stored as float too") {
    using Rounded = Mamba<float, Bfloat16>;
    const auto model = load_hugging_face<Rounded>(golden);
    const TemporaryFolder folder;
    save_hugging_face(model, folder.path());
    CHECK(config_of(folder.path())["torch_dtype"] == "bfloat16");
    const Safetensors file(folder / "model.safetensors");
    CHECK(file.entry("backbone.embeddings.weight").dtype == Dtype::bf16);
    CHECK(file.entry("backbone.norm_f.weight").dtype == Dtype::f32);
    const auto again = load_hugging_face<Rounded>(folder.path());
    visit(
        [](std::string_view, const WeightTraits&, const auto& a, const auto& b) {
            CHECK(std::equal(
                a.flat().begin(), a.flat().end(), b.flat().begin(),
                [](auto x, auto y) { return static_cast<double>(x) == static_cast<double>(y); }));
        },
        model, again);
}

TEST_CASE("padding of the vocabulary is saved as a part of it") {
    LanguageModel<Mamba<float>> model(
        {.tokens = 13, .width = 8, .depth = 1, .pad_to = 8, .tied = false},
        {.state = 4, .inner = 16, .rank = 3, .norm = MambaNorm::plain});
    const TemporaryFolder folder;
    save_hugging_face(model, folder.path());
    const HuggingFaceConfig config = read_hugging_face_config(folder.path());
    CHECK((config.family == ModelFamily::falcon_mamba && config.model.tokens == 16));
    CHECK((config.inner == 16 && config.rank == 3 && !config.model.tied));
    CHECK(are_equal(model, load_hugging_face<Mamba<float>>(folder.path())));
}

TEST_CASE("a config that is written is read as it was") {
    const TemporaryFolder folder;
    HuggingFaceConfig config;
    config.family = ModelFamily::mamba2;
    config.model = {.tokens = 24, .width = 8, .depth = 3, .tied = false, .epsilon = 0.1};
    config.state = 5;
    config.conv_width = 2;
    config.inner = 16;
    config.heads = 4;
    config.head_width = 4;
    config.groups = 2;
    config.bias = true;
    config.conv_bias = false;
    config.stops = {7};
    for (const double most : {std::numeric_limits<double>::infinity(), 0.75})
        for (const double least : {0.0, 0.1}) {
            config.dt_least = least;
            config.dt_most = most;
            write_hugging_face_config(folder.path(), config, Dtype::bf16);
            CHECK(read_hugging_face_config(folder.path()) == config);
        }
    CHECK(folder.size() == 2);
}

TEST_CASE(
    "what cannot be said in config.json, or written, is an error that leaves files as they were") {
    const TemporaryFolder folder;
    const LanguageModelOptions sizes{.tokens = 5, .width = 8, .depth = 2};
    const auto refused = [&](const auto& model, const SaveHuggingFaceOptions& options = {}) {
        return message_of<ValueError>([&] { save_hugging_face(model, folder.path(), options); });
    };
    using First = LanguageModel<Mamba<float>>;
    using Second = LanguageModel<Mamba2<float>>;
    CHECK(has(refused(First(sizes, {.norm = MambaNorm::learned})), "learned norms"));
    CHECK(has(refused(First(sizes, {.inner = 12})), "no multiple of 8"));
    First mixed(sizes, [](std::size_t i, Rng rng) {
        return Mamba<float>({.channels = 8, .state = 3 + i}, rng);
    });
    CHECK(has(refused(mixed), "differ in more than their weights"));
    CHECK(has(refused(First(sizes, {}), {.dtype = Dtype::f8_e4m3}), "F8_E4M3"));
    const auto second = [&](const char* message, const Mamba2Options& options) {
        CHECK(has(refused(Second(sizes, options)), message));
    };
    second("in 2 groups", {.head_channels = 4, .norm_groups = 2});
    second("the gate", {.head_channels = 4, .norm = false});
    second("epsilon", {.head_channels = 4, .epsilon = 1e-3});
    second("no multiple of 8", {.head_channels = 4, .inner = 12});
    second("8 of 16", {.head_channels = 4, .ssm_channels = 8});
    second("D has a number", {.head_channels = 4, .D_per_channel = true});
    second("initial states", {.head_channels = 4, .learns_init_state = true});
    CHECK(folder.size() == 0);

    const First model(sizes, {});
    write_file(folder / "file", "");
    const auto saved_to = [&](const std::filesystem::path& path) {
        return message_of([&] { save_hugging_face(model, path); });
    };
    CHECK(has(saved_to(folder / "file"), "file\""));
    CHECK(has(saved_to(folder / "file" / "folder"), "cannot be made"));
    std::filesystem::create_directories(folder / "taken" / "model.safetensors");
    CHECK(has(saved_to(folder / "taken"), "model.safetensors\" is not a regular file"));
    CHECK(!std::filesystem::exists(folder / "taken" / "config.json"));
}
