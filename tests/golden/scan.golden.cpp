// The selective scan against the released selective_scan and selective_state_update of Mamba.

#include <algorithm>
#include <complex>
#include <concepts>
#include <cstddef>
#include <string>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/scan/selective.hpp>

#include "golden/trained.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/prebuilt_selective.hpp"

namespace {

using namespace ssm;
using namespace ssm_test;

constexpr double tolerance = 1e-9;

template <class Number>
constexpr bool is_complex = !std::same_as<Number, double>;

template <class Number>
std::vector<Number> numbers_from(const std::vector<double>& values) {
    if constexpr (is_complex<Number>) {
        std::vector<Number> result(values.size() / 2);
        for (std::size_t i = 0; i < result.size(); ++i)
            result[i] = {values[2 * i], values[2 * i + 1]};
        return result;
    } else {
        return values;
    }
}

/// A matrix (rows, columns) or one of pairs with its axes exchanged.
GoldenTensor exchanged(const GoldenTensor& tensor) {
    return tensor.rank() == 3 ? tensor.permuted({1, 0, 2}) : tensor.permuted({1, 0});
}

/// B, C or their gradients in the library's order: constant (N, D); variable (batch, L, G, N).
template <class Number>
std::vector<double> map_values(GoldenTensor tensor, bool constant) {
    if (constant)
        return exchanged(tensor).values;
    if (tensor.rank() == 3)
        tensor.shape.insert(tensor.shape.begin() + 1, 1);
    if constexpr (is_complex<Number>) {
        tensor.shape.back() /= 2;
        tensor.shape.push_back(2);
        return tensor.permuted({0, 3, 1, 2, 4}).values;
    }
    return tensor.permuted({0, 3, 1, 2}).values;
}

template <class Number>
struct Map {
    Map(const GoldenTensor& tensor, const std::string& kind, std::size_t modes)
        : constant(kind == "const"),
          groups(constant        ? 0
                 : kind == "var" ? 1
                                 : tensor.extent(1)),
          stride(groups * modes),
          values(numbers_from<Number>(map_values<Number>(tensor, constant))) {}

    [[nodiscard]] SelectiveMap<Number> view(std::vector<Number>& numbers) const {
        return {numbers.data(), groups, stride};
    }

    bool constant;
    std::size_t groups;
    std::size_t stride;
    std::vector<Number> values;
};

Batch<double> sequences(GoldenCase& golden, const std::string& name) {
    return golden.has(name) ? batch_of(golden.tensor(name).permuted({0, 2, 1})) : Batch<double>();
}

std::vector<double> optional(GoldenCase& golden, const std::string& name) {
    return golden.has(name) ? golden.tensor(name).values : std::vector<double>();
}

double* data_or_null(std::vector<double>& values) {
    return values.empty() ? nullptr : values.data();
}

template <class Number>
void check_scan(GoldenCase& golden, GoldenReport& report) {
    Batch<double> u = sequences(golden, "in.u");
    Batch<double> delta = sequences(golden, "in.delta");
    Batch<double> z = sequences(golden, "in.z");
    const GoldenTensor& A_tensor = golden.tensor("in.A");
    const std::size_t channels = A_tensor.extent(0);
    const std::size_t modes = A_tensor.extent(1);
    const std::vector<Number> A = numbers_from<Number>(exchanged(A_tensor).values);
    Map<Number> B(golden.tensor("in.B"), golden.config.at("kB"), modes);
    Map<Number> C(golden.tensor("in.C"), golden.config.at("kC"), modes);
    std::vector<double> D = optional(golden, "in.D");
    std::vector<double> bias = optional(golden, "in.delta_bias");

    SelectiveSystem<Number> system{channels, modes, A.data()};
    system.D = data_or_null(D);
    system.delta_bias = data_or_null(bias);
    system.softplus = golden.config.at("softplus").template get<bool>();
    SelectiveInput<Number> input{u.view(), delta.view(), B.view(B.values), C.view(C.values)};
    if (z.size() > 0)
        input.z = z.view();

    Workspace workspace;
    Batch<double> y(u.shape());
    std::vector<Number> state(u.batch() * modes * channels);
    SelectiveCheckpoints<Number> checkpoints;
    selective_forward(system, input, y.view(), state.data(), &checkpoints, workspace);

    const auto states = [&](const GoldenTensor& tensor) {  // (batch, N, D), maybe pairs
        return is_complex<Number> ? tensor.permuted({0, 2, 1, 3}).values
                                  : tensor.permuted({0, 2, 1}).values;
    };
    report.compare("y", numbers_of(y), golden.tensor("y").permuted({0, 2, 1}).values, tolerance);
    report.compare("last_state", state, states(golden.tensor("last_state")), tolerance);

    Batch<double> g = sequences(golden, "g");
    for (const std::string prefix : {"grad", "grad_last"}) {
        if (!golden.has(prefix + ".u"))
            continue;
        Batch<double> du(u.shape());
        Batch<double> ddelta(u.shape());
        Batch<double> dz(u.shape());
        std::vector<Number> dA(A.size());
        std::vector<Number> dB(B.values.size());
        std::vector<Number> dC(C.values.size());
        std::vector<double> dD(D.size());
        std::vector<double> dbias(bias.size());
        std::vector<Number> dstate(state.size());
        if (prefix == "grad_last")
            dstate = numbers_from<Number>(states(golden.tensor("g_last")));
        SelectiveGradient<Number> gradient{du.view(), ddelta.view(), B.view(dB), C.view(dC)};
        if (z.size() > 0)
            gradient.z = dz.view();
        gradient.A = dA.data();
        gradient.D = data_or_null(dD);
        gradient.delta_bias = data_or_null(dbias);
        gradient.state = dstate.data();
        selective_backward(system, input, BatchView<const double>(g.view()), checkpoints, gradient,
                           workspace);

        const auto compare = [&](const std::string& name, const auto& found, auto&& arrange) {
            const std::string full = prefix + "." + name;
            if (golden.has(full))
                report.compare(full, found, arrange(golden.tensor(full)), tolerance);
        };
        const auto last = [](const GoldenTensor& t) { return t.permuted({0, 2, 1}).values; };
        const auto same = [](const GoldenTensor& t) { return t.values; };
        compare("u", numbers_of(du), last);
        compare("delta", numbers_of(ddelta), last);
        compare("z", numbers_of(dz), last);
        compare("A", dA, [](const GoldenTensor& t) { return exchanged(t).values; });
        compare("B", dB, [&](const GoldenTensor& t) { return map_values<Number>(t, B.constant); });
        compare("C", dC, [&](const GoldenTensor& t) { return map_values<Number>(t, C.constant); });
        compare("D", dD, same);
        compare("delta_bias", dbias, same);
    }
}

/// One step; heads times their dimension are the channels.
void check_update(GoldenCase& golden, GoldenReport& report) {
    const GoldenTensor& A_tensor = golden.tensor("in.A");
    const std::size_t modes = A_tensor.shape.back();
    const std::size_t channels = A_tensor.size() / modes;
    const auto transposed = [&](const std::vector<double>& values) {  // (..., D, N) to (..., N, D)
        const GoldenTensor tensor{{values.size() / (channels * modes), channels, modes}, values};
        return tensor.permuted({0, 2, 1}).values;
    };
    const std::vector<double> A = transposed(A_tensor.values);
    const std::vector<double>& D = golden.tensor("in.D").values;
    const std::vector<double>& u = golden.tensor("in.x").values;
    const std::vector<double>& z = golden.tensor("in.z").values;
    const std::vector<double>& B = golden.tensor("in.B").values;
    const std::vector<double>& C = golden.tensor("in.C").values;
    const Shape shape{u.size() / channels, 1, channels};
    const std::size_t groups = B.size() / (shape.batch * modes);

    for (const bool gated : {false, true})
        for (const bool biased : {false, true})
            for (const bool softplus : {false, true}) {
                std::vector<double> bias = golden.tensor("in.dt_bias").values;
                std::vector<double> delta = golden.tensor("in.dt").values;
                if (!softplus)  // a note of the case: steps are |dt| (+ |dt_bias|)
                    for (std::vector<double>* values : {&bias, &delta})
                        for (double& value : *values)
                            value = std::abs(value);
                SelectiveSystem<double> system{channels, modes, A.data()};
                system.D = D.data();
                system.delta_bias = biased ? bias.data() : nullptr;
                system.softplus = softplus;
                SelectiveInput<double> input{BatchView<const double>(u.data(), shape),
                                             BatchView<const double>(delta.data(), shape),
                                             {B.data(), groups, groups * modes},
                                             {C.data(), groups, groups * modes}};
                if (gated)
                    input.z = {z.data(), shape};
                std::vector<double> state = transposed(golden.tensor("in.state").values);
                std::vector<double> y(u.size());
                selective_step(system, input, BatchView<double>(y.data(), shape), state.data());
                const std::string name = std::string("z") + (gated ? "1" : "0") + "_bias" +
                                         (biased ? "1" : "0") + "_softplus" +
                                         (softplus ? "1" : "0");
                report.compare(name + ".y", y, tolerance);
                report.compare(name + ".state", state,
                               transposed(golden.tensor(name + ".state").values), tolerance);
            }
}

void check_case(GoldenCase& golden, GoldenReport& report) {
    if (golden.has("in.state"))
        check_update(golden, report);
    else if (golden.config.at("complex").get<bool>())
        check_scan<std::complex<double>>(golden, report);
    else
        check_scan<double>(golden, report);
}

}  // namespace

TEST_CASE("golden scan") {
    run_family("scan", check_case);
}
