#include <ssm/layer/dss.hpp>
#include <ssm/layer/s4.hpp>
#include <ssm/layer/s4d.hpp>

#include "models.hpp"

ssm::AnyLayer<float>::Options examples::bank(const std::string& model,
                                             const SystemSettings& settings) {
    using Layer = ssm::AnyLayer<float>;
    if (model == "s4")
        return Layer::of<ssm::S4<float>>({.state = settings.state, .rate = settings.rate});
    if (model == "dss")
        return Layer::of<ssm::DSS<float, ssm::DssExp>>(
            {.state = settings.state, .rate = settings.rate});
    return Layer::of<ssm::S4D<float>>({.state = settings.state, .rate = settings.rate});
}
