#pragma once

#include <cstdio>
#include <cstdlib>
#include <map>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace examples {

/// Command line options of the form `--name value`. Ask for each option once with `get`, then call `done`, which
/// prints the help or the complaint and ends the program if there is a reason to.
class Options {
public:
    Options(int count, char** arguments, std::string about) : about_(std::move(about)) {
        for (int i = 1; i < count; ++i) {
            const std::string word = arguments[i];
            if (word == "--help" || word == "-h")
                help_ = true;
            else if (word.rfind("--", 0) == 0 && i + 1 < count)
                given_[word.substr(2)] = arguments[++i];
            else
                complaint_ = "unexpected argument \"" + word + "\"";
        }
    }

    template <class T>
    T get(const std::string& name, T value, const std::string& meaning) {
        std::ostringstream text;
        text << value;
        help_text_.push_back("  --" + name +
                             std::string(name.size() < 14 ? 14 - name.size() : 1, ' ') + meaning +
                             " (default: " + text.str() + ")\n");
        if (const auto found = given_.find(name); found != given_.end()) {
            std::istringstream input(found->second);
            if constexpr (std::is_same_v<T, std::string>)
                value = found->second;
            else if (!(input >> value) || !input.eof())
                complaint_ = "--" + name + " " + found->second + " is not a number";
            given_.erase(found);
        }
        return value;
    }

    void done() const {
        if (help_) {
            std::printf("%s\n\n", about_.c_str());
            for (const std::string& line : help_text_)
                std::printf("%s", line.c_str());
            std::exit(0);
        }
        const std::string unknown =
            given_.empty() ? "" : "unknown option --" + given_.begin()->first;
        const std::string& complaint = complaint_.empty() ? unknown : complaint_;
        if (!complaint.empty()) {
            std::fprintf(stderr, "%s; --help lists the options\n", complaint.c_str());
            std::exit(2);
        }
    }

private:
    std::string about_;
    std::map<std::string, std::string> given_;
    std::vector<std::string> help_text_;
    std::string complaint_;
    bool help_ = false;
};

}  // namespace examples
