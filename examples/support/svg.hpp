#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace examples {

/// One line of a plot: y over x = 1, 2, ...
struct Curve {
    std::string name;
    std::vector<double> y;
};

/// A line plot as an SVG picture.
class Plot {
public:
    Plot(std::string title, std::string x_label, std::string y_label)
        : title_(std::move(title)), x_label_(std::move(x_label)), y_label_(std::move(y_label)) {}

    Plot& add(Curve curve) {
        curves_.push_back(std::move(curve));
        return *this;
    }

    /// Writes the picture; false when the file could not be written.
    [[nodiscard]] bool save(const std::string& path) const {
        std::ofstream file(path);
        file << svg();
        return static_cast<bool>(file.flush());
    }

    [[nodiscard]] std::string svg() const {
        std::ostringstream out;
        out.precision(5);
        out << "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 640 400' "
               "font-family='sans-serif' "
               "font-size='12'>\n<rect width='640' height='400' fill='white'/>\n<text x='320' "
               "y='24' "
               "text-anchor='middle' font-size='15'>"
            << title_ << "</text>\n";
        axes(out);
        for (std::size_t i = 0; i < curves_.size(); ++i)
            line(out, i);
        out << "</svg>\n";
        return out.str();
    }

private:
    static constexpr double left = 76, right = 480, top = 44, bottom = 350;

    struct Range {
        double low = std::numeric_limits<double>::infinity();
        double high = -low;
        double step = 1.0;  ///< between ticks; low and high are multiples of it
    };
    /// A round number, 1, 2 or 5 times a power of ten, that fits four to ten times into `width`.
    [[nodiscard]] static double tick_step(double width) {
        const double power = std::pow(10.0, std::floor(std::log10(width / 4.0)));
        const double mantissa = width / 4.0 / power;
        return power * (mantissa >= 5.0 ? 5.0 : mantissa >= 2.0 ? 2.0 : 1.0);
    }
    [[nodiscard]] std::size_t points() const {
        std::size_t count = 2;
        for (const Curve& curve : curves_)
            count = std::max(count, curve.y.size());
        return count;
    }
    [[nodiscard]] Range range() const {
        Range range;
        for (const Curve& curve : curves_)
            for (const double y : curve.y)
                if (std::isfinite(y)) {
                    range.low = std::min(range.low, y);
                    range.high = std::max(range.high, y);
                }
        if (!(range.low < range.high)) {
            const double middle = std::isfinite(range.low) ? range.low : 0.0;
            range.low = middle - 1.0;
            range.high = middle + 1.0;
        }
        range.step = tick_step(range.high - range.low);
        range.low = std::floor(range.low / range.step) * range.step;
        range.high = std::ceil(range.high / range.step) * range.step;
        return range;
    }
    [[nodiscard]] double x_at(double x) const {
        return left + (x - 1.0) / static_cast<double>(points() - 1) * (right - left);
    }
    [[nodiscard]] double y_at(double y) const {
        const Range r = range();
        return bottom - (y - r.low) / (r.high - r.low) * (bottom - top);
    }

    void axes(std::ostringstream& out) const {
        const Range r = range();
        for (double y = r.low; y < r.high + r.step / 2; y += r.step)
            out << "<path d='M" << left << ' ' << y_at(y) << 'H' << right
                << "' stroke='#dddddd'/>\n<text x='" << left - 6 << "' y='" << y_at(y) + 4
                << "' text-anchor='end'>" << std::round(y / r.step) * r.step << "</text>\n";
        const double x_step = std::max(1.0, tick_step(static_cast<double>(points())));
        for (double x = x_step; x <= static_cast<double>(points()); x += x_step)
            out << "<text x='" << x_at(x) << "' y='" << bottom + 18 << "' text-anchor='middle'>"
                << x << "</text>\n";
        out << "<path d='M" << left << ' ' << top << 'V' << bottom << 'H' << right
            << "' fill='none' stroke='black'/>\n<text x='" << (left + right) / 2 << "' y='388' "
            << "text-anchor='middle'>" << x_label_ << "</text>\n<text transform='translate(16 "
            << (top + bottom) / 2 << ") rotate(-90)' text-anchor='middle'>" << y_label_
            << "</text>\n";
    }

    void line(std::ostringstream& out, std::size_t index) const {
        static const char* const colours[] = {"#1f77b4", "#d62728", "#2ca02c", "#9467bd",
                                              "#ff7f0e"};
        const Curve& curve = curves_[index];
        const char* colour = colours[index % 5];
        out << "<polyline fill='none' stroke-width='2' stroke='" << colour << "' points='";
        for (std::size_t i = 0; i < curve.y.size(); ++i)
            if (std::isfinite(curve.y[i]))
                out << x_at(static_cast<double>(i + 1)) << ',' << y_at(curve.y[i]) << ' ';
        out << "'/>\n<text x='" << right + 12 << "' y='"
            << top + 18.0 * static_cast<double>(index) + 10.0 << "' fill='" << colour << "'>"
            << curve.name << "</text>\n";
    }

    std::string title_, x_label_, y_label_;
    std::vector<Curve> curves_;
};

}  // namespace examples
