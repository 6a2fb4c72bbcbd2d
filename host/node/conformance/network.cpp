// SPDX-License-Identifier: Apache-2.0
// Owns the reading of network names and chain configurations of fixtures.
#include "host/node/conformance/network.hpp"

#include <charconv>
#include <limits>

#include "host/base/hex.hpp"
#include "host/node/json.hpp"

namespace millrace::node {
namespace {

struct Activation {
    std::optional<uint64_t> block;
    std::optional<uint64_t> time_s;
    std::optional<U256> total_difficulty;
};

/// "5", "Time15k", "DiffC0000".
std::optional<Activation> read_activation(std::string_view text) {
    auto number = [](std::string_view digits) -> std::optional<uint64_t> {
        const bool thousands = digits.ends_with('k');
        if (thousands) { digits.remove_suffix(1); }
        uint64_t v = 0;
        const char* end = digits.data() + digits.size();
        const auto [at, ec] = std::from_chars(digits.data(), end, v);
        if (ec != std::errc{} || at != end) { return std::nullopt; }
        if (thousands && v > std::numeric_limits<uint64_t>::max() / 1000) { return std::nullopt; }
        return thousands ? v * 1000 : v;
    };
    Activation a;
    if (text.starts_with("Time")) {
        a.time_s = number(text.substr(4));
        return a.time_s ? std::optional(a) : std::nullopt;
    }
    if (text.starts_with("Diff")) {
        const auto v = u256_from_text("0x" + std::string(text.substr(4)));
        if (!v) { return std::nullopt; }
        a.total_difficulty = *v;
        return a;
    }
    a.block = number(text);
    return a.block ? std::optional(a) : std::nullopt;
}

/// Names that are no forks of the EVM but belong to one: they move the difficulty bomb.
struct Glacier {
    std::string_view name;
    uint64_t bomb_delay_blocks;
};
constexpr Glacier glaciers[] = {{"MuirGlacier", 9'000'000},    // EIP-2384
                                {"ArrowGlacier", 10'700'000},  // EIP-4345
                                {"GrayGlacier", 11'400'000}};  // EIP-5133

/// The fork of the EVM that the name stands for. The DAO fork (EIP-779) moved balances only.
std::optional<evm::Revision> revision_of(std::string_view name) {
    if (name == "Dao" || name == "DAO") { return evm::Revision::homestead; }
    return evm::revision_from_text(name);
}

/// Adds what `name` means besides its fork of the EVM, from `block` on.
void add_extras(evm::ChainSpec& spec, std::string_view name, uint64_t block) {
    if (name == "Dao" || name == "DAO") { spec.dao_fork_block = block; }
    for (const Glacier& g : glaciers) {
        if (g.name == name) { spec.bomb_delays.push_back({block, g.bomb_delay_blocks}); }
    }
}

struct Transition {
    std::string from;
    std::string to;
    Activation at;
};

std::optional<Transition> read_transition(const std::string& name) {
    const size_t at = name.rfind("At");
    if (at == std::string::npos) { return std::nullopt; }
    const auto activation = read_activation(std::string_view(name).substr(at + 2));
    if (!activation) { return std::nullopt; }
    for (size_t to = name.find("To"); to != std::string::npos && to < at;
         to = name.find("To", to + 1)) {
        const std::string first = name.substr(0, to);
        const std::string second = name.substr(to + 2, at - to - 2);
        if (revision_of(first) && revision_of(second)) {
            return Transition{first, second, *activation};
        }
    }
    return std::nullopt;
}

}  // namespace

evm::Rules Network::rules_at(uint64_t number, uint64_t timestamp_s,
                             const U256& parent_total_difficulty) const noexcept {
    if (terminal_total_difficulty && parent_total_difficulty >= *terminal_total_difficulty) {
        return evm::ethereum_rules(after_terminal, spec.rules.chain_id);
    }
    return spec.rules_at(number, timestamp_s);
}

Result<uint64_t> read_chain_id(const boost::json::value* config) {
    const auto* id = config == nullptr ? nullptr : find(*config, "chainid");
    if (id == nullptr) { return 1; }
    return json_u64(*id, "config.chainid");
}

Result<evm::BlobSchedule> read_blob_schedule(const std::string& fork,
                                             const boost::json::value* config) {
    const auto revision = revision_of(fork);
    if (!revision) { return fail(ErrorCode::invalid_input, "unknown fork '" + fork + "'"); }
    evm::BlobSchedule s = evm::ethereum_rules(*revision).blob;
    const auto* schedules = config == nullptr ? nullptr : find(*config, "blobSchedule");
    const auto* entry = schedules == nullptr ? nullptr : find(*schedules, fork);
    const std::string where = "config.blobSchedule." + fork;
    if (entry == nullptr) {
        if (fork.starts_with("BPO")) {
            return fail(ErrorCode::invalid_input, where + " is missing");
        }
        return s;
    }
    auto number = [&](const char* key, uint64_t& out) -> Result<void> {
        const auto* v = find(*entry, key);
        if (v == nullptr) {
            return fail(ErrorCode::invalid_input, where + "." + key + " is missing");
        }
        MILLRACE_TRY(out, json_u64(*v, where + "." + key));
        return {};
    };
    MILLRACE_CHECK(number("target", s.target));
    MILLRACE_CHECK(number("max", s.max));
    MILLRACE_CHECK(number("baseFeeUpdateFraction", s.base_fee_update_fraction));
    // Bounds that keep blob gas within 64 bits; no chain comes near.
    constexpr uint64_t blobs_max = 1u << 20;
    if (s.max == 0 || s.max > blobs_max || s.target > s.max || s.base_fee_update_fraction == 0) {
        return fail(ErrorCode::invalid_input,
                    where + ": target, max and baseFeeUpdateFraction do not make a schedule");
    }
    return s;
}

Result<Network> read_network(const std::string& name, const boost::json::value* config) {
    Network n;
    n.spec.rule_set = evm::RuleSet::ethereum;
    MILLRACE_TRY(n.spec.rules.chain_id, read_chain_id(config));
    if (const auto revision = revision_of(name)) {
        n.spec.forks = {{*revision, 0, std::nullopt}};
        MILLRACE_TRY(const evm::BlobSchedule schedule, read_blob_schedule(name, config));
        n.spec.blob_schedules = {{0, schedule}};
        add_extras(n.spec, name, 0);
        return n;
    }
    const auto t = read_transition(name);
    if (!t) { return fail(ErrorCode::invalid_input, "unknown network '" + name + "'"); }
    const evm::Revision to = *revision_of(t->to);
    n.spec.forks = {{*revision_of(t->from), 0, std::nullopt}};
    add_extras(n.spec, t->from, 0);
    if (t->at.block) { add_extras(n.spec, t->to, *t->at.block); }
    if (t->at.total_difficulty) {
        n.terminal_total_difficulty = t->at.total_difficulty;
        n.after_terminal = to;
        return n;
    }
    n.spec.forks.push_back({to, t->at.block, t->at.time_s});
    MILLRACE_TRY(const evm::BlobSchedule first, read_blob_schedule(t->from, config));
    MILLRACE_TRY(const evm::BlobSchedule second, read_blob_schedule(t->to, config));
    n.spec.blob_schedules = {{0, first}};
    if (t->at.time_s) { n.spec.blob_schedules.push_back({*t->at.time_s, second}); }
    return n;
}

}  // namespace millrace::node
