// Optimisers, gradient clipping and schedules against torch.optim.

#include <algorithm>
#include <cstddef>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/train/adagrad.hpp>
#include <ssm/train/adam.hpp>
#include <ssm/train/adamax.hpp>
#include <ssm/train/clip.hpp>
#include <ssm/train/nadam.hpp>
#include <ssm/train/plateau.hpp>
#include <ssm/train/radam.hpp>
#include <ssm/train/rmsprop.hpp>
#include <ssm/train/schedule.hpp>
#include <ssm/train/sgd.hpp>

#include "support/catch.hpp"
#include "support/golden.hpp"

namespace {

using nlohmann::json;
using ssm_test::GoldenCase;
using ssm_test::GoldenReport;
using ssm_test::GoldenTensor;

constexpr double tolerance = 1e-12;  // a few steps of arithmetic in double

/// The two parameters of a case; all that an optimiser needs of a layer.
struct TwoWeights {
    using value_type = double;

    ssm::Tensor<double> p1;
    ssm::Tensor<double> p2;

    template <class Visitor, class... Layers>
    static void visit_weights(Visitor&& visitor, Layers&... layers) {
        visitor("p1", ssm::WeightTraits{}, layers.p1...);
        visitor("p2", ssm::WeightTraits{}, layers.p2...);
    }
};

ssm::Tensor<double> slice(const GoldenTensor& source, std::size_t step) {
    const std::vector<std::size_t> sizes(source.shape.begin() + 1, source.shape.end());
    ssm::Tensor<double> result{ssm::Extents(sizes)};
    const auto size = static_cast<std::ptrdiff_t>(result.size());
    const auto first = source.values.begin() + static_cast<std::ptrdiff_t>(step) * size;
    std::copy(first, first + size, result.data());
    return result;
}

ssm::Tensor<double> whole(const GoldenTensor& source) {
    ssm::Tensor<double> result{ssm::Extents(source.shape)};
    std::copy(source.values.begin(), source.values.end(), result.data());
    return result;
}

/// Reads options by torch's names and remembers them, so that an unknown one is found.
class Keywords {
public:
    explicit Keywords(const json& values) : values_(values) {}

    template <class Number>
    void read(const char* name, Number& option) {
        known_.insert(name);
        if (values_.contains(name))
            option = values_.at(name).get<Number>();
    }
    template <class Options>
    void read_betas(Options& options) {
        known_.insert("betas");
        if (values_.contains("betas")) {
            options.beta1 = values_.at("betas").at(0).get<double>();
            options.beta2 = values_.at("betas").at(1).get<double>();
        }
    }
    void finish() const {
        for (const auto& [name, value] : values_.items())
            if (!known_.contains(name))
                throw std::runtime_error("unknown option \"" + name + "\"");
    }

private:
    const json& values_;
    std::set<std::string> known_;
};

void read_options(Keywords& words, ssm::rule::SGD::Options& options) {
    words.read("momentum", options.momentum);
    words.read("dampening", options.dampening);
    words.read("nesterov", options.nesterov);
}
template <class Options>
void read_adam(Keywords& words, Options& options) {
    words.read_betas(options);
    words.read("eps", options.eps);
}
void read_options(Keywords& words, ssm::rule::Adam::Options& options) {
    read_adam(words, options);
    words.read("amsgrad", options.amsgrad);
}
void read_options(Keywords& words, ssm::rule::AdamW::Options& options) {
    read_adam(words, options);
    words.read("amsgrad", options.amsgrad);
}
void read_options(Keywords& words, ssm::rule::Adagrad::Options& options) {
    words.read("lr_decay", options.rate_decay);
    words.read("initial_accumulator_value", options.initial_sum);
    words.read("eps", options.eps);
}
void read_options(Keywords& words, ssm::rule::Adamax::Options& options) {
    read_adam(words, options);
}
void read_options(Keywords& words, ssm::rule::NAdam::Options& options) {
    read_adam(words, options);
    words.read("momentum_decay", options.momentum_decay);
    words.read("decoupled_weight_decay", options.decoupled);
}
void read_options(Keywords& words, ssm::rule::RAdam::Options& options) {
    read_adam(words, options);
    words.read("decoupled_weight_decay", options.decoupled);
}
void read_options(Keywords& words, ssm::rule::RMSprop::Options& options) {
    words.read("alpha", options.alpha);
    words.read("eps", options.eps);
    words.read("momentum", options.momentum);
    words.read("centered", options.centered);
}

/// Traits of the second group: what the case sets apart for p2.
ssm::WeightGroups groups_of(const json& config) {
    ssm::WeightTraits second;
    if (config.contains("group2")) {
        double rate = 0.0;
        double decay = 0.0;
        Keywords words(config.at("group2"));
        words.read("lr", rate);
        words.read("weight_decay", decay);
        words.finish();
        if (config.at("group2").contains("lr"))
            second.learning_rate = rate;
        if (config.at("group2").contains("weight_decay"))
            second.weight_decay = decay;
    }
    return [second](std::string_view name, ssm::WeightTraits traits) {
        return name == "p2" ? second : traits;
    };
}

/// Factor of the learning rates at a step.
double factor_at(const json& config, std::size_t step) {
    if (!config.contains("cosine"))
        return 1.0;
    std::size_t warmup = 0;
    std::size_t total = 0;
    Keywords words(config.at("cosine"));
    words.read("warmup", warmup);
    words.read("total", total);
    words.finish();
    return ssm::schedule::Warmup<ssm::schedule::Cosine>{
        warmup, {.steps = total - warmup, .repeats = true}}(step);
}

/// Names that torch gives to the moments, in the order of ours.
template <class Rule>
std::vector<std::string> moment_names(const typename Rule::Options& options) {
    if constexpr (std::is_same_v<Rule, ssm::rule::SGD>)
        return {"momentum_buffer"};
    else if constexpr (std::is_same_v<Rule, ssm::rule::Adagrad>)
        return {"sum"};
    else if constexpr (std::is_same_v<Rule, ssm::rule::Adamax>)
        return {"exp_avg", "exp_inf"};
    else if constexpr (std::is_same_v<Rule, ssm::rule::RMSprop>)
        return options.centered
                   ? std::vector<std::string>{"square_avg", "grad_avg", "momentum_buffer"}
                   : std::vector<std::string>{"square_avg", "momentum_buffer"};
    else
        return {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"};
}

template <class Rule>
void check_optimizer(GoldenCase& golden, GoldenReport& report) {
    const json& config = golden.config;
    typename Rule::Options options;
    Keywords words(config.at("kw"));
    words.read("lr", options.learning_rate);
    words.read("weight_decay", options.weight_decay);
    read_options(words, options);
    words.finish();

    TwoWeights model{whole(golden.tensor("p1_0")), whole(golden.tensor("p2_0"))};
    ssm::Optimizer<TwoWeights, Rule> optimizer(model, options, groups_of(config));
    const auto second = optimizer.groups("p2", {});
    std::vector<double> p1;
    std::vector<double> p2;
    std::vector<double> rates;
    for (std::size_t step = 0; step < config.at("steps").get<std::size_t>(); ++step) {
        TwoWeights gradient{slice(golden.tensor("g1"), step), slice(golden.tensor("g2"), step)};
        if (config.contains("clip")) {
            const double norm = ssm::clip_norm(gradient, config.at("clip").get<double>());
            report.compare("clip_norm_" + std::to_string(step), std::vector{norm}, tolerance);
        }
        const double factor = factor_at(config, step);
        rates.push_back(factor * options.learning_rate);
        rates.push_back(factor * second.learning_rate.value_or(options.learning_rate));
        optimizer.step(model, gradient, factor);
        p1.insert(p1.end(), model.p1.flat().begin(), model.p1.flat().end());
        p2.insert(p2.end(), model.p2.flat().begin(), model.p2.flat().end());
    }
    report.compare("p1", p1, tolerance);
    report.compare("p2", p2, tolerance);
    report.compare("lr", rates, tolerance);

    const std::vector<std::string> names = moment_names<Rule>(options);
    for (std::size_t k = 0; k < optimizer.moments().size(); ++k)
        report.compare("state1." + names.at(k), optimizer.moments()[k].p1.flat(), tolerance);
    if (golden.has("state1.step"))
        report.compare("state1.step", std::vector{static_cast<double>(optimizer.steps())}, 0.0);
    if constexpr (std::is_same_v<Rule, ssm::rule::NAdam>)
        report.compare("state1.mu_product", std::vector{optimizer.clock().mu_product}, tolerance);
}

void check_optimizer_named(const std::string& name, GoldenCase& golden, GoldenReport& report) {
    if (name == "SGD")
        check_optimizer<ssm::rule::SGD>(golden, report);
    else if (name == "Adam")
        check_optimizer<ssm::rule::Adam>(golden, report);
    else if (name == "AdamW")
        check_optimizer<ssm::rule::AdamW>(golden, report);
    else if (name == "Adagrad")
        check_optimizer<ssm::rule::Adagrad>(golden, report);
    else if (name == "Adamax")
        check_optimizer<ssm::rule::Adamax>(golden, report);
    else if (name == "NAdam")
        check_optimizer<ssm::rule::NAdam>(golden, report);
    else if (name == "RAdam")
        check_optimizer<ssm::rule::RAdam>(golden, report);
    else if (name == "RMSprop")
        check_optimizer<ssm::rule::RMSprop>(golden, report);
    else
        throw std::runtime_error("unknown optimiser \"" + name + "\"");
}

template <class Schedule>
std::vector<double> rates_of(const Schedule& schedule, double rate, std::size_t count) {
    std::vector<double> rates;
    for (std::size_t step = 0; step < count; ++step)
        rates.push_back(rate * schedule(step));
    return rates;
}

void check_schedules(GoldenCase& golden, GoldenReport& report) {
    std::size_t n = 0;
    std::size_t warmup = 0;
    std::size_t total = 0;
    std::size_t step_size = 0;
    double lr = 0.0;
    double eta_min = 0.0;
    double gamma = 0.0;
    std::uint64_t patience = 2;  // of all cases; their config does not name it
    Keywords words(golden.config);
    words.read("n", n);
    words.read("lr", lr);
    words.read("warmup", warmup);
    words.read("total", total);
    words.read("eta_min", eta_min);
    words.read("step_size", step_size);
    words.read("gamma", gamma);
    words.read("patience", patience);
    words.finish();

    using namespace ssm::schedule;
    const auto compare = [&](const char* name, const auto& schedule) {
        report.compare(name, rates_of(schedule, lr, n), tolerance);
    };
    compare("cosine_warmup",
            Warmup<Cosine>{.steps = warmup, .then = {.steps = total - warmup, .repeats = true}});
    compare("linear_warmup",
            Warmup<LinearDecay>{.steps = warmup, .then = {.steps = total - warmup}});
    compare("cosine_annealing", Cosine{.steps = total, .end = eta_min / lr, .repeats = true});
    compare("step_lr", Step{.every = step_size, .gamma = gamma});
    compare("exponential", Exponential{.gamma = gamma});

    Plateau plateau{.gamma = gamma, .patience = patience};
    std::vector<double> rates;
    for (const double metric : golden.tensor("plateau_metric").values) {
        rates.push_back(lr * plateau(0));
        plateau.observe(metric);
    }
    report.compare("plateau", rates, tolerance);
}

TEST_CASE("optimisers and schedules agree with torch.optim") {
    ssm_test::run_family("opt", [](GoldenCase& golden, GoldenReport& report) {
        static const std::set<std::string> known = {"shape", "steps",  "opt",   "kw",
                                                    "clip",  "cosine", "group2"};
        if (!golden.config.contains("opt"))
            return check_schedules(golden, report);
        for (const auto& [name, value] : golden.config.items())
            if (!known.contains(name))
                throw std::runtime_error("unknown entry \"" + name + "\" of the config");
        check_optimizer_named(golden.config.at("opt").get<std::string>(), golden, report);
    });
}

}  // namespace
