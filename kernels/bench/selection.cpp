// SPDX-License-Identifier: Apache-2.0
// Owns the reading of option values.
#include "kernels/bench/selection.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

namespace millrace::kernel_bench {

namespace {

constexpr size_t sweep_step_usual = 4;

std::unexpected<Error> bad(std::string message) {
    return fail(ErrorCode::invalid_input, std::move(message));
}

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

std::string joined(const std::vector<std::string>& names) {
    std::string out;
    for (const std::string& name : names) { out += (out.empty() ? "" : ", ") + name; }
    return out;
}

/// The parts between commas; an empty text has one empty part, which no list takes.
std::vector<std::string_view> parts_of(std::string_view text) {
    std::vector<std::string_view> parts;
    while (true) {
        const size_t comma = text.find(',');
        parts.push_back(text.substr(0, comma));
        if (comma == std::string_view::npos) { return parts; }
        text.remove_prefix(comma + 1);
    }
}

/// A decimal number with an optional K or M behind it.
std::optional<size_t> number_of(std::string_view text) {
    size_t scale = 1;
    if (text.ends_with('K') || text.ends_with('k')) { scale = size_t{1} << 10; }
    if (text.ends_with('M')) { scale = size_t{1} << 20; }
    if (scale != 1) { text.remove_suffix(1); }
    size_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size() ||
        __builtin_mul_overflow(value, scale, &value)) {
        return {};
    }
    return value;
}

Result<size_t> number_within(std::string_view text, size_t min, size_t max, std::string_view what) {
    const std::optional<size_t> value = number_of(text);
    if (!value || *value < min || *value > max) {
        return bad(std::string(what) + " " + quoted(text) + " is not a number from " +
                   std::to_string(min) + " to " + std::to_string(max));
    }
    return *value;
}

std::vector<size_t> ascending_once(std::vector<size_t> values) {
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
    return values;
}

/// "FIRST..LAST" or "FIRST..LAST:STEP", where the step is a factor.
Result<void> add_sweep(std::string_view part, size_t dots, std::vector<size_t>& batches) {
    const size_t colon = part.find(':', dots);
    MILLRACE_TRY(const size_t first,
                 number_within(part.substr(0, dots), 1, batch_max, "batch size"));
    MILLRACE_TRY(const size_t last, number_within(part.substr(dots + 2, colon - dots - 2), 1,
                                                  batch_max, "batch size"));
    size_t step = sweep_step_usual;
    if (colon != std::string_view::npos) {
        MILLRACE_TRY(step, number_within(part.substr(colon + 1), 2, batch_max, "step of a sweep"));
    }
    if (first > last) {
        return bad("sweep " + quoted(part) + " runs backwards; give the smaller batch first");
    }
    for (size_t batch = first; batch < last; batch *= step) { batches.push_back(batch); }
    batches.push_back(last);
    return {};
}

}  // namespace

Result<std::vector<size_t>> parse_batches(std::string_view text) {
    std::vector<size_t> batches;
    for (const std::string_view part : parts_of(text)) {
        if (const size_t dots = part.find(".."); dots != std::string_view::npos) {
            MILLRACE_CHECK(add_sweep(part, dots, batches));
        } else {
            MILLRACE_TRY(const size_t batch, number_within(part, 1, batch_max, "batch size"));
            batches.push_back(batch);
        }
    }
    return ascending_once(std::move(batches));
}

Result<std::vector<size_t>> parse_message_sizes(std::string_view text) {
    std::vector<size_t> sizes;
    for (const std::string_view part : parts_of(text)) {
        MILLRACE_TRY(const size_t bytes, number_within(part, 0, message_bytes_max, "message size"));
        sizes.push_back(bytes);
    }
    return ascending_once(std::move(sizes));
}

Result<std::vector<size_t>> parse_threads(std::string_view text, size_t cores) {
    std::vector<size_t> threads;
    for (const std::string_view part : parts_of(text)) {
        if (part == "all") {
            threads.push_back(cores);
            continue;
        }
        const std::optional<size_t> count = number_of(part);
        if (!count || *count == 0) {
            return bad("thread count " + quoted(part) + " is not a number from 1 or 'all'");
        }
        if (*count > cores) {
            return bad("thread count " + quoted(part) + " exceeds the " + std::to_string(cores) +
                       " CPU cores that this process may use");
        }
        threads.push_back(*count);
    }
    return ascending_once(std::move(threads));
}

Result<std::vector<std::string>> select_names(const std::vector<std::string>& names,
                                              const std::vector<std::string>& known,
                                              std::string_view what) {
    if (names.empty()) { return known; }
    for (const std::string& name : names) {
        if (std::find(known.begin(), known.end(), name) == known.end()) {
            return bad("unknown " + std::string(what) + " " + quoted(name) + "; known are " +
                       joined(known));
        }
    }
    std::vector<std::string> selected;
    for (const std::string& name : known) {
        if (std::find(names.begin(), names.end(), name) != names.end()) {
            selected.push_back(name);
        }
    }
    return selected;
}

Result<std::vector<std::string>>
parse_names(std::string_view text, const std::vector<std::string>& known, std::string_view what) {
    std::vector<std::string> names;
    for (const std::string_view part : parts_of(text)) { names.emplace_back(part); }
    return select_names(names, known, what);
}

}  // namespace millrace::kernel_bench
