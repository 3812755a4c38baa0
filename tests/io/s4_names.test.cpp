#include <ssm/io/load.hpp>
#include <ssm/io/s4_names.hpp>
#include <ssm/io/save.hpp>
#include <ssm/layer/s4.hpp>

#include "support/catch.hpp"
#include "support/prebuilt_systems.hpp"
#include "support/temporary_folder.hpp"

using namespace ssm;

TEST_CASE("older checkpoints of S4 name weights otherwise") {
    CHECK(s4_name(S4Release::v3, "D") == "D");
    CHECK(s4_name(S4Release::v3, "kernel.C") == "kernel.kernel.C");
    CHECK(s4_name(S4Release::v3, "kernel.inv_dt") == "kernel.kernel.log_dt");
    CHECK(s4_name(S4Release::v3, "kernel.A_real") == "kernel.kernel.inv_w_real");
    CHECK(s4_name(S4Release::v2, "kernel.A_real") == "kernel.kernel.log_w_real");
    CHECK(s4_name(S4Release::v2, "kernel.A_imag") == "kernel.kernel.w_imag");
    CHECK(s4_name(S4Release::v2, "kernel.l_kernel") == "kernel.kernel.L");
}

TEST_CASE("a layer loads the weights of an older checkpoint") {
    // Saved under the older names, with its frequencies of the other sign.
    S4<double> layer({.channels = 2, .state = 4});
    set_length(layer, 6);
    S4<double> other = layer;
    convert_s4(other);
    const ssm_test::TemporaryFolder folder;
    const auto name = [](std::string_view weight) { return s4_name(S4Release::v3, weight); };
    save(other, folder / "s4.safetensors", {.name = name});
    S4<double> loaded({.channels = 2, .state = 4}, Rng(99));
    load(loaded, folder / "s4.safetensors", {.name = name, .ignore_unit_axes = true});
    convert_s4(loaded);
    CHECK(length(loaded) == 6);
    CHECK(loaded.kernel(9) == layer.kernel(9));
}
