// SPDX-License-Identifier: Apache-2.0
// Owns how execution is checked and timed on its own, and what a profile must leave behind.
#include "host/node/benchmark/pipeline_stages.hpp"

#include <algorithm>
#include <bit>
#include <map>

#include "evm/precompiles/registry.hpp"
#include "host/base/hex.hpp"
#include "host/node/benchmark/pipeline_execution.hpp"
#include "host/sequencer/ledger/ledger.hpp"

namespace millrace::node {

PipelineBlock pipeline_block_of(const PipelineProfile& p) {
    sequencer::OpenBlock open;
    open.number = 1;
    open.timestamp_s = 1'700'000'000;
    open.parent_hash = p.genesis.hash;
    open.base_fee_per_gas = *p.genesis.header.base_fee_per_gas;
    open.gas_limit = p.genesis.block_gas_limit;
    open.coinbase = p.genesis.coinbase;
    PipelineBlock block{p.genesis.spec, p.genesis.state, open, p.transactions, {}};
    block.native_tier = p.native_tier;
    return block;
}

const evm::PrecompileSet& pipeline_precompiles() {
    static const evm::PrecompileRegistry registry;
    return registry;
}

uint64_t pipeline_segment_bytes(size_t transactions) noexcept {
    // A record may take half of a segment, and all of them may come to be in one.
    constexpr uint64_t bytes_each = 4096;
    constexpr uint64_t least = uint64_t{4} << 20;
    return std::clamp(std::bit_ceil(transactions * bytes_each), least,
                      sequencer::LedgerOptions{}.wal_segment_bytes);
}

Result<void> check_profile(const PipelineProfile& p,
                           std::span<const sequencer::ExecutedPtr> executed,
                           const storage::StateSnapshot& after) {
    if (executed.size() != p.transactions.size()) {
        return fail(ErrorCode::corrupt, std::to_string(executed.size()) + " of " +
                                            std::to_string(p.transactions.size()) +
                                            " transactions were executed");
    }
    std::map<Address, storage::Account> expected;
    for (const storage::AccountDelta& a : p.genesis.state.accounts) {
        expected[a.address] = {a.nonce, a.balance, a.code_hash, 0};
    }
    for (const auto& t : executed) {
        if (!t->receipt.success) {
            return fail(ErrorCode::corrupt, to_hex(t->admitted->hash) + " reverted");
        }
        const evm::Transaction& tx = t->admitted->transaction;
        storage::Account& from = expected[t->admitted->sender];
        ++from.nonce;
        from.balance -= tx.value + t->effective_gas_price * U256{t->gas_used};
        expected[*tx.to].balance += tx.value;
    }
    for (const auto& t : executed) {
        for (const Address& address : {t->admitted->sender, *t->admitted->transaction.to}) {
            const auto account = after.account(address);
            const storage::Account& want = expected[address];
            if (!account || account->nonce != want.nonce || account->balance != want.balance) {
                return fail(ErrorCode::corrupt, to_hex(address) + " has another nonce or balance "
                                                                  "than its transactions left it");
            }
        }
    }
    for (const storage::SlotDelta& s : p.expected_slots) {
        if (after.slot(s.address, s.key) != s.value) {
            return fail(ErrorCode::corrupt, "a balance of the token is wrong");
        }
    }
    return {};
}

std::vector<PipelineStage> execution_stages(std::shared_ptr<const PipelineProfile> profile,
                                            const std::vector<uint32_t>& workers) {
    std::vector<PipelineStage> stages;
    for (const uint32_t w : workers) {
        PipelineStage& s = stages.emplace_back();
        s.name = "execute";
        s.workers = w;
        s.transactions = profile->transactions.size();
        s.check = [profile, w]() -> Result<void> {
            const PipelineBlock block = pipeline_block_of(*profile);
            const PipelineExecution e = execute_block(block, pipeline_precompiles(), w);
            MILLRACE_TRY(const auto after, state_after(block, e));
            MILLRACE_CHECK(check_profile(*profile, e.closed.transactions, *after->snapshot()));
            return w == 0 ? Result<void>{} : check_execution(block, pipeline_precompiles(), e);
        };
        s.run = [profile, w]() -> Result<PipelineSample> {
            const PipelineExecution e =
                execute_block(pipeline_block_of(*profile), pipeline_precompiles(), w);
            const double n = static_cast<double>(profile->transactions.size());
            return PipelineSample{e.wall_us,
                                  e.cpu_us,
                                  {{"owner_cpu_us", e.owner_cpu_us / n},
                                   {"cut_cpu_us", e.cut_cpu_us / n},
                                   {"refused_commits", double(e.conflicts.refused())},
                                   {"alone", double(e.conflicts.alone)}}};
        };
    }
    return stages;
}

}  // namespace millrace::node
