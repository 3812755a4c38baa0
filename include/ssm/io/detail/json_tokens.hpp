#pragma once

#include <string_view>

#include <nlohmann/json.hpp>

namespace ssm::detail {

/// Hands the tokens of a JSON text to a handler, by virtual calls: all handlers share one parser, which takes the
/// compiler seconds.
inline void read_json_tokens(std::string_view text, nlohmann::json_sax<nlohmann::json>& handler) {
    nlohmann::json::sax_parse(text, &handler);
}

}  // namespace ssm::detail
