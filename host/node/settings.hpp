// SPDX-License-Identifier: Apache-2.0
// Owns the settings of a node and where each value came from: flag, environment, file or default.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/error.hpp"

namespace CLI {
class App;
}

namespace millrace::node {

struct Settings {
    bool dev = false;
    std::string datadir;
    std::string genesis;
    std::string commitment = "auto";
    std::string state_hash = "auto";
    std::string durability = "fsync";
    int64_t mini_block_ms = 10;
    int64_t block_ms = 1000;
    std::string history = "auto";
    uint64_t history_records = 100'000;
    uint64_t past_proof_mib = 256;
    uint64_t disk_reserve_mib = 512;
    uint64_t memory_state_mib = 0;
    std::string disk_compact = "on";
    uint64_t disk_scrub_mib_per_s = 8;

    bool http = true;
    bool ws = true;
    std::string http_address = "127.0.0.1";
    uint16_t http_port = 8545;
    std::string cors_domains;
    std::string vhosts = "localhost";
    std::string ws_origins;
    unsigned rpc_workers = 4;
    uint64_t rpc_gas_cap = 200'000'000;
    uint64_t rpc_connections_max = 1024;
    bool allow_unprotected = false;

    uint64_t pool_transactions_max = 200'000;
    uint64_t pool_bytes_max = uint64_t{512} << 20;
    unsigned execution_workers = 0;
    std::string jit = "off";
    uint64_t jit_shadow_runs = 16;
    uint64_t jit_cache_mib = 1'024;
    std::string cuda = "auto";
    unsigned offload_workers = 0;
    uint64_t offload_recheck = 256;
    std::string offload_cost_file;

    std::string log_level = "info";
    std::string log_format = "terminal";
};

/// How many blocks the state engine keeps the states of, for the setting `history`: a number, "all"
/// (all bits set) or "auto". `ErrorCode::config` where the commitment (a name of
/// ledger/commitment_kind.hpp) is another one and a window was asked for.
Result<uint64_t> history_blocks_of(const Settings& settings, std::string_view commitment);

enum class Origin : uint8_t { default_value, file, environment, flag };

/// One setting: its names in all four places and how its text is taken.
struct Setting {
    std::string key;          ///< in the file and as flag, e.g. "http.port"
    std::string environment;  ///< e.g. MILLRACE_HTTP_PORT
    std::string help;
    bool is_flag = false;
    std::function<Result<void>(const std::string&)> set;
    std::function<std::string()> get;
    Origin origin = Origin::default_value;
    std::string flag_text;  ///< what the command line gave
    bool flag_given = false;
};

/// The table of settings of one run. The Settings it fills outlive it.
class SettingTable {
public:
    explicit SettingTable(Settings& settings);

    /// Adds a flag for each setting, and `--config FILE`.
    void add_flags(CLI::App& app);
    /// Fills the settings in order of precedence: flag, then MILLRACE_*, then the TOML file, then
    /// the default. Unknown keys of the file are refused with line and column.
    Result<void> resolve();
    /// "key = value" lines; with `origin` each says where it came from.
    std::string show(bool with_origin) const;

private:
    Result<void> read_file(const std::string& path);
    Setting* find(std::string_view key);
    std::vector<Setting> settings_;
    std::string config_file_;
};

}  // namespace millrace::node
