#pragma once

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include <ssm/core/error.hpp>
#include <ssm/train/progress.hpp>

namespace ssm {

/// What a log does with a file that is already there.
enum class LogMode {
    replace,
    append,  ///< for a run that is resumed; a new or empty file gets its header
};

/// Writes the numbers of a training run as lines of comma-separated values, flushed one by one.
/// Numbers are written so that reading gives the same bits; unknown ones are empty fields.
///
/// Errors    FileError when the file cannot be opened or written
class CsvLog {
public:
    explicit CsvLog(std::filesystem::path path, LogMode mode = LogMode::replace)
        : path_(std::move(path)),
          out_(path_, mode == LogMode::append ? std::ios::app : std::ios::trunc) {
        check("open");
        out_.seekp(0, std::ios::end);
        if (out_.tellp() == std::ofstream::pos_type(0))
            out_ << "epoch,step,loss,accuracy,validation_loss,validation_accuracy,learning_rate,"
                    "gradient_norm,seconds,samples_per_second\n";
        out_.flush();
        check("write");
    }

    void write(const Progress& progress) {
        std::string line = std::to_string(progress.epoch) + "," + std::to_string(progress.step);
        for (const double value :
             {progress.loss, progress.accuracy, progress.validation_loss,
              progress.validation_accuracy, progress.learning_rate, progress.gradient_norm,
              progress.seconds, progress.samples_per_second})
            line += "," + (std::isnan(value) ? std::string() : detail::formatted("%.17g", value));
        out_ << line << '\n';
        out_.flush();
        check("write");
    }

private:
    void check(const char* what) const {
        require<FileError>(out_.good(), "ssm::CsvLog: cannot ", what, " \"", path_.string(), "\"");
    }

    std::filesystem::path path_;
    std::ofstream out_;
};

}  // namespace ssm
