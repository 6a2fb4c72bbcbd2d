// SPDX-License-Identifier: Apache-2.0
// Owns the FORMAT file and the lock of the data directory.
#include "storage/datadir.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "host/base/hex.hpp"
#include "storage/io/crc32c.hpp"

namespace millrace::storage {
namespace {

constexpr std::string_view format_name = "FORMAT";
constexpr std::string_view lock_name = "LOCK";
constexpr std::string_view title = "millrace data directory";
constexpr uint64_t format_bytes_max = 4096;

std::string crc_line(std::string_view text) {
    const uint32_t crc = crc32c(as_bytes(text));
    return "crc32c = " + to_hex_quantity(uint64_t{crc}) + "\n";
}

std::string format_text(const DataDirIdentity& identity) {
    std::string text{title};
    text += "\nformat = " + std::to_string(datadir_format);
    text += "\nchain_id = " + std::to_string(identity.chain_id);
    text += "\ngenesis_hash = " + to_hex(identity.genesis_hash);
    text += "\nrules_digest = " + to_hex(identity.rules_digest);
    text += "\ncommitment = " + identity.commitment + "\n";
    return text + crc_line(text);
}

std::optional<uint64_t> number(std::string_view text) {
    uint64_t v = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return v;
}

std::unexpected<Error> damaged(const std::string& path, const std::string& what) {
    return fail(ErrorCode::corrupt, path + " is damaged: " + what +
                                        ". Restore it from a backup, or choose another --datadir");
}

struct FormatFile {
    uint64_t format = 0;
    DataDirIdentity identity;
};

Result<FormatFile> parse_format(const std::string& path, std::string_view text) {
    const size_t crc_at = text.rfind("crc32c = ");
    if (!text.starts_with(title)) {
        return damaged(path, "it does not begin with '" + std::string{title} + "'");
    }
    if (crc_at == std::string_view::npos ||
        text.substr(crc_at) != crc_line(text.substr(0, crc_at))) {
        return damaged(path, "its checksum does not match");
    }
    std::map<std::string_view, std::string_view> fields;
    std::string_view rest = text.substr(0, crc_at);
    while (!rest.empty()) {
        const size_t end = std::min(rest.find('\n'), rest.size());
        const std::string_view line = rest.substr(0, end);
        if (const size_t equals = line.find(" = "); equals != std::string_view::npos) {
            fields[line.substr(0, equals)] = line.substr(equals + 3);
        }
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    FormatFile f;
    const auto format = number(fields["format"]);
    if (!format) { return damaged(path, "it names no format number"); }
    f.format = *format;
    if (f.format != datadir_format) {
        return f;  // The fields of other formats are not ours to judge.
    }
    const auto chain_id = number(fields["chain_id"]);
    const auto genesis = hash_from_hex(fields["genesis_hash"]);
    const auto rules = hash_from_hex(fields["rules_digest"]);
    if (!chain_id || !genesis || !rules || fields["commitment"].empty()) {
        return damaged(path, "a field is missing or malformed");
    }
    f.identity = {*chain_id, *genesis, *rules, std::string{fields["commitment"]}};
    return f;
}

Result<void> check_format(const std::string& path, const FormatFile& file) {
    if (file.format > datadir_format) {
        return fail(ErrorCode::unavailable,
                    path + " was written by a newer version (format " +
                        std::to_string(file.format) + ", this version knows " +
                        std::to_string(datadir_format) + "); upgrade millrace");
    }
    if (file.format < datadir_format) {
        return fail(ErrorCode::unavailable,
                    path + " has the older format " + std::to_string(file.format) +
                        ", which this version can no longer read; start with an empty datadir or "
                        "use the version that wrote it");
    }
    return {};
}

Result<void> compare(const std::string& path, const DataDirIdentity& found,
                     const DataDirIdentity& wanted) {
    const std::string remedy = "; choose another --datadir, or start the chain that it belongs to";
    if (found.chain_id != wanted.chain_id) {
        return fail(ErrorCode::config, path + " belongs to chain " +
                                           std::to_string(found.chain_id) + ", not to chain " +
                                           std::to_string(wanted.chain_id) + remedy);
    }
    // Before the genesis, whose hash depends on it.
    if (found.commitment != wanted.commitment) {
        return fail(ErrorCode::config,
                    path + " has the state commitment '" + found.commitment + "', not '" +
                        wanted.commitment +
                        "'. A chain keeps the one of its genesis: ask for that one, or choose "
                        "another --datadir");
    }
    if (found.genesis_hash != wanted.genesis_hash) {
        return fail(ErrorCode::config, path + " belongs to genesis " + to_hex(found.genesis_hash) +
                                           ", not to genesis " + to_hex(wanted.genesis_hash) +
                                           remedy);
    }
    if (found.rules_digest != wanted.rules_digest) {
        return fail(ErrorCode::config,
                    path + " was made with other rules (gas or size limits, fees, fee vaults) than "
                           "the genesis file now gives. A chain keeps its rules: restore the file "
                           "that the directory was made with, or choose another --datadir");
    }
    return {};
}

Result<DataDirIdentity> read_format(FileSystem& fs, const std::string& path,
                                    const std::string& format_path) {
    MILLRACE_TRY(const Bytes text, read_file(fs, format_path, format_bytes_max));
    MILLRACE_TRY(
        FormatFile file,
        parse_format(format_path, {reinterpret_cast<const char*>(text.data()), text.size()}));
    MILLRACE_CHECK(check_format(path, file));
    return std::move(file.identity);
}

bool is_plain_name(std::string_view name) {
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_';
    });
}

Result<std::unique_ptr<FileLock>> take_lock(FileSystem& fs, const std::string& path) {
    auto lock = fs.lock(join_path(path, lock_name), "millrace");
    if (!lock && lock.error().code == ErrorCode::conflict) {
        return fail(ErrorCode::conflict, "the data directory is in use: " + lock.error().message +
                                             "; stop the other node or choose another --datadir");
    }
    return lock;
}

}  // namespace

Result<std::optional<DataDirIdentity>> DataDir::look(FileSystem& fs, const std::string& path) {
    const std::string format_path = join_path(path, format_name);
    MILLRACE_TRY(const bool there, fs.exists(format_path));
    if (!there) { return std::nullopt; }
    MILLRACE_TRY(DataDirIdentity found, read_format(fs, path, format_path));
    return found;
}

Result<DataDir> DataDir::open_existing(FileSystem& fs, const std::string& path) {
    const std::string format_path = join_path(path, format_name);
    MILLRACE_TRY(const bool there, fs.exists(format_path));
    if (!there) {
        return fail(ErrorCode::not_found, path + " is no data directory: it has no FORMAT file");
    }
    MILLRACE_TRY(auto lock, take_lock(fs, path));
    MILLRACE_TRY(const DataDirIdentity found, read_format(fs, path, format_path));
    return DataDir{path, found, false, std::move(lock)};
}

Result<DataDir> DataDir::open(FileSystem& fs, const std::string& path,
                              const DataDirIdentity& identity) {
    if (!is_plain_name(identity.commitment)) {
        return fail(ErrorCode::config, "'" + identity.commitment + "' is no name of a commitment");
    }
    MILLRACE_CHECK(fs.create_directory(path));
    MILLRACE_TRY(auto lock, take_lock(fs, path));
    const std::string format_path = join_path(path, format_name);
    MILLRACE_TRY(const bool there, fs.exists(format_path));
    if (there) {
        MILLRACE_TRY(const DataDirIdentity found, read_format(fs, path, format_path));
        MILLRACE_CHECK(compare(path, found, identity));
        return DataDir{path, identity, false, std::move(lock)};
    }
    MILLRACE_TRY(const auto names, fs.list(path));
    for (const std::string& name : names) {
        // A crash may leave the lock file and the temporary FORMAT behind; nothing else.
        if (name != lock_name && name != std::string{format_name} + ".tmp") {
            return fail(ErrorCode::corrupt, path + " is no data directory: it contains '" + name +
                                                "' but no FORMAT file. Choose an empty directory, "
                                                "or restore FORMAT from a backup");
        }
    }
    MILLRACE_CHECK(replace_file(fs, format_path, as_bytes(format_text(identity))));
    return DataDir{path, identity, true, std::move(lock)};
}

}  // namespace millrace::storage
