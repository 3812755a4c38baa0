// EXPECT: ssm::Sequential: behind a pooling over time only pointwise layers may follow

#include <ssm/layer/conv1d.hpp>
#include <ssm/layer/pool.hpp>
#include <ssm/model/sequential.hpp>

ssm::Sequential model(ssm::MeanPool<float>({.channels = 2}), ssm::Conv1d<float>({.channels = 2}));
