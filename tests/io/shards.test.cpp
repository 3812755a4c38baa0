// Models in several files.

#include <ssm/io/safetensors.hpp>

#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/safetensors_bytes.hpp"
#include "support/temporary_folder.hpp"

using ssm::Safetensors;
using ssm_test::has;
using ssm_test::message_of;

namespace {

/// A folder with two shards, "a" in one and "b" in two, and an index of the given text.
struct ShardedFolder {
    explicit ShardedFolder(const std::string& index) {
        const auto one = [](const std::string& name) {
            return ssm_test::safetensors_bytes(
                R"({"__metadata__":{"format":"pt"},")" + name +
                    R"(":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
                2);
        };
        ssm_test::write_file(folder / "1.safetensors", one("a"));
        ssm_test::write_file(folder / "2.safetensors", one("b"));
        ssm_test::write_file(folder / "model.safetensors.index.json", index);
    }
    [[nodiscard]] Safetensors open() const {
        return Safetensors(folder / "model.safetensors.index.json");
    }
    [[nodiscard]] std::string refusal() const {
        return message_of([this] { static_cast<void>(open()); });
    }
    ssm_test::TemporaryFolder folder;
};

std::string refusal_of(const std::string& index) {
    return ShardedFolder(index).refusal();
}

std::string refusal_of_shard(const std::string& name) {
    return refusal_of(R"({"weight_map":{"a":")" + name + R"(","b":"2.safetensors"}})");
}

}  // namespace

TEST_CASE("a sharded model is read as one") {
    const ShardedFolder sharded(R"({"metadata":{"total_size":4,"more":[1,{"x":null}]},)"
                                R"("weight_map":{"a":"1.safetensors","b":"2.safetensors"}})");
    const Safetensors file = sharded.open();
    CHECK(file.entries().size() == 2);
    CHECK(file.read<double>("b") == std::vector<double>{0, 1});
    CHECK(file.metadata().at("format") == "pt");
}

TEST_CASE("a shard outside the folder of the index is refused") {
    for (const char* name : {"../1.safetensors", "/etc/passwd", "x/1.safetensors", "..", ".", "",
                             "..\\\\1.safetensors", "C:1.safetensors", "1.safetensors\\u0000"}) {
        INFO(name);
        CHECK(has(refusal_of_shard(name), "not the name of a file in the folder"));
    }
}

TEST_CASE("a shard that does not exist, or is broken, is named") {
    CHECK(has(refusal_of_shard("3.safetensors"), "3.safetensors"));
    const ShardedFolder sharded(R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})");
    ssm_test::write_file(sharded.folder / "2.safetensors", std::string("short"));
    CHECK(has(sharded.refusal(), "2.safetensors"));
}

TEST_CASE("an index that does not agree with its shards is refused") {
    CHECK(has(refusal_of(R"({"weight_map":{"a":"1.safetensors","c":"2.safetensors"}})"), "\"b\""));
    CHECK(has(refusal_of(R"({"weight_map":{"a":"2.safetensors","b":"1.safetensors"}})"), "\"a\""));
    CHECK(has(refusal_of(R"({"weight_map":{"a":"1.safetensors","c":"1.safetensors"}})"), "\"c\""));
    // A tensor in two shards.
    const ShardedFolder sharded(R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})");
    ssm_test::write_file(sharded.folder / "2.safetensors",
                         ssm_test::read_file(sharded.folder / "1.safetensors"));
    CHECK(has(sharded.refusal(), "another shard"));
}

TEST_CASE("an index that is not one is refused") {
    CHECK(has(refusal_of(""), "index"));
    CHECK(has(refusal_of("[]"), "weight_map"));
    CHECK(has(refusal_of("{}"), "no weight_map"));
    CHECK(has(refusal_of(R"({"weight_map":{}})"), "no weight_map"));
    CHECK(has(refusal_of(R"({"weight_map":[]})"), "weight_map"));
    CHECK(has(refusal_of(R"({"weight_map":{"a":1}})"), "weight_map"));
    CHECK(has(refusal_of(R"({"weight_map":{"a":{"b":"1.safetensors"}}})"), "weight_map"));
    CHECK(has(refusal_of(R"({"weight_map":{"a":"1.safetensors","a":"2.safetensors"}})"), "twice"));
    CHECK(has(refusal_of(R"({"weight_map":{},"weight_map":{}})"), "twice"));
    CHECK(has(refusal_of(R"({"metadata":)" + std::string(100'000, '[')), "deep"));
    CHECK(has(refusal_of("{\"weight_map\":{\"\xff\":\"1.safetensors\"}}"), "not JSON"));
}
