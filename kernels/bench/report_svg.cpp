// SPDX-License-Identifier: Apache-2.0
// Owns the plot of a report.
#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>

#include "kernels/bench/report.hpp"

namespace millrace::kernel_bench {

namespace {

constexpr double panel_width = 330;
constexpr double panel_height = 250;
constexpr double plot_left = 52;
constexpr double plot_top = 30;
constexpr double plot_width = 262;
constexpr double plot_height = 172;
constexpr double margin = 16;
constexpr double width_min = 420;
constexpr size_t columns_max = 3;
constexpr size_t colors = 6;

/// Colours that stay apart for people who see few of them (after Okabe and Ito), on light and on
/// dark. Written out, since few programs that print know CSS variables.
constexpr const char* style = R"(<style>
text { font-family: "Helvetica Neue", Arial, sans-serif; font-size: 11px; fill: #1b1b1b; }
.title { font-size: 16px; font-weight: bold; }
.panel { font-size: 12px; font-weight: bold; }
.paper { fill: #ffffff; }
.grid { stroke: #dcdcdc; stroke-width: 1; }
.axis { stroke: #6b6b6b; stroke-width: 1; fill: none; }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.many { stroke-dasharray: 6 3; }
.c0 { stroke: #0072b2; } .m0 { fill: #0072b2; }
.c1 { stroke: #d55e00; } .m1 { fill: #d55e00; }
.c2 { stroke: #009e73; } .m2 { fill: #009e73; }
.c3 { stroke: #a64d86; } .m3 { fill: #a64d86; }
.c4 { stroke: #a67300; } .m4 { fill: #a67300; }
.c5 { stroke: #444444; } .m5 { fill: #444444; }
@media (prefers-color-scheme: dark) {
text { fill: #e8e8e8; }
.paper { fill: #14171a; }
.grid { stroke: #343a40; }
.axis { stroke: #9aa0a6; }
.c0 { stroke: #56b4e9; } .m0 { fill: #56b4e9; }
.c1 { stroke: #ff8c42; } .m1 { fill: #ff8c42; }
.c2 { stroke: #2fd6a5; } .m2 { fill: #2fd6a5; }
.c3 { stroke: #f0a6cf; } .m3 { fill: #f0a6cf; }
.c4 { stroke: #f0c419; } .m4 { fill: #f0c419; }
.c5 { stroke: #c8c8c8; } .m5 { fill: #c8c8c8; }
}
</style>
)";

std::string escaped(const std::string& text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '"': out += "&quot;"; break;
            // XML has no other control characters than white space.
            default: out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
        }
    }
    return out;
}

__attribute__((format(printf, 1, 2))) std::string format(const char* pattern, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, pattern);
    std::vsnprintf(text, sizeof text, pattern, arguments);
    va_end(arguments);
    return text;
}

std::string text_at(double x, double y, const char* anchor, const char* kind,
                    const std::string& text) {
    return format("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"%s%s%s>", x, y, anchor,
                  *kind ? " class=\"" : "", kind, *kind ? "\"" : "") +
           escaped(text) + "</text>\n";
}

/// Everything that a panel shows: the rows of one case.
struct Panel {
    std::string title;
    std::vector<const Row*> rows;
};

std::vector<Panel> panels_of(const Report& report) {
    std::vector<Panel> panels;
    for (const Row& row : report.rows) {
        if (row.state != RowState::measured || row.shown_rate() <= 0) { continue; }
        const std::string title = row.kernel + ", " + row.shape;
        auto panel = std::ranges::find_if(panels, [&](const Panel& p) { return p.title == title; });
        if (panel == panels.end()) { panel = panels.insert(panels.end(), Panel{title, {}}); }
        panel->rows.push_back(&row);
    }
    return panels;
}

/// A line of the plot; the colour is the back end's, the dash says that several cores share it.
struct Series {
    std::string name;
    std::string backend;
    bool many = false;
};

std::vector<Series> series_of(const std::vector<Panel>& panels) {
    std::vector<Series> series;
    for (const Panel& panel : panels) {
        for (const Row* row : panel.rows) {
            const std::string name = series_text(*row);
            if (std::ranges::none_of(series, [&](const Series& s) { return s.name == name; })) {
                series.push_back({name, row->backend, row->threads > 1});
            }
        }
    }
    return series;
}

size_t color_of(const std::vector<Series>& series, const std::string& backend) {
    std::vector<std::string> backends;
    for (const Series& s : series) {
        if (std::ranges::find(backends, s.backend) == backends.end()) {
            backends.push_back(s.backend);
        }
    }
    const auto at = std::ranges::find(backends, backend) - backends.begin();
    return static_cast<size_t>(at) % colors;
}

/// A logarithmic axis: `low` and `high` are logarithms to some base, apart from each other.
struct Axis {
    double low;
    double high;
    double at(double logarithm) const { return (logarithm - low) / (high - low); }
};

Axis widened(double low, double high) {
    return high - low < 1 ? Axis{low - 0.5, high + 0.5} : Axis{low, high};
}

std::string draw_axes(const Axis& x, const Axis& y, double left, double top, bool bytes) {
    std::string out;
    // Marks at every second, or fourth, power of two.
    const int step = x.high - x.low > 12 ? 4 : 2;
    for (int power = static_cast<int>(std::ceil(x.low)); power <= x.high; ++power) {
        if (power % step != 0) { continue; }
        const double at = left + plot_width * x.at(power);
        out += format("<line class=\"grid\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
                      at, top, at, top + plot_height);
        out += text_at(at, top + plot_height + 15, "middle", "", batch_text(size_t{1} << power));
    }
    // Decades; where there are few of them, twos and fives as well.
    const bool fine = y.high - y.low < 2.2;
    for (int decade = static_cast<int>(std::floor(y.low)); decade <= y.high; ++decade) {
        for (const double digit : {1.0, 2.0, 5.0}) {
            const double logarithm = decade + std::log10(digit);
            if ((digit != 1.0 && !fine) || logarithm < y.low - 1e-9 || logarithm > y.high + 1e-9) {
                continue;
            }
            const double at = top + plot_height * (1 - y.at(logarithm));
            out += format("<line class=\"grid\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" "
                          "y2=\"%.1f\"/>\n",
                          left, at, left + plot_width, at);
            char digits[32];
            std::snprintf(digits, sizeof digits, "%.0f",
                          digit * std::pow(10.0, ((decade % 3) + 3) % 3));
            const std::string prefixed = with_prefix(digit * std::pow(10.0, decade));
            const size_t gap = prefixed.find(' ');
            out += text_at(left - 6, at + 4, "end", "",
                           digits + (gap == std::string::npos ? "" : prefixed.substr(gap)));
        }
    }
    out += format("<rect class=\"axis\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n",
                  left, top, plot_width, plot_height);
    out += text_at(left + plot_width / 2, top + plot_height + 32, "middle", "", "batch");
    out += text_at(left + plot_width, top - 6, "end", "", bytes ? "bytes/s" : "items/s");
    return out;
}

std::string draw_series(const Panel& panel, const Series& series, size_t color, const Axis& x,
                        const Axis& y, double left, double top) {
    std::vector<const Row*> rows;
    for (const Row* row : panel.rows) {
        if (series_text(*row) == series.name) { rows.push_back(row); }
    }
    std::ranges::sort(rows, {}, &Row::batch);
    std::string points;
    std::string marks;
    for (const Row* row : rows) {
        const double px = left + plot_width * x.at(std::log2(static_cast<double>(row->batch)));
        const double py = top + plot_height * (1 - y.at(std::log10(row->shown_rate())));
        points += format("%s%.1f,%.1f", points.empty() ? "" : " ", px, py);
        marks += series.many
                     ? format("<rect class=\"m%zu\" x=\"%.1f\" y=\"%.1f\" width=\"5\" "
                              "height=\"5\"/>\n",
                              color, px - 2.5, py - 2.5)
                     : format("<circle class=\"m%zu\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.6\"/>\n", color,
                              px, py);
    }
    if (rows.size() < 2) { return marks; }
    return format("<polyline class=\"line c%zu%s\" points=\"", color, series.many ? " many" : "") +
           points + "\"/>\n" + marks;
}

std::string draw_panel(const Panel& panel, const std::vector<Series>& series, double left,
                       double top) {
    double low = HUGE_VAL;
    double high = -HUGE_VAL;
    double first = HUGE_VAL;
    double last = -HUGE_VAL;
    for (const Row* row : panel.rows) {
        const double rate = std::log10(row->shown_rate());
        const double batch = std::log2(static_cast<double>(row->batch));
        low = std::min(low, rate);
        high = std::max(high, rate);
        first = std::min(first, batch);
        last = std::max(last, batch);
    }
    const Axis x = widened(first, last);
    const double room = 0.05 * std::max(1.0, high - low);
    const Axis y = widened(low - room, high + room);
    std::string out = text_at(left, top + 16, "start", "panel", panel.title);
    left += plot_left;
    top += plot_top;
    out += draw_axes(x, y, left, top, panel.rows.front()->rate_in_bytes);
    for (const Series& s : series) {
        out += draw_series(panel, s, color_of(series, s.backend), x, y, left, top);
    }
    return out;
}

/// The entries in as many lines as the width needs; `bottom` is where they end.
std::string draw_legend(const std::vector<Series>& series, double width, double& bottom) {
    std::string out;
    double left = margin;
    double y = 46;
    for (const Series& s : series) {
        const double room = 50 + 6.2 * static_cast<double>(s.name.size());
        if (left > margin && left + room > width) {
            left = margin;
            y += 18;
        }
        out += format("<line class=\"line c%zu%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" "
                      "y2=\"%.1f\"/>\n",
                      color_of(series, s.backend), s.many ? " many" : "", left, y, left + 28, y);
        out += text_at(left + 34, y + 4, "start", "", s.name);
        left += room;
    }
    bottom = y + 18;
    return out;
}

}  // namespace

std::string to_svg(const Report& report) {
    const std::vector<Panel> panels = panels_of(report);
    const std::vector<Series> series = series_of(panels);
    const size_t columns = std::clamp<size_t>(panels.size(), 1, columns_max);
    const size_t rows = (panels.size() + columns - 1) / columns;
    const double width = std::max(static_cast<double>(columns) * panel_width + margin, width_min);
    double header = 0;
    const std::string legend = draw_legend(series, width, header);
    const double height = header + static_cast<double>(std::max<size_t>(rows, 1)) * panel_height;
    std::string out =
        format("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
               "viewBox=\"0 0 %.0f %.0f\" role=\"img\">\n",
               width, height, width, height);
    out += "<title>Rates of kernels by batch size</title>\n";
    out += "<desc>" +
           escaped(report.environment.cpu +
                   "; GPU: " + (report.environment.gpu.empty() ? "none" : report.environment.gpu)) +
           "</desc>\n";
    out += style;
    out += format("<rect class=\"paper\" width=\"%.0f\" height=\"%.0f\"/>\n", width, height);
    out += text_at(margin, 24, "start", "title", "Rates end to end, by batch size");
    out += legend;
    if (panels.empty()) {
        out += text_at(margin, header + 24, "start", "", "Nothing was measured.");
    }
    for (size_t i = 0; i < panels.size(); ++i) {
        out +=
            draw_panel(panels[i], series, margin + panel_width * static_cast<double>(i % columns),
                       header + panel_height * static_cast<double>(i / columns));
    }
    return out + "</svg>\n";
}

}  // namespace millrace::kernel_bench
