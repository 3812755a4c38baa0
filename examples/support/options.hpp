#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace examples {

/// Command line options of the form `--name value`, and words without a name in front of them. Ask for each word
/// with `word` and each option with `get` once, then call `done`, which prints the help or the complaint and ends
/// the program if there is a reason to.
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
                words_.push_back(word);
        }
    }

    /// The next word.
    std::string word(const std::string& name, std::string value, const std::string& meaning) {
        add_help("  " + name, value, meaning);
        if (!words_.empty()) {
            value = words_.front();
            words_.pop_front();
        }
        return value;
    }

    template <class T>
    T get(const std::string& name, T value, const std::string& meaning) {
        std::ostringstream text;
        text << value;
        add_help("  --" + name, text.str(), meaning);
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
        const std::string unknown = !words_.empty()  ? "unexpected argument \"" + words_[0] + "\""
                                    : given_.empty() ? ""
                                                     : "unknown option --" + given_.begin()->first;
        const std::string& complaint = complaint_.empty() ? unknown : complaint_;
        if (!complaint.empty()) {
            std::fprintf(stderr, "%s; --help lists the options\n", complaint.c_str());
            std::exit(2);
        }
    }

private:
    void add_help(std::string line, const std::string& value, const std::string& meaning) {
        line.resize(std::max(line.size() + 1, std::size_t{18}), ' ');
        help_text_.push_back(line + meaning + " (default: " + value + ")\n");
    }

    std::string about_;
    std::deque<std::string> words_;
    std::map<std::string, std::string> given_;
    std::vector<std::string> help_text_;
    std::string complaint_;
    bool help_ = false;
};

}  // namespace examples
