// EXPECT: ssm::Sequential: only the first layer may read something else than value_type

#include <ssm/layer/embedding.hpp>
#include <ssm/layer/linear.hpp>
#include <ssm/model/sequential.hpp>

ssm::Sequential model(ssm::Linear<float>({.in = 1, .out = 1}),
                      ssm::Embedding<float>({.tokens = 4, .channels = 2}));
