// SPDX-License-Identifier: Apache-2.0
// Owns the reading, running and comparing of main network blocks.
#include "host/node/conformance/mainnet_block.hpp"

#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "evm/precompiles/standard.hpp"
#include "host/base/hex.hpp"
#include "host/node/conformance/fixture.hpp"
#include "host/node/json.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::node {
namespace {

namespace json = boost::json;
using Clock = std::chrono::steady_clock;

/// No block file comes near; a damaged one must not ask for all memory.
constexpr unsigned long long unpacked_bytes_max = 1ull << 30;

Result<json::value> read_block_file(const std::string& path) {
    if (!path.ends_with(".zst")) { return read_json_file(path); }
    MILLRACE_TRY(const std::string packed, read_file(path));
    const unsigned long long size = ZSTD_getFrameContentSize(packed.data(), packed.size());
    if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN ||
        size > unpacked_bytes_max) {
        return fail(ErrorCode::invalid_input, path + ": not a zstd frame of a known, sane size");
    }
    std::string text(size, '\0');
    const size_t n = ZSTD_decompress(text.data(), text.size(), packed.data(), packed.size());
    if (ZSTD_isError(n) != 0 || n != size) {
        return fail(ErrorCode::invalid_input, path + ": damaged zstd frame");
    }
    return parse_json(text, path);
}

Result<void> read_pre(const json::value& document, evm::StateOverlay& pre) {
    MILLRACE_TRY(const auto* accounts, member(document, "pre", ""));
    MILLRACE_TRY(const auto* codes, member(document, "code", ""));
    MILLRACE_CHECK(load_accounts(*accounts, pre));
    for (const auto& [key, account] : accounts->get_object()) {
        const auto* hash_value = find(account, "codeHash");
        if (hash_value == nullptr || hash_value->is_null()) { continue; }
        const std::string where = "pre." + std::string(key.data(), key.size()) + ".codeHash";
        MILLRACE_TRY(const Hash256 hash, json_hash(*hash_value, where));
        if (hash == evm::empty_code_hash) { continue; }
        MILLRACE_TRY(const auto* code_value, member(*codes, to_hex(hash), "code"));
        MILLRACE_TRY(const Bytes code, json_bytes(*code_value, "code." + to_hex(hash)));
        if (kernels::keccak256(code) != hash) {
            return fail(ErrorCode::invalid_input, "code." + to_hex(hash) + ": has another hash");
        }
        MILLRACE_TRY(const Address address, address_from_hex({key.data(), key.size()}));
        pre.set_code(address, code);
    }
    if (const auto* hashes = find(document, "blockHashes"); hashes != nullptr) {
        if (!hashes->is_object()) {
            return fail(ErrorCode::invalid_input, "blockHashes: expected an object");
        }
        for (const auto& [number, value] : hashes->get_object()) {
            const std::string text(number.data(), number.size());
            MILLRACE_TRY(const U256 n, u256_from_text(text));
            MILLRACE_TRY(const Hash256 hash, json_hash(value, "blockHashes." + text));
            pre.set_block_hash(n.low64(), hash);
        }
    }
    return {};
}

Result<void> read_transactions(const json::value& document, evm::Block& block) {
    MILLRACE_TRY(const auto* list, member(document, "transactions", ""));
    if (!list->is_array()) {
        return fail(ErrorCode::invalid_input, "transactions: expected a list");
    }
    for (const json::value& item : list->get_array()) {
        const std::string where = "transactions[" + std::to_string(block.transactions.size()) + "]";
        MILLRACE_TRY(const auto* raw_value, member(item, "raw", where));
        MILLRACE_TRY(const Bytes raw, json_bytes(*raw_value, where + ".raw"));
        auto tx = evm::decode_transaction(raw);
        if (!tx) { return fail(ErrorCode::invalid_input, where + ".raw: " + tx.error().message); }
        block.transactions.push_back(*std::move(tx));
    }
    return {};
}

Result<void> read_body(const json::value& document, evm::Block& block) {
    MILLRACE_CHECK(read_transactions(document, block));
    const auto* withdrawals = find(document, "withdrawals");
    if (withdrawals == nullptr || !withdrawals->is_array()) { return {}; }
    auto& out = block.withdrawals.emplace();
    for (const json::value& item : withdrawals->get_array()) {
        const std::string where = "withdrawals[" + std::to_string(out.size()) + "]";
        evm::Withdrawal& w = out.emplace_back();
        MILLRACE_TRY(const auto* index, member(item, "index", where));
        MILLRACE_TRY(w.index, json_u64(*index, where + ".index"));
        MILLRACE_TRY(const auto* validator, member(item, "validatorIndex", where));
        MILLRACE_TRY(w.validator_index, json_u64(*validator, where + ".validatorIndex"));
        MILLRACE_TRY(const auto* address, member(item, "address", where));
        MILLRACE_TRY(w.address, json_address(*address, where + ".address"));
        MILLRACE_TRY(const auto* amount, member(item, "amount", where));
        MILLRACE_TRY(w.amount_gwei, json_u64(*amount, where + ".amount"));
    }
    return {};
}

/// Fills `out`, and in `result` what identifies the block.
Result<void> read_case(const json::value& document, MainnetBlock& out, MainnetBlockResult& result) {
    MILLRACE_TRY(const auto* fork_value, member(document, "fork", ""));
    const auto* fork = fork_value->if_string();
    const auto revision =
        fork == nullptr ? std::nullopt : evm::revision_from_text({fork->data(), fork->size()});
    if (!revision) { return fail(ErrorCode::invalid_input, "fork: not the name of a fork"); }
    out.revision = *revision;
    result.fork = std::string(fork->data(), fork->size());
    if (const auto* id = find(document, "chainId")) {
        MILLRACE_TRY(out.chain_id, json_u64(*id, "chainId"));
    }
    MILLRACE_TRY(const auto* header_value, member(document, "header", ""));
    MILLRACE_TRY(out.block.header, read_header(*header_value, "header"));
    result.number = out.block.header.number;
    MILLRACE_CHECK(read_body(document, out.block));
    result.transactions = out.block.transactions.size();
    MILLRACE_CHECK(read_pre(document, out.pre));
    MILLRACE_TRY(const auto* hash_value, member(*header_value, "hash", "header"));
    MILLRACE_TRY(const Hash256 hash, json_hash(*hash_value, "header.hash"));
    if (const Hash256 got = evm::header_hash(out.block.header); got != hash) {
        return fail(ErrorCode::invalid_input,
                    "header: its hash is " + to_hex(got) + ", the file says " + to_hex(hash));
    }
    // As eth_getBlock does, the file names ommers only by their hashes: they cannot be checked, and
    // what they earn shows only in the state root, which cannot be checked either.
    out.block.header.ommers_hash = evm::empty_ommers_hash;
    out.signers = recover_signers(out.block, *revision >= evm::Revision::homestead);
    return {};
}

/// Runs the block `repeat` times over fresh overlays of its pre-state.
void run_case(MainnetBlock& c, const MainnetBlockOptions& options, evm::Workspace& workspace,
              MainnetBlockResult& result) {
    static const evm::StandardPrecompiles precompiles;
    const evm::Rules rules = evm::ethereum_rules(c.revision, c.chain_id);
    if (const auto f = evm::validate_body(c.block, 0, rules)) {
        result.failure = f->text();
        return;
    }
    std::vector<double> times;
    std::optional<evm::BlockResult> last;
    for (unsigned i = 0; i < options.repeat; ++i) {
        evm::StateOverlay state{&c.pre};
        const auto start = Clock::now();
        auto r = evm::execute_block(c.block, c.signers, state, {rules, precompiles, workspace});
        times.push_back(std::chrono::duration<double>(Clock::now() - start).count());
        if (!r) {
            result.failure = r.error().text();
            return;
        }
        last = *std::move(r);
    }
    std::sort(times.begin(), times.end());
    result.seconds_min = times.front();
    result.seconds_median = times[times.size() / 2];
    result.gas_used = last->gas_used;
    if (options.receipts) {
        for (const evm::Receipt& r : last->receipts) {
            result.cumulative_gas_used.push_back(r.cumulative_gas_used);
        }
    }
    // Before Byzantium a receipt holds a state root, which a partial state cannot give.
    result.receipts_root_checked = rules.at_least(evm::Revision::byzantium);
    const auto f =
        evm::check_result(c.block.header, *last, rules, precompiles, result.receipts_root_checked);
    if (f) { result.failure = f->text(); }
}

}  // namespace

Result<std::vector<std::string>> find_block_files(const std::string& path,
                                                  const std::string& filter) {
    std::vector<std::string> files;
    std::error_code ec;
    if (std::filesystem::is_directory(path, ec)) {
        for (std::filesystem::directory_iterator it(path, ec), end; !ec && it != end;
             it.increment(ec)) {
            const std::string name = it->path().filename().string();
            const bool is_block = name.ends_with(".json.zst") || name.ends_with(".json");
            if (is_block && name != "INDEX.json" && name.find(filter) != std::string::npos) {
                files.push_back(it->path().string());
            }
        }
    } else if (std::filesystem::exists(path, ec)) {
        files.push_back(path);
    }
    if (ec) { return fail(ErrorCode::io, "cannot read " + path + ": " + ec.message()); }
    if (files.empty()) {
        return fail(ErrorCode::not_found, "no block files (*.json, *.json.zst) at " + path);
    }
    std::sort(files.begin(), files.end());
    return files;
}

Result<MainnetBlock> read_mainnet_block(const std::string& path) {
    MILLRACE_TRY(const json::value document, read_block_file(path));
    MainnetBlock block;
    MainnetBlockResult identity;
    if (const auto read = read_case(document, block, identity); !read) {
        return fail(read.error().code, path + ": " + read.error().message);
    }
    return block;
}

Result<std::vector<MainnetBlockResult>> run_mainnet_blocks(const std::string& path,
                                                           const MainnetBlockOptions& options) {
    if (options.repeat == 0) { return fail(ErrorCode::invalid_input, "repeat must be at least 1"); }
    MILLRACE_TRY(const auto files, find_block_files(path, options.filter));
    std::vector<MainnetBlockResult> results;
    const bool terminal = ::isatty(STDERR_FILENO) == 1;
    auto last_line = Clock::now();
    const auto workspace = std::make_unique<evm::Workspace>();
    workspace->native_tier = options.native_tier;
    for (const std::string& file : files) {
        MainnetBlockResult& r = results.emplace_back();
        r.file = file;
        const auto document = read_block_file(file);
        if (!document) {
            r.failure = "malformed file: " + document.error().message;
        } else {
            MainnetBlock c;
            if (const auto read = read_case(*document, c, r); !read) {
                r.failure = "malformed file: " + read.error().message;
            } else {
                run_case(c, options, *workspace, r);
            }
        }
        if (!options.progress) { continue; }
        if (terminal) {
            std::fprintf(stderr, "\r\033[K%zu of %zu blocks", results.size(), files.size());
        } else if (Clock::now() - last_line >= std::chrono::seconds(8)) {
            last_line = Clock::now();
            std::fprintf(stderr, "%zu of %zu blocks\n", results.size(), files.size());
        }
    }
    if (options.progress && terminal) { std::fprintf(stderr, "\r\033[K"); }
    std::sort(results.begin(), results.end(), [](const auto& a, const auto& b) {
        return a.number != b.number ? a.number < b.number : a.file < b.file;
    });
    return results;
}

std::string mainnet_text(const std::vector<MainnetBlockResult>& results) {
    std::string out;
    char line[256];
    std::snprintf(line, sizeof line, "%10s %-18s %5s %10s %9s %8s  %s\n", "block", "fork", "txs",
                  "gas", "ms", "Mgas/s", "result");
    out += line;
    uint64_t gas = 0;
    double seconds = 0;
    size_t failed = 0;
    for (const MainnetBlockResult& r : results) {
        const double rate =
            r.seconds_median > 0 ? static_cast<double>(r.gas_used) / r.seconds_median / 1e6 : 0;
        std::snprintf(line, sizeof line, "%10llu %-18s %5llu %10llu %9.3f %8.0f  ",
                      static_cast<unsigned long long>(r.number), r.fork.c_str(),
                      static_cast<unsigned long long>(r.transactions),
                      static_cast<unsigned long long>(r.gas_used), r.seconds_median * 1e3, rate);
        out += line;
        if (!r.failure.empty()) {
            ++failed;
            out += "FAIL " + r.file + ": " + r.failure;
        } else {
            out += r.receipts_root_checked ? "ok" : "ok (gas and bloom; no receipts root)";
        }
        out += "\n";
        gas += r.gas_used;
        seconds += r.seconds_median;
    }
    const double rate = seconds > 0 ? static_cast<double>(gas) / seconds / 1e6 : 0;
    std::snprintf(line, sizeof line, "%zu of %zu blocks passed, %zu failed; %.1f ms, %.0f Mgas/s\n",
                  results.size() - failed, results.size(), failed, seconds * 1e3, rate);
    return out + line;
}

std::string mainnet_json(const std::vector<MainnetBlockResult>& results, const std::string& path,
                         const MainnetBlockOptions& options) {
    json::array blocks;
    size_t failed = 0;
    for (const MainnetBlockResult& r : results) {
        failed += r.failure.empty() ? 0 : 1;
        json::object o{{"file", r.file},
                       {"number", r.number},
                       {"fork", r.fork},
                       {"transactions", r.transactions},
                       {"gas_used", r.gas_used},
                       {"receipts_root_checked", r.receipts_root_checked},
                       {"seconds_median", r.seconds_median},
                       {"seconds_min", r.seconds_min},
                       {"passed", r.failure.empty()}};
        if (!r.failure.empty()) { o["failure"] = r.failure; }
        if (options.receipts) {
            json::array& list = o["cumulative_gas_used"].emplace_array();
            for (const uint64_t g : r.cumulative_gas_used) { list.push_back(g); }
        }
        blocks.push_back(std::move(o));
    }
    const json::object document{{"command", "evm block"},   {"path", path},
                                {"repeat", options.repeat}, {"passed", results.size() - failed},
                                {"failed", failed},         {"blocks", std::move(blocks)}};
    return json::serialize(document) + "\n";
}

}  // namespace millrace::node
