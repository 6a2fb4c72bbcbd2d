// SPDX-License-Identifier: Apache-2.0
// Owns how real blocks are executed by the sequencer's parts, checked and timed.
#include <algorithm>

#include "host/node/benchmark/pipeline_execution.hpp"
#include "host/node/benchmark/pipeline_stages.hpp"
#include "host/node/conformance/mainnet_block.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::node {
namespace {

using sequencer::AdmittedPtr;

/// A block in the sequencer's terms.
struct Loaded {
    uint64_t number = 0;
    uint64_t gas_used = 0;  ///< as its header says
    evm::ChainSpec spec;
    storage::StateDelta state;
    sequencer::OpenBlock open;
    std::vector<AdmittedPtr> transactions;
    std::vector<std::pair<uint64_t, Hash256>> block_hashes;

    PipelineBlock block() const { return {spec, state, open, transactions, block_hashes}; }
};

storage::StateDelta state_of(const evm::StateOverlay& pre) {
    storage::StateDelta state;
    for (const auto& [address, account] : pre.accounts()) {
        if (!account.exists) { continue; }
        storage::AccountDelta& a = state.accounts.emplace_back();
        a.address = address;
        a.nonce = account.nonce.value_or(0);
        a.balance = account.balance.value_or(U256{});
        a.code_hash = account.code_hash.value_or(evm::empty_code_hash);
        for (const auto& [key, value] : account.storage) {
            if (!value.is_zero()) { state.slots.push_back({address, key, value}); }
        }
    }
    for (const auto& [hash, code] : pre.codes()) { state.codes.push_back({hash, code}); }
    state.sort();
    return state;
}

Result<Loaded> load(const std::string& path) {
    MILLRACE_TRY(MainnetBlock from, read_mainnet_block(path));
    const evm::BlockHeader& h = from.block.header;
    Loaded to;
    to.number = h.number;
    to.gas_used = h.gas_used;
    to.spec.rule_set = evm::RuleSet::ethereum;
    to.spec.rules = evm::ethereum_rules(from.revision, from.chain_id);
    to.spec.forks = {{from.revision, 0, std::nullopt}};
    to.state = state_of(from.pre);
    // Whether a store takes it is the file's doing, not ours.
    if (const auto r = storage::make_memory_state_store()->apply(1, to.state); !r) {
        return fail(ErrorCode::invalid_input, path + ": pre: " + r.error().message);
    }
    to.open.number = h.number;
    to.open.timestamp_s = h.timestamp;
    to.open.parent_hash = h.parent_hash;
    to.open.base_fee_per_gas = h.base_fee_per_gas.value_or(U256{});
    to.open.gas_limit = h.gas_limit;
    to.open.coinbase = h.coinbase;
    to.open.prev_randao = h.prev_randao;
    to.open.parent_beacon_block_root = h.parent_beacon_block_root.value_or(Hash256{});
    constexpr uint64_t ancestors = 256;
    for (uint64_t n = h.number - std::min(h.number, ancestors); n < h.number; ++n) {
        const Hash256 hash = n + 1 == h.number ? h.parent_hash : from.pre.block_hash(n);
        if (hash != Hash256{}) { to.block_hashes.emplace_back(n, hash); }
    }
    for (size_t i = 0; i < from.block.transactions.size(); ++i) {
        if (!from.signers[i].sender) {
            return fail(ErrorCode::invalid_input, path + ": a transaction has no valid signature");
        }
        auto tx = std::make_shared<sequencer::AdmittedTransaction>();
        tx->transaction = std::move(from.block.transactions[i]);
        tx->raw = evm::encode_transaction(tx->transaction);
        tx->hash = kernels::keccak256(tx->raw);
        tx->sender = *from.signers[i].sender;
        tx->authorities = std::move(from.signers[i].authorities);
        to.transactions.push_back(std::move(tx));
    }
    return to;
}

struct Blocks {
    std::vector<Loaded> list;
    size_t transactions = 0;
    /// Wall time of each block without workers, in the newest run that there was.
    std::vector<double> serial_us;
};

/// A sequencer has no accounts that are empty (EIP-161), and no difficulty: of the blocks before
/// Paris those go in which a contract asks for it, as their gas shows.
bool can_execute(const Loaded& b) {
    const evm::Rules rules = b.spec.rules_at(b.number, b.open.timestamp_s);
    if (!rules.at_least(evm::Revision::spurious_dragon)) { return false; }
    if (rules.at_least(evm::Revision::paris)) { return true; }
    const PipelineExecution e = execute_block(b.block(), pipeline_precompiles(), 0);
    return e.closed.gas_used == b.gas_used;
}

Result<void> check(const Blocks& blocks, uint32_t workers) {
    for (const Loaded& b : blocks.list) {
        const PipelineBlock block = b.block();
        const PipelineExecution e = execute_block(block, pipeline_precompiles(), workers);
        const std::string name = "block " + std::to_string(b.number);
        if (workers != 0) {
            if (const auto r = check_execution(block, pipeline_precompiles(), e); !r) {
                return fail(r.error().code, name + ": " + r.error().message);
            }
        } else if (e.not_included != 0 || e.closed.gas_used != b.gas_used) {
            return fail(ErrorCode::corrupt, name + ": " + std::to_string(e.not_included) +
                                                " transactions were invalid; gas " +
                                                std::to_string(e.closed.gas_used) +
                                                ", its header says " + std::to_string(b.gas_used));
        }
    }
    return {};
}

PipelineSample run(Blocks& blocks, uint32_t workers) {
    PipelineSample s;
    PipelineConflicts conflicts;
    uint64_t gas = 0;
    uint64_t left_out = 0;
    std::vector<double> times_us;
    for (const Loaded& b : blocks.list) {
        const PipelineExecution e = execute_block(b.block(), pipeline_precompiles(), workers);
        s.wall_us += e.wall_us;
        s.cpu_us += e.cpu_us;
        times_us.push_back(e.wall_us);
        gas += e.closed.gas_used;
        left_out += e.not_included;
        conflicts.locked += e.conflicts.locked;
        conflicts.stale_read += e.conflicts.stale_read;
        conflicts.bound += e.conflicts.bound;
        conflicts.alone += e.conflicts.alone;
    }
    s.figures = {{"blocks", static_cast<double>(blocks.list.size())},
                 {"mgas_per_second", static_cast<double>(gas) / s.wall_us},
                 {"refused_commits", static_cast<double>(conflicts.refused())},
                 {"alone", static_cast<double>(conflicts.alone)},
                 {"left_out", static_cast<double>(left_out)}};
    if (workers == 0) {
        blocks.serial_us = times_us;
    } else if (blocks.serial_us.size() == times_us.size()) {
        for (size_t i = 0; i < times_us.size(); ++i) {
            times_us[i] = blocks.serial_us[i] / times_us[i];
        }
        std::ranges::sort(times_us);
        s.figures.emplace_back("speedup_min", times_us.front());
        s.figures.emplace_back("speedup_median", kernel_bench::nearest_rank(times_us, 0.5));
        s.figures.emplace_back("speedup_max", times_us.back());
    }
    return s;
}

}  // namespace

Result<std::vector<PipelineStage>> mainnet_stages(const std::string& path,
                                                  const std::vector<uint32_t>& workers) {
    MILLRACE_TRY(const auto files, find_block_files(path, ""));
    const auto blocks = std::make_shared<Blocks>();
    for (const std::string& file : files) {
        MILLRACE_TRY(Loaded b, load(file));
        if (b.transactions.empty() || !can_execute(b)) { continue; }
        blocks->transactions += b.transactions.size();
        blocks->list.push_back(std::move(b));
    }
    if (blocks->list.empty()) {
        return fail(ErrorCode::not_found, "no block at " + path +
                                              " is one that a sequencer can "
                                              "execute");
    }
    std::vector<PipelineStage> stages;
    for (const uint32_t w : workers) {
        stages.push_back({"execute", w, blocks->transactions,
                          [blocks, w] { return check(*blocks, w); },
                          [blocks, w]() -> Result<PipelineSample> { return run(*blocks, w); }});
    }
    return stages;
}

}  // namespace millrace::node
