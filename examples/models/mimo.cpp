#include <ssm/layer/lru.hpp>
#include <ssm/layer/s5.hpp>

#include "models.hpp"

ssm::AnyLayer<float>::Options examples::mimo(const std::string& model,
                                             const SystemSettings& settings) {
    using Layer = ssm::AnyLayer<float>;
    if (model == "lru")
        return Layer::of<ssm::LRU<float>>(
            {.state = settings.state,
             .dynamics = {.ring = settings.ring,
                          .training = {.learning_rate = settings.pole_rate}}});
    return Layer::of<ssm::S5<float>>(
        {.state = settings.state,
         .rate = settings.rate,
         .dynamics = {.blocks = settings.state % 32 == 0 ? settings.state / 32 : 1}});
}
