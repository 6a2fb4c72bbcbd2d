// SPDX-License-Identifier: Apache-2.0
// Owns the parallel replay of a mini-block from what the sequencer ships with it.
#pragma once

#include <expected>
#include <memory>
#include <span>
#include <vector>

#include "evm/core/message.hpp"
#include "evm/core/precompile_set.hpp"
#include "evm/core/rules.hpp"
#include "evm/tx/receipt.hpp"
#include "host/validator/pre_state.hpp"
#include "host/validator/replay_fault.hpp"
#include "net/sync/mini_block_access.hpp"
#include "storage/state/state_delta.hpp"

namespace millrace::validator {

/// A transaction with what was recovered from its signatures.
struct ReplayTransaction {
    const evm::Transaction* transaction = nullptr;
    Hash256 hash;
    Address sender;
    /// As in evm::TransactionContext.
    std::span<const std::optional<Address>> authorities = {};
};

/// Where the mini-block stands, by the caller's own knowledge of the chain.
struct ReplayBlock {
    evm::Rules rules;
    evm::BlockEnvironment environment;
    uint64_t mini_block_number = 0;
    uint64_t first_transaction_index = 0;
    uint64_t gas_used_before = 0;
};

/// How the transactions of a mini-block run at the same time.
enum class ReplayWay : uint8_t {
    /// A transaction runs when those that it depends on are done, on the values that they computed.
    /// The claimed post-values are only compared.
    by_dependencies,
    /// All run at once, each on the claimed values of those before it.
    by_values,
};

struct Replayed {
    std::vector<evm::Receipt> receipts;
    /// Net post-values, as the log has them: every cell that changed, even if it changed back, and
    /// all code that was set (of which the log names each only once in a block).
    storage::StateDelta post_values;
    uint64_t gas_used = 0;
};

struct ReplayOptions {
    uint32_t thread_count = 1;  ///< with the caller's own; at least 1
};

/// Runs mini-blocks again and compares everything that is claimed of them. What is accepted has the
/// post-state, gas and receipts of the serial execution, however dishonest the access list: each
/// transaction's reads are served by values that are compared with what their writer computes, so
/// by induction over the order every value is the true one.
///
/// Keeps threads, their memory and analysed code from one mini-block to the next. One thread at a
/// time may call it.
class Replayer {
public:
    /// `precompiles` outlive the replayer.
    Replayer(const ReplayOptions& options, const evm::PrecompileSet& precompiles);
    ~Replayer();
    Replayer(const Replayer&) = delete;
    Replayer& operator=(const Replayer&) = delete;

    /// The outcome, or why the mini-block is refused. The arguments are only used during the call.
    std::expected<Replayed, ReplayFault> replay(ReplayWay way, const ReplayBlock& block,
                                                std::span<const ReplayTransaction> transactions,
                                                const sync::MiniBlockAccess& access,
                                                const PreState& pre_state);

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// The environment of `block` in the form of the access header.
sync::AccessEnvironment access_environment(const evm::BlockEnvironment& block) noexcept;

/// As the log keeps it (evm/tx/receipts_digest.hpp).
Hash256 receipts_digest(std::span<const evm::Receipt> receipts);

}  // namespace millrace::validator
