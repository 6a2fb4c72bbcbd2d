// SPDX-License-Identifier: Apache-2.0
// Owns copying of files with their digests.
#include "host/node/database/snapshot.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "host/base/hex.hpp"
#include "kernels/keccak/keccak.hpp"
#include "storage/datadir.hpp"
#include "storage/io/crc32c.hpp"

namespace millrace::node {
namespace {

using storage::File;
using storage::FileSystem;
using storage::join_path;
using storage::OpenMode;

constexpr std::string_view manifest_name = "SNAPSHOT";
constexpr std::string_view title = "millrace snapshot 1\n";
constexpr std::string_view format_name = "FORMAT";
constexpr std::string_view lock_name = "LOCK";
constexpr uint64_t manifest_bytes_max = uint64_t{64} << 20;
constexpr size_t piece_bytes = size_t{1} << 20;

struct Item {
    std::string path;  ///< relative
    uint64_t bytes = 0;
    Hash256 digest;
    bool operator==(const Item&) const = default;
};

std::string crc_line(std::string_view text) {
    return "crc32c = " + to_hex_quantity(uint64_t{storage::crc32c(as_bytes(text))}) + "\n";
}

std::unexpected<Error> bad(const std::string& path, const std::string& what) {
    return fail(ErrorCode::corrupt, path + " " + what);
}

/// Files of the known parts of a data directory, relative, sorted.
Result<std::vector<std::string>> files_below(FileSystem& fs, const std::string& directory) {
    std::vector<std::string> out;
    MILLRACE_TRY(const auto names, fs.list(directory));
    for (const std::string& name : names) {
        if (name == lock_name || name == manifest_name) { continue; }
        // Files of data directories lie in one folder below it, or in it.
        const auto below = fs.list(join_path(directory, name));
        if (!below) {
            out.push_back(name);
            continue;
        }
        for (const std::string& file : *below) { out.push_back(join_path(name, file)); }
    }
    std::ranges::sort(out);
    return out;
}

bool is_plain_path(std::string_view path) {
    if (path.empty() || path.front() == '/' || path.find("..") != std::string_view::npos) {
        return false;
    }
    return std::ranges::count(path, '/') <= 1 && path.find('\n') == std::string_view::npos;
}

/// Reads a file to its end, writes it to `to` unless that is null, and returns what it was.
Result<Item> copy_file(const File& from, File* to, std::string path) {
    Item item;
    item.path = std::move(path);
    MILLRACE_TRY(item.bytes, from.size());
    Bytes piece(piece_bytes);
    Bytes digests;
    for (uint64_t at = 0; at < item.bytes;) {
        const auto wanted = static_cast<size_t>(std::min<uint64_t>(piece_bytes, item.bytes - at));
        MILLRACE_TRY(const size_t got, from.read_at(at, std::span{piece}.first(wanted)));
        if (got != wanted) { return bad(from.path(), "became shorter while it was read"); }
        const ByteView data = ByteView{piece}.first(got);
        const Hash256 digest = kernels::keccak256(data);
        digests.insert(digests.end(), digest.begin(), digest.end());
        // Room that was only set aside stays a hole.
        const bool empty = std::ranges::all_of(data, [](uint8_t b) { return b == 0; });
        if (to != nullptr && !empty) { MILLRACE_CHECK(to->write_at(at, data)); }
        at += got;
    }
    item.digest = kernels::keccak256(digests);
    if (to != nullptr) {
        MILLRACE_CHECK(to->truncate(item.bytes));
        MILLRACE_CHECK(to->sync_data());
    }
    return item;
}

Result<Item> copy_below(FileSystem& fs, const std::string& from, const std::string& to,
                        const std::string& path) {
    MILLRACE_TRY(const auto source, fs.open(join_path(from, path), OpenMode::read));
    const std::string target = join_path(to, path);
    MILLRACE_CHECK(fs.create_directory(storage::parent_path(target)));
    MILLRACE_TRY(const auto file, fs.open(target, OpenMode::create_or_wipe));
    MILLRACE_TRY(Item item, copy_file(*source, file.get(), path));
    MILLRACE_CHECK(fs.sync_directory(storage::parent_path(target)));
    return item;
}

Result<void> require_empty(FileSystem& fs, const std::string& path) {
    MILLRACE_TRY(const bool there, fs.exists(path));
    if (!there) { return {}; }
    MILLRACE_TRY(const auto names, fs.list(path));
    if (!names.empty()) {
        return fail(ErrorCode::invalid_input,
                    path + " is not empty; name a folder that is missing or empty");
    }
    return {};
}

std::optional<uint64_t> number(std::string_view digits) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size()) {
        return std::nullopt;
    }
    return value;
}

Result<std::vector<Item>> read_manifest(FileSystem& fs, const std::string& from) {
    const std::string path = join_path(from, manifest_name);
    MILLRACE_TRY(const bool there, fs.exists(path));
    if (!there) {
        return fail(ErrorCode::not_found, from + " is no snapshot: it has no SNAPSHOT file");
    }
    MILLRACE_TRY(const Bytes raw, storage::read_file(fs, path, manifest_bytes_max));
    std::string_view text{reinterpret_cast<const char*>(raw.data()), raw.size()};
    const size_t crc_at = text.rfind("crc32c = ");
    if (!text.starts_with(title) || crc_at == std::string_view::npos ||
        text.substr(crc_at) != crc_line(text.substr(0, crc_at))) {
        return bad(path, "is damaged: its checksum does not match");
    }
    text = text.substr(title.size(), crc_at - title.size());
    std::vector<Item> items;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        const size_t first = line.find(' ');
        const size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
        if (second == std::string_view::npos) { return bad(path, "has a line without a path"); }
        const auto bytes = number(line.substr(0, first));
        const auto digest = hash_from_hex(line.substr(first + 1, second - first - 1));
        const std::string name{line.substr(second + 1)};
        if (!bytes || !digest || !is_plain_path(name) ||
            (!items.empty() && items.back().path >= name)) {
            return bad(path, "has a line that cannot be");
        }
        items.push_back({name, *bytes, *digest});
    }
    return items;
}

}  // namespace

Result<SnapshotReport> make_snapshot(FileSystem& fs, const std::string& from,
                                     const std::string& to) {
    MILLRACE_TRY(const storage::DataDir directory, storage::DataDir::open_existing(fs, from));
    MILLRACE_CHECK(require_empty(fs, to));
    MILLRACE_TRY(const auto paths, files_below(fs, from));
    SnapshotReport report;
    std::string manifest{title};
    MILLRACE_CHECK(fs.create_directory(to));
    for (const std::string& path : paths) {
        MILLRACE_TRY(const Item item, copy_below(fs, from, to, path));
        manifest += std::to_string(item.bytes) + " " + to_hex(item.digest) + " " + item.path + "\n";
        ++report.files;
        report.bytes += item.bytes;
    }
    MILLRACE_CHECK(fs.sync_directory(to));
    manifest += crc_line(manifest);
    MILLRACE_CHECK(storage::replace_file(fs, join_path(to, manifest_name), as_bytes(manifest)));
    return report;
}

Result<SnapshotReport> restore_snapshot(FileSystem& fs, const std::string& from,
                                        const std::string& to) {
    MILLRACE_TRY(auto items, read_manifest(fs, from));
    MILLRACE_CHECK(require_empty(fs, to));
    MILLRACE_TRY(const auto paths, files_below(fs, from));
    for (const std::string& path : paths) {
        if (std::ranges::find(items, path, &Item::path) == items.end()) {
            return bad(join_path(from, path), "is not of this snapshot; remove it");
        }
    }
    const auto format = std::ranges::find(items, format_name, &Item::path);
    if (format == items.end()) {
        return bad(join_path(from, manifest_name), "lists no FORMAT file");
    }
    std::rotate(format, format + 1, items.end());
    SnapshotReport report;
    MILLRACE_CHECK(fs.create_directory(to));
    for (const Item& item : items) {
        const std::string source = join_path(from, item.path);
        if (!std::ranges::binary_search(paths, item.path)) { return bad(source, "is missing"); }
        if (item.path == format_name) {
            // Checked before it makes the rest a data directory.
            MILLRACE_TRY(const auto file, fs.open(source, OpenMode::read));
            MILLRACE_TRY(const Item seen, copy_file(*file, nullptr, item.path));
            if (seen != item) { return bad(source, "is damaged"); }
        }
        MILLRACE_TRY(const Item copied, copy_below(fs, from, to, item.path));
        if (copied != item) {
            return bad(
                source,
                "is damaged: it is not what SNAPSHOT lists" +
                    std::string{copied.bytes == item.bytes ? "" : ", and has another length"});
        }
        ++report.files;
        report.bytes += item.bytes;
    }
    MILLRACE_CHECK(fs.sync_directory(to));
    return report;
}

}  // namespace millrace::node
