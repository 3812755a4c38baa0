#pragma once

#include <cmath>
#include <cstddef>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace examples {

/// Where a panel is in the picture, in pixels.
struct Box {
    double x, y, width, height;
};
/// What its axes show.
struct Range {
    double low, high;
};
/// A mark on an axis, with its label.
struct Tick {
    double at;
    std::string label;
};

/// Colours that are told apart, from dark to light.
inline const std::vector<std::string> palette = {"#2f4b7c", "#d45087", "#f0932b", "#20a486",
                                                 "#7d5ba6", "#a05195", "#5b8ff9", "#8c8c8c"};

/// A picture of panels with lines and points, written as SVG.
///
///   Figure figure(800, 400, "Title");
///   Panel panel = figure.panel({60, 60, 300, 200}, "sine", {0, 1}, {-1, 1});
///   panel.line(x, y, palette[0]);
///   figure.save("picture.svg");
class Figure {
public:
    class Panel {
    public:
        void x_ticks(const std::vector<Tick>& ticks) {
            for (const Tick& tick : ticks) {
                out() << "<path d='M" << x(tick.at) << ' ' << box_.y << "v" << box_.height
                      << "' stroke='#ececec'/>\n";
                text(x(tick.at), box_.y + box_.height + 16, tick.label, "middle", 11, "#666666");
            }
        }
        void y_ticks(const std::vector<Tick>& ticks) {
            for (const Tick& tick : ticks) {
                out() << "<path d='M" << box_.x << ' ' << y(tick.at) << "h" << box_.width
                      << "' stroke='#ececec'/>\n";
                text(box_.x - 7, y(tick.at) + 4, tick.label, "end", 11, "#666666");
            }
        }
        void line(const std::vector<double>& xs, const std::vector<double>& ys,
                  const std::string& colour, double width = 1.8, double opacity = 1.0) {
            out() << "<polyline clip-path='url(#" << clip_ << ")' fill='none' stroke='" << colour
                  << "' stroke-width='" << width << "' stroke-opacity='" << opacity
                  << "' stroke-linejoin='round' points='";
            for (std::size_t i = 0; i < xs.size(); ++i)
                if (std::isfinite(ys[i]))
                    out() << x(xs[i]) << ',' << y(ys[i]) << ' ';
            out() << "'/>\n";
        }
        void points(const std::vector<double>& xs, const std::vector<double>& ys,
                    const std::string& colour, double radius = 3.2) {
            for (std::size_t i = 0; i < xs.size(); ++i)
                out() << "<circle cx='" << x(xs[i]) << "' cy='" << y(ys[i]) << "' r='" << radius
                      << "' fill='" << colour << "' fill-opacity='0.75'/>\n";
        }
        /// An ellipse with centre (0, 0): a circle where both axes have the same scale.
        void circle(double radius) {
            out() << "<ellipse cx='" << x(0.0) << "' cy='" << y(0.0) << "' rx='"
                  << x(radius) - x(0.0) << "' ry='" << y(0.0) - y(radius)
                  << "' fill='#f7f7fb' stroke='#999999'/>\n";
        }
        /// Text inside the panel, at a share of its width and height from the upper left.
        void note(double right, double down, const std::string& words, const std::string& colour) {
            text(box_.x + right * box_.width, box_.y + down * box_.height, words, "start", 12,
                 colour);
        }

    private:
        friend class Figure;
        Panel(Figure& figure, const Box& box, const std::string& title, Range xs, Range ys)
            : figure_(&figure),
              box_(box),
              xs_(xs),
              ys_(ys),
              clip_("panel" + std::to_string(figure.panels_++)) {
            out() << "<clipPath id='" << clip_ << "'><rect x='" << box.x << "' y='" << box.y
                  << "' width='" << box.width << "' height='" << box.height
                  << "'/></clipPath>\n<rect x='" << box.x << "' y='" << box.y << "' width='"
                  << box.width << "' height='" << box.height
                  << "' fill='#fcfcfd' stroke='#d5d5dd'/>\n";
            text(box.x, box.y - 8, title, "start", 13, "#222222");
        }
        [[nodiscard]] double x(double value) const {
            return box_.x + (value - xs_.low) / (xs_.high - xs_.low) * box_.width;
        }
        [[nodiscard]] double y(double value) const {
            return box_.y + (ys_.high - value) / (ys_.high - ys_.low) * box_.height;
        }
        void text(double at_x, double at_y, const std::string& words, const char* anchor, int size,
                  const std::string& colour) {
            figure_->text(at_x, at_y, words, anchor, size, colour);
        }
        std::ostringstream& out() { return figure_->out_; }

        Figure* figure_;
        Box box_;
        Range xs_, ys_;
        std::string clip_;
    };

    Figure(double width, double height, const std::string& title,
           const std::string& subtitle = "") {
        out_.precision(6);
        out_ << "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 " << width << ' ' << height
             << "' font-family='Helvetica, Arial, sans-serif'>\n<rect width='" << width
             << "' height='" << height << "' fill='white'/>\n";
        text(24, 32, title, "start", 18, "#111111");
        text(24, 52, subtitle, "start", 12, "#666666");
    }

    [[nodiscard]] Panel panel(const Box& box, const std::string& title, Range xs, Range ys) {
        return Panel(*this, box, title, xs, ys);
    }
    void text(double x, double y, const std::string& words, const char* anchor, int size,
              const std::string& colour) {
        out_ << "<text x='" << x << "' y='" << y << "' text-anchor='" << anchor << "' font-size='"
             << size << "' fill='" << colour << "'>" << words << "</text>\n";
    }
    /// Writes the picture; false when the file could not be written.
    [[nodiscard]] bool save(const std::string& path) const {
        std::ofstream file(path);
        file << out_.str() << "</svg>\n";
        return static_cast<bool>(file.flush());
    }

private:
    std::ostringstream out_;
    std::size_t panels_ = 0;
};

}  // namespace examples
