#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <ssm/core/error.hpp>
#include <ssm/train/csv_log.hpp>
#include <ssm/train/progress.hpp>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

namespace {

ssm::Progress some_progress() {
    ssm::Progress progress;
    progress.epoch = 3;
    progress.epochs = 10;
    progress.step = 120;
    progress.steps = 400;
    progress.loss = 0.12345;
    progress.accuracy = 0.961;
    progress.learning_rate = 1e-3;
    progress.samples_per_second = 812.4;
    progress.remaining_seconds = 3725.0;
    return progress;
}

std::string text_of(const std::filesystem::path& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

/// A file of its own.
struct TemporaryFile {
    ssm_test::TemporaryFolder folder;
    std::filesystem::path path = folder / "log.csv";
};

}  // namespace

TEST_CASE("a progress line names what is known") {
    CHECK(ssm::progress_line(some_progress()) ==
          "epoch 3/10  step 120/400  loss 0.1235  accuracy 96.1 %  lr 1.0e-03  812 samples/s  "
          "1:02:05 left");
    CHECK(ssm::progress_line({}) == "epoch 0/0  step 0/0");
    ssm::Progress soon;
    soon.remaining_seconds = 65.2;
    CHECK(ssm::progress_line(soon) == "epoch 0/0  step 0/0  1:05 left");
    soon.remaining_seconds = 1e300;
    CHECK_NOTHROW(ssm::progress_line(soon));
}

TEST_CASE("a log has a header, and lines whose numbers read back to the same bits") {
    const TemporaryFile file;
    {
        ssm::CsvLog log(file.path);
        log.write(some_progress());
        const std::string text = text_of(file.path);
        CHECK(text.substr(0, 11) == "epoch,step,");
        const std::string line = text.substr(text.find('\n') + 1);
        CHECK(line.substr(0, 6) == "3,120,");
        CHECK(std::stod(line.substr(6)) == 0.12345);
        CHECK(line.find(",,,") != std::string::npos);
    }
    ssm::CsvLog(file.path, ssm::LogMode::append).write(some_progress());
    const std::string text = text_of(file.path);
    CHECK(std::count(text.begin(), text.end(), '\n') == 3);
    ssm::CsvLog replaced(file.path);
    const std::string header = text_of(file.path);
    CHECK(std::count(header.begin(), header.end(), '\n') == 1);
}

TEST_CASE("a log that cannot be opened is a FileError") {
    CHECK_THROWS_AS(ssm::CsvLog("/nowhere/at/all/log.csv"), ssm::FileError);
}
