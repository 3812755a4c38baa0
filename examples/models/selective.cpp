#include <ssm/layer/mamba.hpp>
#include <ssm/layer/mamba2.hpp>

#include "models.hpp"

ssm::AnyLayer<float>::Options examples::selective(const std::string& model,
                                                  const SystemSettings& settings) {
    using Layer = ssm::AnyLayer<float>;
    if (model == "mamba2")
        return Layer::of<ssm::Mamba2<float>>({.state = settings.state, .head_channels = 32});
    return Layer::of<ssm::Mamba<float>>({.state = settings.state});
}
