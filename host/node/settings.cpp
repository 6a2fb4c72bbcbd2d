// SPDX-License-Identifier: Apache-2.0
// Owns the table of settings and their resolution.
#include "host/node/settings.hpp"

#include <charconv>
#include <cstdlib>
#include <optional>

#include <CLI/CLI.hpp>
#include <toml++/toml.h>

namespace millrace::node {
namespace {

std::string environment_name(std::string_view key) {
    std::string out = "MILLRACE_";
    for (const char c : key) {
        out += c == '.' || c == '-'
                   ? '_'
                   : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
    return out;
}

constexpr uint64_t history_blocks_default = 1024;
constexpr uint64_t history_blocks_max = 1'000'000'000'000;

std::optional<uint64_t> history_number(std::string_view text) {
    uint64_t v = 0;
    const auto r = std::from_chars(text.data(), text.data() + text.size(), v);
    const bool whole = r.ec == std::errc{} && r.ptr == text.data() + text.size();
    return whole && v <= history_blocks_max ? std::optional{v} : std::nullopt;
}

template <class T>
Setting number(std::string key, std::string help, T& target, T min, T max) {
    Setting s;
    s.key = std::move(key);
    s.help = std::move(help);
    s.set = [&target, min, max](const std::string& text) -> Result<void> {
        T v{};
        const auto r = std::from_chars(text.data(), text.data() + text.size(), v);
        if (r.ec != std::errc{} || r.ptr != text.data() + text.size()) {
            return fail(ErrorCode::config, "expected a number, got \"" + text + "\"");
        }
        if (v < min || v > max) {
            return fail(ErrorCode::config, "expected a number from " + std::to_string(min) +
                                               " to " + std::to_string(max) + ", got " + text);
        }
        target = v;
        return {};
    };
    s.get = [&target] { return std::to_string(target); };
    return s;
}

Setting text(std::string key, std::string help, std::string& target) {
    Setting s;
    s.key = std::move(key);
    s.help = std::move(help);
    s.set = [&target](const std::string& v) -> Result<void> {
        target = v;
        return {};
    };
    s.get = [&target] { return '"' + target + '"'; };
    return s;
}

Setting choice(std::string key, std::string help, std::string& target,
               std::vector<std::string> choices) {
    Setting s = text(std::move(key), std::move(help), target);
    s.set = [&target, choices = std::move(choices)](const std::string& v) -> Result<void> {
        for (const std::string& c : choices) {
            if (c == v) {
                target = v;
                return {};
            }
        }
        std::string list;
        for (const std::string& c : choices) { list += (list.empty() ? "" : ", ") + c; }
        return fail(ErrorCode::config, "expected one of " + list + "; got \"" + v + "\"");
    };
    return s;
}

/// A number, "all" or "auto".
Setting history(std::string key, std::string help, std::string& target) {
    Setting s = text(std::move(key), std::move(help), target);
    s.set = [&target](const std::string& v) -> Result<void> {
        if (v != "all" && v != "auto" && !history_number(v)) {
            return fail(ErrorCode::config, "expected a number of blocks up to " +
                                               std::to_string(history_blocks_max) +
                                               ", all or auto; got \"" + v + "\"");
        }
        target = v;
        return {};
    };
    return s;
}

Setting flag(std::string key, std::string help, bool& target) {
    Setting s;
    s.key = std::move(key);
    s.help = std::move(help);
    s.is_flag = true;
    s.set = [&target](const std::string& v) -> Result<void> {
        if (v != "true" && v != "false" && v != "1" && v != "0") {
            return fail(ErrorCode::config, "expected true or false, got \"" + v + "\"");
        }
        target = v == "true" || v == "1";
        return {};
    };
    s.get = [&target] { return target ? "true" : "false"; };
    return s;
}

std::string_view to_string(Origin o) {
    switch (o) {
        case Origin::default_value: return "default";
        case Origin::file: return "file";
        case Origin::environment: return "environment";
        case Origin::flag: return "flag";
    }
    return "";
}

}  // namespace

Result<uint64_t> history_blocks_of(const Settings& s, std::string_view commitment) {
    if (s.history != "auto" && !commitment.starts_with("qmdb")) {
        return fail(ErrorCode::config,
                    "--history is for the commitment qmdb; with " + std::string(commitment) +
                        " the states after the last --history-records log records can be read");
    }
    if (s.history == "all") { return ~uint64_t{0}; }
    if (const auto number = history_number(s.history)) { return *number; }
    // A development chain goes back as far as its memory reaches.
    return s.dev ? s.history_records : history_blocks_default;
}

SettingTable::SettingTable(Settings& s) {
    settings_ = {
        flag("dev",
             "Development node: chain 31337, funded accounts, dev methods; no data directory means "
             "a temporary one",
             s.dev),
        text("datadir", "Data directory", s.datadir),
        text("genesis", "Genesis file in geth's format (not with --dev)", s.genesis),
        choice("commitment",
               "What makes state roots, fixed by the genesis: qmdb (the state engine), mpt "
               "(Ethereum's tries, in memory) or memory (for tests); auto: that of the data "
               "directory, qmdb for a new one",
               s.commitment, {"auto", "qmdb", "mpt", "memory"}),
        choice("state-hash",
               "Hash of the state engine's tree, fixed by the genesis: keccak256, sha256 or "
               "blake3; auto: that of the data directory, keccak256 for a new one",
               s.state_hash, {"auto", "keccak256", "sha256", "blake3"}),
        choice("durability",
               "fsync: a receipt survives power loss; async: it survives the process only",
               s.durability, {"fsync", "async"}),
        number<int64_t>("mini-block-ms", "Mini-block period in milliseconds", s.mini_block_ms, 1,
                        1000),
        number<int64_t>("block-ms", "EVM block period in milliseconds", s.block_ms, 10, 600'000),
        history("history",
                "Blocks whose states stay on the disk, to be read, proven and gone back to, where "
                "the commitment is qmdb: a number, or all; auto: 1024, with --dev as many as "
                "history-records",
                s.history),
        number<uint64_t>("history-proof-mib",
                         "Most of the state log in MiB that a proof at an old block may go back "
                         "over; it takes a worker about a second for each GiB",
                         s.past_proof_mib, 1, uint64_t{1} << 20),
        number<uint64_t>("history-records",
                         "How many past log records stay readable as state; what they changed is "
                         "kept in memory, about 100 bytes for each account or slot",
                         s.history_records, 1, 1'000'000'000),
        number<uint64_t>("disk.reserve-mib",
                         "No transactions are taken while the data directory's disk has less room "
                         "than this; 0: until it is full",
                         s.disk_reserve_mib, 0, uint64_t{1} << 30),
        number<uint64_t>("memory.state-mib",
                         "No transactions are taken while the state engine keeps more in memory "
                         "than this: index, tree and what snapshots need, about 10 bytes a key; "
                         "0: no limit",
                         s.memory_state_mib, 0, uint64_t{1} << 30),
        choice("disk.compact",
               "Rewrites old files of the state engine, beside the node's work, without what ended "
               "before the blocks whose states stay (history)",
               s.disk_compact, {"on", "off"}),
        number<uint64_t>("disk.scrub-mib-per-s",
                         "Old files of the state engine are read so fast, once a day, to find "
                         "damage on the disk: the node stops and names the file; 0: never",
                         s.disk_scrub_mib_per_s, 0, 1'000'000),
        flag("http", "Answer JSON-RPC over HTTP", s.http),
        flag("ws", "Answer JSON-RPC over WebSocket, on the same port", s.ws),
        text("http.addr", "Address to listen on; anything but loopback opens the node to others",
             s.http_address),
        number<uint16_t>("http.port", "Port for HTTP and WebSocket; 0 picks a free one",
                         s.http_port, 0, 65535),
        text("http.corsdomain", "Origins that browsers may call from, separated by commas",
             s.cors_domains),
        text("http.vhosts", "Host names that requests may use, separated by commas; * for all",
             s.vhosts),
        text("ws.origins", "Origins of WebSocket connections, separated by commas; * for all",
             s.ws_origins),
        number<unsigned>("rpc.workers", "Threads for calls that read the chain or run code",
                         s.rpc_workers, 1, 1024),
        number<uint64_t>(
            "rpc.gascap",
            "Most gas of an eth_call or eth_estimateGas; it holds a worker as long as it runs",
            s.rpc_gas_cap, 21'000, uint64_t{1} << 62),
        number<uint64_t>("rpc.connections", "Most connections at a time", s.rpc_connections_max, 1,
                         1'000'000),
        flag("rpc.allow-unprotected-txs",
             "Take transactions without replay protection (always with --dev)",
             s.allow_unprotected),
        number<uint64_t>("txpool.transactions", "Most transactions in the pool",
                         s.pool_transactions_max, 1, 100'000'000),
        number<uint64_t>("txpool.bytes", "Most bytes in the pool", s.pool_bytes_max, 1 << 20,
                         uint64_t{1} << 44),
        number<unsigned>("execution.workers",
                         "Threads that execute transactions at the same time, the sequencer's own "
                         "among them; 0: as many as there are CPUs, up to 16",
                         s.execution_workers, 0, 256),
        choice("jit",
               "Compiled contracts: off; on: those that have used much gas, compiled in the "
               "background; eager: all, before they run (for tests)",
               s.jit, {"off", "on", "eager"}),
        number<uint64_t>("jit.shadow-runs",
                         "Runs of a contract's compiled code that the interpreter repeats and "
                         "compares before the code is trusted",
                         s.jit_shadow_runs, 0, 1'000'000),
        number<uint64_t>("jit.cache-mib",
                         "Most room for compiled contracts in the data directory; 0: none are kept",
                         s.jit_cache_mib, 0, uint64_t{1} << 30),
        choice("cuda", "CUDA device: auto, off, or on (start fails without one)", s.cuda,
               {"auto", "off", "on"}),
        number<unsigned>("offload.workers",
                         "Threads for batched hashing and recovery; 0: one per CPU",
                         s.offload_workers, 0, 4096),
        number<uint64_t>("offload.recheck",
                         "One of this many results of a CUDA device is computed again on the CPU; "
                         "1: all",
                         s.offload_recheck, 1, 1'000'000),
        text("offload.cost-file",
             "File that keeps the measured costs of CPU and CUDA device; none: measured at each "
             "start, in less than 300 ms",
             s.offload_cost_file),
        choice("log.level", "Least severe lines shown: trace, debug, info, warn, error, off",
               s.log_level, {"trace", "debug", "info", "warn", "error", "off"}),
        choice("log.format", "terminal, logfmt or json", s.log_format,
               {"terminal", "logfmt", "json"}),
    };
    for (Setting& x : settings_) { x.environment = environment_name(x.key); }
}

void SettingTable::add_flags(CLI::App& app) {
    app.add_option("--config", config_file_, "TOML file with any of these settings");
    for (Setting& s : settings_) {
        const std::string name = "--" + s.key;
        if (s.is_flag) {
            app.add_flag_callback(
                name,
                [&s] {
                    s.flag_given = true;
                    s.flag_text = "true";
                },
                s.help);
            if (s.get() == "true") {
                app.add_flag_callback(
                    "--no-" + s.key,
                    [&s] {
                        s.flag_given = true;
                        s.flag_text = "false";
                    },
                    "Turn --" + s.key + " off");
            }
        } else {
            const std::string shown = s.get();
            auto* o = app.add_option_function<std::string>(
                name,
                [&s](const std::string& v) {
                    s.flag_given = true;
                    s.flag_text = v;
                },
                s.help + (shown == "\"\"" ? "" : " [" + shown + "]"));
            o->type_name("VALUE");
        }
    }
}

Setting* SettingTable::find(std::string_view key) {
    for (Setting& s : settings_) {
        if (s.key == key) { return &s; }
    }
    return nullptr;
}

Result<void> SettingTable::read_file(const std::string& path) {
    toml::table table;
    try {
        table = toml::parse_file(path);
    } catch (const toml::parse_error& e) {
        const auto& at = e.source().begin;
        return fail(ErrorCode::config, path + ":" + std::to_string(at.line) + ":" +
                                           std::to_string(at.column) + ": " +
                                           std::string(e.description()));
    }
    std::function<Result<void>(const toml::table&, const std::string&)> walk =
        [&](const toml::table& t, const std::string& prefix) -> Result<void> {
        for (const auto& [k, node] : t) {
            const std::string key = prefix + std::string(k.str());
            const auto& at = node.source().begin;
            const std::string place =
                path + ":" + std::to_string(at.line) + ":" + std::to_string(at.column) + ": ";
            if (const auto* sub = node.as_table()) {
                MILLRACE_CHECK(walk(*sub, key + "."));
                continue;
            }
            Setting* s = find(key);
            if (s == nullptr) {
                return fail(ErrorCode::config, place + "unknown key \"" + key + "\"");
            }
            std::string value;
            if (const auto* v = node.as_string()) {
                value = v->get();
            } else if (const auto* i = node.as_integer()) {
                value = std::to_string(i->get());
            } else if (const auto* b = node.as_boolean()) {
                value = b->get() ? "true" : "false";
            } else {
                return fail(ErrorCode::config,
                            place + "\"" + key + "\" must be text, a whole number, true or false");
            }
            if (s->origin != Origin::default_value) { continue; }
            if (auto r = s->set(value); !r) {
                return fail(ErrorCode::config, place + key + ": " + r.error().message);
            }
            s->origin = Origin::file;
        }
        return {};
    };
    return walk(table, "");
}

Result<void> SettingTable::resolve() {
    for (Setting& s : settings_) {
        if (s.flag_given) {
            if (auto r = s.set(s.flag_text); !r) {
                return fail(ErrorCode::invalid_input, "--" + s.key + ": " + r.error().message);
            }
            s.origin = Origin::flag;
        } else if (const char* v = std::getenv(s.environment.c_str())) {
            if (auto r = s.set(v); !r) {
                return fail(ErrorCode::config, s.environment + ": " + r.error().message);
            }
            s.origin = Origin::environment;
        }
    }
    if (config_file_.empty()) { return {}; }
    return read_file(config_file_);
}

std::string SettingTable::show(bool with_origin) const {
    std::string out;
    for (const Setting& s : settings_) {
        out += s.key + " = " + s.get();
        if (with_origin) { out += "  # " + std::string(to_string(s.origin)); }
        out += '\n';
    }
    return out;
}

}  // namespace millrace::node
