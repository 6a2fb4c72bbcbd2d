// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the forms of a report: JSON, CSV, Markdown and SVG of made-up rows.
#include "kernels/bench/report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/object.hpp>

#include "host/node/json.hpp"

namespace millrace::kernel_bench {
namespace {

using testing::HasSubstr;
using testing::Not;

/// Text that every form has to write in its own way.
constexpr const char* nasty = "a|b, \"c\" <d> & 'e'\nf";

Row measured(const char* backend, bool on_device, size_t threads, size_t batch, double ns) {
    Row row;
    row.family = "hash";
    row.kernel = "keccak256";
    row.shape = "64 B";
    row.item = "hash";
    row.backend = backend;
    row.target = "unit & test";
    row.on_device = on_device;
    row.threads = threads;
    row.batch = batch;
    row.bytes_per_item = 64;
    row.state = RowState::measured;
    row.end_to_end_ns = summarize({ns, ns * 2, ns * 3});
    row.calls_per_sample = 10;
    row.cpu_ns_per_batch = ns;
    return row;
}

Report made_up() {
    Report report;
    report.environment.cpu = "CPU <one> & only";
    report.environment.gpu_absent = "no device";
    report.environment.extra = {{"commit", "abc"}};
    report.seed = 5;
    report.seconds_per_row = 0.2;
    report.peaks.push_back({CpuUnit::madd52, 2, 7e9});
    report.rows.push_back(measured("simd", false, 1, 1, 100));
    report.rows.push_back(measured("simd", false, 2, 4096, 1000));
    report.rows.back().peaks.push_back({"bound, measured", 1e10, 0.2048});
    report.rows.push_back(measured("cuda", true, 1, 4096, 500));
    report.rows.back().kernel_ns = summarize({40, 50, 60});
    report.rows.push_back(measured("cuda", true, 1, 1, 9000));
    report.rows.back().no_kernel_time = "not timed here";
    Row skipped = measured("scalar", false, 1, 0, 0);
    skipped.state = RowState::skipped;
    skipped.reason = nasty;
    report.rows.push_back(skipped);
    Row failed = measured("scalar", false, 1, 16, 0);
    failed.state = RowState::failed;
    failed.reason = "wrong answer: item 3";
    report.rows.push_back(failed);
    report.crossovers = find_crossovers(report.rows);
    return report;
}

boost::json::object parsed(const std::string& text) {
    const auto value = node::parse_json(text, "report");
    EXPECT_TRUE(value.has_value()) << value.error().message;
    return value->as_object();
}

double number(const boost::json::object& object, std::string_view key) {
    return object.at(key).to_number<double>();
}

std::string text(const boost::json::object& object, std::string_view key) {
    return object.at(key).as_string().c_str();
}

TEST(JsonForm, HasContextRowsAndCrossovers) {
    const boost::json::object json = parsed(to_json(made_up()));
    const auto& context = json.at("context").as_object();
    EXPECT_EQ(text(context, "cpu"), "CPU <one> & only");
    EXPECT_EQ(text(context, "commit"), "abc");
    EXPECT_EQ(text(context, "gpu_absent"), "no device");
    EXPECT_TRUE(context.at("gpu").is_null());
    EXPECT_FALSE(context.at("interrupted").as_bool());
    EXPECT_EQ(context.at("measured_peaks").as_array().size(), 1u);
    ASSERT_EQ(json.at("benchmarks").as_array().size(), 6u);
    const auto& row = json.at("benchmarks").as_array()[1].as_object();
    EXPECT_EQ(text(row, "name"), "hash/keccak256/64 B/simd/threads:2/batch:4096");
    EXPECT_EQ(text(row, "time_unit"), "ns");
    EXPECT_EQ(text(row, "run_type"), "aggregate");
    EXPECT_EQ(text(row, "kernel_only"), "same");
    EXPECT_EQ(number(row, "iterations"), 30);
    EXPECT_EQ(number(row, "real_time"), 2000);
    EXPECT_EQ(number(row, "real_time_min"), 1000);
    EXPECT_EQ(number(row, "items_per_second"), 2.048e9);
    EXPECT_NEAR(number(row.at("peaks").as_array()[0].as_object(), "percent"), 20.48, 1e-9);
    const auto& device = json.at("benchmarks").as_array()[2].as_object();
    EXPECT_EQ(number(device.at("kernel_only").as_object(), "real_time"), 50);
    const auto& untimed = json.at("benchmarks").as_array()[3].as_object();
    EXPECT_TRUE(untimed.at("kernel_only").is_null());
    EXPECT_EQ(text(untimed, "no_kernel_time"), "not timed here");
    const auto& crossover = json.at("crossovers").as_array()[0].as_object();
    EXPECT_EQ(number(crossover, "batch"), 4096);
    EXPECT_EQ(number(crossover, "last_batch_lost"), 1);
}

TEST(JsonForm, RowsThatWereNotMeasuredHaveAReasonAndNoTimes) {
    const boost::json::object json = parsed(to_json(made_up()));
    const auto& skipped = json.at("benchmarks").as_array()[4].as_object();
    EXPECT_EQ(text(skipped, "state"), "skipped");
    EXPECT_TRUE(skipped.at("batch").is_null());
    EXPECT_THAT(text(skipped, "reason"), HasSubstr("\"c\" <d>"));
    EXPECT_FALSE(skipped.contains("real_time"));
    EXPECT_EQ(text(json.at("benchmarks").as_array()[5].as_object(), "state"), "failed");
}

TEST(JsonForm, WhatIsNoNumberIsNull) {
    Report report = made_up();
    report.rows[0].cpu_ns_per_batch = HUGE_VAL;
    const boost::json::object json = parsed(to_json(report));
    EXPECT_TRUE(json.at("benchmarks").as_array()[0].as_object().at("cpu_time").is_null());
}

TEST(JsonForm, AnEmptyReportIsValid) {
    const boost::json::object json = parsed(to_json(Report{}));
    EXPECT_TRUE(json.at("benchmarks").as_array().empty());
    EXPECT_TRUE(json.at("crossovers").as_array().empty());
}

/// Fields of RFC 4180.
std::vector<std::vector<std::string>> parse_csv(const std::string& csv) {
    std::vector<std::vector<std::string>> lines(1);
    std::string field;
    bool quoted = false;
    for (size_t i = 0; i < csv.size(); ++i) {
        const char c = csv[i];
        if (quoted) {
            if (c == '"' && i + 1 < csv.size() && csv[i + 1] == '"') {
                field += '"';
                ++i;
            } else if (c == '"') {
                quoted = false;
            } else {
                field += c;
            }
        } else if (c == '"') {
            quoted = true;
        } else if (c == ',' || c == '\n') {
            lines.back().push_back(field);
            field.clear();
            if (c == '\n') { lines.emplace_back(); }
        } else if (c != '\r') {
            field += c;
        }
    }
    EXPECT_FALSE(quoted);
    EXPECT_TRUE(field.empty() && lines.back().empty()) << "the last line has an end";
    lines.pop_back();
    return lines;
}

TEST(CsvForm, EveryLineHasTheFieldsOfTheHeader) {
    const auto lines = parse_csv(to_csv(made_up()));
    ASSERT_EQ(lines.size(), 7u);
    for (const auto& line : lines) { EXPECT_EQ(line.size(), lines[0].size()); }
    const auto column = [&](const char* name) {
        const auto at = std::ranges::find(lines[0], name);
        EXPECT_NE(at, lines[0].end()) << name;
        return static_cast<size_t>(at - lines[0].begin());
    };
    EXPECT_EQ(lines[2][column("batch")], "4096");
    EXPECT_EQ(lines[2][column("median_ns")], "2000");
    EXPECT_EQ(lines[2][column("kernel_only_median_ns")], "2000");
    EXPECT_EQ(lines[2][column("percent_of_bound")], "20.48");
    EXPECT_EQ(lines[3][column("kernel_only_median_ns")], "50");
    EXPECT_EQ(lines[4][column("kernel_only_median_ns")], "");
    EXPECT_EQ(lines[5][column("reason")], nasty);
    EXPECT_EQ(lines[5][column("batch")], "");
    EXPECT_EQ(lines[5][column("median_ns")], "");
    EXPECT_EQ(lines[6][column("state")], "failed");
}

TEST(MarkdownForm, EveryTableIsRectangular) {
    const std::string markdown = to_markdown(made_up());
    std::vector<size_t> widths;
    std::istringstream in(markdown);
    size_t tables = 0;
    size_t columns = 0;
    for (std::string line; std::getline(in, line);) {
        if (!line.starts_with("|")) {
            columns = 0;
            continue;
        }
        EXPECT_TRUE(line.ends_with("|")) << line;
        size_t bars = 0;
        for (size_t i = 0; i < line.size(); ++i) {
            bars += line[i] == '|' && (i == 0 || line[i - 1] != '\\') ? 1 : 0;
        }
        if (columns == 0) {
            columns = bars;
            ++tables;
        }
        EXPECT_EQ(bars, columns) << line;
    }
    EXPECT_EQ(tables, 6u) << markdown;
}

TEST(MarkdownForm, SaysWhatWasMeasuredFailedSkippedAndWhereTheDeviceWins) {
    const std::string markdown = to_markdown(made_up());
    EXPECT_THAT(markdown, HasSubstr("4 rows measured, 1 skipped, 1 failed"));
    EXPECT_THAT(markdown, HasSubstr("wrong answer: item 3"));
    EXPECT_THAT(markdown, HasSubstr("a\\|b"));
    EXPECT_THAT(markdown, HasSubstr("from 4096, behind at 1"));
    EXPECT_THAT(markdown, HasSubstr("20 % of bound, measured"));
    EXPECT_THAT(markdown, HasSubstr("| 4K | - | 2.05 G/s | 4.10 G/s |"));
    EXPECT_THAT(markdown, Not(HasSubstr("partial")));
    Report interrupted = made_up();
    interrupted.interrupted = true;
    EXPECT_THAT(to_markdown(interrupted), HasSubstr("partial"));
}

TEST(SvgForm, EscapesTextsAndHasNoScript) {
    Report report = made_up();
    for (Row& row : report.rows) { row.shape = nasty; }
    const std::string svg = to_svg(report);
    EXPECT_TRUE(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
    EXPECT_TRUE(svg.ends_with("</svg>\n"));
    EXPECT_THAT(svg, HasSubstr("CPU &lt;one&gt; &amp; only"));
    EXPECT_THAT(svg, HasSubstr("a|b, &quot;c&quot; &lt;d&gt; &amp; 'e' f"));
    EXPECT_THAT(svg, HasSubstr("prefers-color-scheme: dark"));
    EXPECT_THAT(svg, Not(HasSubstr("<script")));
    EXPECT_THAT(svg, Not(HasSubstr("nan")));
    EXPECT_THAT(svg, Not(HasSubstr("inf\"")));
}

size_t count_of(const std::string& text, std::string_view part) {
    size_t count = 0;
    for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) { ++count; }
    return count;
}

TEST(SvgForm, MarksEveryMeasuredRow) {
    const std::string svg = to_svg(made_up());
    // One row of several cores is a square, the other three are circles; only cuda has a line.
    EXPECT_EQ(count_of(svg, "<circle"), 3u);
    EXPECT_EQ(count_of(svg, "width=\"5\" height=\"5\""), 1u);
    EXPECT_EQ(count_of(svg, "<polyline"), 1u);
    EXPECT_EQ(count_of(svg, "class=\"panel\""), 1u);
}

TEST(SvgForm, SaysThatNothingWasMeasured) {
    EXPECT_THAT(to_svg(Report{}), HasSubstr("Nothing was measured."));
}

TEST(WithPrefix, ThreeDigitsAndThePrefix) {
    EXPECT_EQ(with_prefix(0), "0.00");
    EXPECT_EQ(with_prefix(1), "1.00");
    EXPECT_EQ(with_prefix(999), "999");
    EXPECT_EQ(with_prefix(999.6), "1.00 k");
    EXPECT_EQ(with_prefix(35'700), "35.7 k");
    EXPECT_EQ(with_prefix(1.234e9), "1.23 G");
    EXPECT_EQ(with_prefix(2.5e-6), "2.50 u");
    EXPECT_EQ(with_prefix(0.9999), "1.00");
}

TEST(BatchText, NamesPowersOfTwoAsTheOptionsDo) {
    EXPECT_EQ(batch_text(0), "0");
    EXPECT_EQ(batch_text(512), "512");
    EXPECT_EQ(batch_text(4096), "4K");
    EXPECT_EQ(batch_text(1025), "1025");
    EXPECT_EQ(batch_text(1 << 20), "1M");
}

}  // namespace
}  // namespace millrace::kernel_bench
