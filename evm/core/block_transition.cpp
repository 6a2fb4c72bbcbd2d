// SPDX-License-Identifier: Apache-2.0
// Owns the rules by which a block is accepted, run and compared with its header.
#include "evm/core/block_transition.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "evm/trie/ordered_root.hpp"
#include "host/base/hex.hpp"
#include "host/base/rlp.hpp"

namespace millrace::evm {
namespace {

constexpr uint64_t blob_gas_per_blob = 1u << 17;
constexpr uint64_t gas_limit_min = 5000;
constexpr uint64_t gas_limit_max = (uint64_t{1} << 63) - 1;
constexpr uint64_t gas_limit_divisor = 1024;
constexpr size_t extra_data_bytes_max = 32;
constexpr std::string_view dao_extra_data = "dao-hard-fork";
constexpr size_t ommers_max = 2;
constexpr uint64_t ommer_generations_max = 6;
constexpr uint64_t difficulty_min = 131072;
constexpr uint64_t bomb_period_blocks = 100'000;

BlockFault fault(BlockError error, std::string detail = {}) {
    BlockFault f;
    f.error = error;
    f.detail = std::move(detail);
    return f;
}

BlockFault fault_at(BlockError error, size_t index, std::string detail) {
    BlockFault f = fault(error, std::move(detail));
    f.index = index;
    return f;
}

std::string text_of(uint64_t v) { return std::to_string(v); }
std::string text_of(const U256& v) { return to_decimal(v); }
template <size_t N>
std::string text_of(const FixedBytes<N>& v) {
    return to_hex(v);
}

/// "header says A, expected B".
template <class T>
BlockFault mismatch(BlockError error, const T& in_header, const T& expected) {
    return fault(error, "header says " + text_of(in_header) + ", expected " + text_of(expected));
}

/// A field that its fork added must be there from then on, and not before.
template <class T>
std::optional<BlockFault> check_presence(const std::optional<T>& field, Revision since,
                                         const Rules& rules, std::string_view name) {
    const bool wanted = rules.at_least(since);
    if (field.has_value() == wanted) { return std::nullopt; }
    return fault(wanted ? BlockError::field_missing : BlockError::field_not_allowed,
                 "header field '" + std::string(name) + "' in a block of " +
                     std::string(to_string(rules.revision)));
}

// --- Checks of a header after its parent ---

std::optional<BlockFault> check_fields(const BlockHeader& h, const BlockHeader&,
                                       const Rules& rules) {
    if (auto f = check_presence(h.base_fee_per_gas, Revision::london, rules, "base_fee_per_gas")) {
        return f;
    }
    if (auto f =
            check_presence(h.withdrawals_root, Revision::shanghai, rules, "withdrawals_root")) {
        return f;
    }
    if (auto f = check_presence(h.blob_gas_used, Revision::cancun, rules, "blob_gas_used")) {
        return f;
    }
    if (auto f = check_presence(h.excess_blob_gas, Revision::cancun, rules, "excess_blob_gas")) {
        return f;
    }
    if (auto f = check_presence(h.parent_beacon_block_root, Revision::cancun, rules,
                                "parent_beacon_block_root")) {
        return f;
    }
    return check_presence(h.requests_hash, Revision::prague, rules, "requests_hash");
}

std::optional<BlockFault> check_number(const BlockHeader& h, const BlockHeader& parent,
                                       const Rules&) {
    if (parent.number != std::numeric_limits<uint64_t>::max() && h.number == parent.number + 1) {
        return std::nullopt;
    }
    return fault(BlockError::number_invalid,
                 "number is " + text_of(h.number) + " after block " + text_of(parent.number));
}

std::optional<BlockFault> check_timestamp(const BlockHeader& h, const BlockHeader& parent,
                                          const Rules&) {
    if (h.timestamp > parent.timestamp) { return std::nullopt; }
    return fault(BlockError::timestamp_not_after_parent, "timestamp is " + text_of(h.timestamp) +
                                                             ", the parent's is " +
                                                             text_of(parent.timestamp));
}

std::optional<BlockFault> check_extra_data(const BlockHeader& h, const BlockHeader&,
                                           const Rules& rules) {
    if (h.extra_data.size() > extra_data_bytes_max) {
        return fault(BlockError::extra_data_too_long,
                     "extra data has " + text_of(uint64_t{h.extra_data.size()}) + " bytes");
    }
    if (rules.dao_fork != DaoFork::none &&
        !std::ranges::equal(h.extra_data, as_bytes(dao_extra_data))) {
        return fault(BlockError::extra_data_not_dao, "extra data is " + to_hex(h.extra_data) +
                                                         ", expected '" +
                                                         std::string(dao_extra_data) + "'");
    }
    return std::nullopt;
}

std::optional<BlockFault> check_gas_limit(const BlockHeader& h, const BlockHeader& parent,
                                          const Rules& rules) {
    // EIP-1559: the limit doubles with the elasticity at the fork.
    uint64_t before = parent.gas_limit;
    if (rules.at_least(Revision::london) && !parent.base_fee_per_gas) {
        before = before > gas_limit_max / rules.base_fee.elasticity_multiplier
                     ? gas_limit_max
                     : before * rules.base_fee.elasticity_multiplier;
    }
    if (h.gas_limit < gas_limit_min || h.gas_limit > gas_limit_max) {
        return fault(BlockError::gas_limit_out_of_range,
                     "gas limit is " + text_of(h.gas_limit) + ", allowed are " +
                         text_of(gas_limit_min) + " to " + text_of(gas_limit_max));
    }
    const uint64_t step = h.gas_limit > before ? h.gas_limit - before : before - h.gas_limit;
    if (step >= before / gas_limit_divisor) {
        return fault(BlockError::gas_limit_step_too_large,
                     "gas limit is " + text_of(h.gas_limit) + " after " + text_of(before) +
                         "; it may change by less than " + text_of(before / gas_limit_divisor));
    }
    return std::nullopt;
}

std::optional<BlockFault> check_gas_used(const BlockHeader& h, const BlockHeader&, const Rules&) {
    if (h.gas_used <= h.gas_limit) { return std::nullopt; }
    return fault(BlockError::gas_used_above_limit,
                 "gas used is " + text_of(h.gas_used) + ", gas limit " + text_of(h.gas_limit));
}

std::optional<BlockFault> check_base_fee(const BlockHeader& h, const BlockHeader& parent,
                                         const Rules& rules) {
    // Its absence is for check_fields to report.
    if (!rules.at_least(Revision::london) || !h.base_fee_per_gas) { return std::nullopt; }
    const U256 expected = parent.base_fee_per_gas
                              ? next_base_fee(rules.base_fee, *parent.base_fee_per_gas,
                                              parent.gas_used, parent.gas_limit)
                              : rules.base_fee.initial;
    if (*h.base_fee_per_gas == expected) { return std::nullopt; }
    return mismatch(BlockError::base_fee_mismatch, *h.base_fee_per_gas, expected);
}

std::optional<BlockFault> check_difficulty(const BlockHeader& h, const BlockHeader& parent,
                                           const Rules& rules) {
    if (!rules.at_least(Revision::paris)) {
        const U256 expected = next_difficulty(rules, parent, h.timestamp);
        if (h.difficulty == expected) { return std::nullopt; }
        return mismatch(BlockError::difficulty_mismatch, h.difficulty, expected);
    }
    if (h.difficulty.is_zero()) { return std::nullopt; }
    return fault(BlockError::difficulty_not_zero, "difficulty is " + text_of(h.difficulty));
}

/// EIP-3675: constants of a block without proof of work.
std::optional<BlockFault> check_nonce(const BlockHeader& h, const BlockHeader&,
                                      const Rules& rules) {
    if (!rules.at_least(Revision::paris) || h.nonce.is_zero()) { return std::nullopt; }
    return fault(BlockError::nonce_not_zero, "nonce is " + text_of(h.nonce));
}
std::optional<BlockFault> check_no_ommers(const BlockHeader& h, const BlockHeader&,
                                          const Rules& rules) {
    if (!rules.at_least(Revision::paris) || h.ommers_hash == empty_ommers_hash) {
        return std::nullopt;
    }
    return fault(BlockError::ommers_not_allowed, "ommers hash is " + text_of(h.ommers_hash));
}

std::optional<BlockFault> check_excess_blob_gas(const BlockHeader& h, const BlockHeader& parent,
                                                const Rules& rules) {
    if (!rules.at_least(Revision::cancun) || !h.excess_blob_gas) { return std::nullopt; }
    const uint64_t expected = next_excess_blob_gas(rules, parent);
    if (*h.excess_blob_gas == expected) { return std::nullopt; }
    return mismatch(BlockError::excess_blob_gas_mismatch, *h.excess_blob_gas, expected);
}

/// In the order in which a fault is looked for.
constexpr auto header_checks = std::to_array(
    {check_fields, check_number, check_timestamp, check_extra_data, check_gas_limit, check_gas_used,
     check_base_fee, check_difficulty, check_nonce, check_no_ommers, check_excess_blob_gas});

/// Transactions as they go into the trie.
Hash256 transactions_root(const std::vector<Transaction>& transactions) {
    std::vector<Bytes> items;
    items.reserve(transactions.size());
    for (const Transaction& tx : transactions) { items.push_back(encode_transaction(tx)); }
    return ordered_trie_root(items);
}

Hash256 withdrawals_root(const std::vector<Withdrawal>& withdrawals) {
    std::vector<Bytes> items;
    items.reserve(withdrawals.size());
    for (const Withdrawal& w : withdrawals) { items.push_back(encode_withdrawal(w)); }
    return ordered_trie_root(items);
}

// --- Checks of a body against its header ---

std::optional<BlockFault> check_size(const Block&, size_t encoded_bytes, const Rules& rules) {
    if (encoded_bytes <= rules.block_size_max) { return std::nullopt; }
    return fault(BlockError::block_too_large, text_of(uint64_t{encoded_bytes}) +
                                                  " bytes, at most " +
                                                  text_of(rules.block_size_max));
}

std::optional<BlockFault> check_ommers_allowed(const Block& block, size_t, const Rules& rules) {
    if (!rules.at_least(Revision::paris) || block.ommers.empty()) { return std::nullopt; }
    return fault(BlockError::ommers_not_allowed,
                 text_of(uint64_t{block.ommers.size()}) + " ommers");
}

std::optional<BlockFault> check_ommers_hash(const Block& block, size_t, const Rules&) {
    const Hash256 hash = ommers_hash(block.ommers);
    if (hash == block.header.ommers_hash) { return std::nullopt; }
    return mismatch(BlockError::ommers_hash_mismatch, block.header.ommers_hash, hash);
}

std::optional<BlockFault> check_transactions_root(const Block& block, size_t, const Rules&) {
    const Hash256 root = transactions_root(block.transactions);
    if (root == block.header.transactions_root) { return std::nullopt; }
    return mismatch(BlockError::transactions_root_mismatch, block.header.transactions_root, root);
}

std::optional<BlockFault> check_withdrawals(const Block& block, size_t, const Rules& rules) {
    if (!rules.at_least(Revision::shanghai)) {
        if (block.withdrawals) { return fault(BlockError::withdrawals_not_allowed); }
        return std::nullopt;
    }
    if (!block.withdrawals) { return fault(BlockError::withdrawals_missing); }
    const Hash256 root = withdrawals_root(*block.withdrawals);
    if (root == block.header.withdrawals_root) { return std::nullopt; }
    return mismatch(BlockError::withdrawals_root_mismatch,
                    block.header.withdrawals_root.value_or(Hash256{}), root);
}

constexpr auto body_checks = std::to_array({check_size, check_ommers_allowed, check_ommers_hash,
                                            check_transactions_root, check_withdrawals});

// --- Checks of the outcome against the header ---

std::optional<BlockFault> check_gas(const BlockHeader& h, const BlockResult& r, const Rules&,
                                    const PrecompileSet&) {
    if (h.gas_used == r.gas_used) { return std::nullopt; }
    return mismatch(BlockError::gas_used_mismatch, h.gas_used, r.gas_used);
}

std::optional<BlockFault> check_bloom(const BlockHeader& h, const BlockResult& r, const Rules&,
                                      const PrecompileSet&) {
    if (h.logs_bloom == r.logs_bloom) { return std::nullopt; }
    return mismatch(BlockError::logs_bloom_mismatch, h.logs_bloom, r.logs_bloom);
}

std::optional<BlockFault> check_receipts_root(const BlockHeader& h, const BlockResult& r,
                                              const Rules&, const PrecompileSet&) {
    const Hash256 root = receipts_root(r.receipts);
    if (root == h.receipts_root) { return std::nullopt; }
    return mismatch(BlockError::receipts_root_mismatch, h.receipts_root, root);
}

std::optional<BlockFault> check_blob_gas(const BlockHeader& h, const BlockResult& r,
                                         const Rules& rules, const PrecompileSet&) {
    if (!rules.at_least(Revision::cancun) || h.blob_gas_used == r.blob_gas_used) {
        return std::nullopt;
    }
    const uint64_t used = h.blob_gas_used.value_or(0);
    const bool above = used / blob_gas_per_blob > rules.blob.max;
    return mismatch(above ? BlockError::blob_gas_used_above_limit
                          : BlockError::blob_gas_used_mismatch,
                    used, r.blob_gas_used);
}

std::optional<BlockFault> check_requests(const BlockHeader& h, const BlockResult& r,
                                         const Rules& rules, const PrecompileSet& precompiles) {
    if (!rules.at_least(Revision::prague) || !rules.l1_requests) { return std::nullopt; }
    const Hash256 hash = requests_hash(r.requests, precompiles);
    if (h.requests_hash == hash) { return std::nullopt; }
    return mismatch(BlockError::requests_hash_mismatch, h.requests_hash.value_or(Hash256{}), hash);
}

constexpr auto outcome_checks =
    std::to_array({check_gas, check_bloom, check_receipts_root, check_blob_gas, check_requests});

std::optional<BlockFault> check_state_root(const BlockHeader& h, StateOverlay& state,
                                           StateCommitment* commitment) {
    if (commitment == nullptr) { return std::nullopt; }
    const Hash256 root = commitment->root(state);
    if (root == h.state_root) { return std::nullopt; }
    return mismatch(BlockError::state_root_mismatch, h.state_root, root);
}

/// What the first of `checks` that objects says.
template <class Checks, class... Args>
std::optional<BlockFault> first_fault(const Checks& checks, const Args&... args) {
    for (const auto check : checks) {
        if (auto f = check(args...)) { return f; }
    }
    return std::nullopt;
}

/// What every one of `checks` that objects says.
template <class Checks, class... Args>
void append_faults(std::vector<BlockFault>& out, const Checks& checks, const Args&... args) {
    for (const auto check : checks) {
        if (auto f = check(args...)) { out.push_back(*std::move(f)); }
    }
}

BlockFault transaction_fault(TxError error, const Transaction& tx, size_t index) {
    BlockFault f = fault_at(BlockError::transaction_invalid, index, std::string(to_string(error)));
    f.transaction_error = error;
    f.transaction_type = tx.type;
    return f;
}

/// Whether the typed transaction's field `to`, the sixth of blob and set-code transactions, is
/// there and empty: these types cannot create contracts, and that is why the decoder refuses them.
bool lacks_recipient(ByteView payload) {
    const auto list = rlp::read_list(payload);
    if (!list) { return false; }
    rlp::Reader fields = *list;
    for (int i = 0; i < 5; ++i) {
        if (!fields.raw_item()) { return false; }
    }
    const auto to = fields.bytes();
    return to && to->empty();
}

/// The first malformed transaction of the body's list.
BlockFault malformed_transactions(rlp::Reader list, const Error& whole) {
    for (size_t i = 0; !list.at_end(); ++i) {
        const bool is_list = list.next_is_list();
        const auto raw = is_list ? list.raw_item() : list.bytes();
        BlockFault f;
        if (!raw) {
            f = fault(BlockError::malformed_transaction, raw.error().message);
        } else if (!is_list && !raw->empty() && (*raw)[0] >= 0xc0) {
            f = fault(BlockError::malformed_transaction, whole.message);
        } else if (const auto tx = decode_transaction(*raw); !tx) {
            f = malformed_transaction(*raw, tx.error());
        } else {
            continue;
        }
        f.index = i;
        return f;
    }
    return fault(BlockError::malformed_block, whole.message);
}

/// Walks the parts of a block that decode_block refused with `whole`.
BlockFault locate_malformed(ByteView raw, const Error& whole) {
    const auto outer = rlp::read_list(raw);
    if (!outer) { return fault(BlockError::malformed_block, whole.message); }
    rlp::Reader parts = *outer;
    const auto header = parts.raw_item();
    if (!header) { return fault(BlockError::malformed_block, whole.message); }
    if (const auto h = decode_header(*header); !h) {
        return fault(BlockError::malformed_header, h.error().message);
    }
    const auto transactions = parts.list();
    if (!transactions) { return fault(BlockError::malformed_block, whole.message); }
    if (BlockFault f = malformed_transactions(*transactions, whole);
        f.error != BlockError::malformed_block) {
        return f;
    }
    const auto ommers = parts.list();
    if (!ommers) { return fault(BlockError::malformed_block, whole.message); }
    rlp::Reader ommer_list = *ommers;
    for (size_t i = 0; !ommer_list.at_end(); ++i) {
        const auto item = ommer_list.raw_item();
        if (!item || !decode_header(*item)) {
            return fault_at(BlockError::malformed_ommer, i, whole.message);
        }
    }
    if (parts.at_end()) { return fault(BlockError::malformed_block, whole.message); }
    const auto withdrawals = parts.list();
    if (!withdrawals) { return fault(BlockError::malformed_withdrawal, whole.message); }
    rlp::Reader withdrawal_list = *withdrawals;
    for (size_t i = 0; !withdrawal_list.at_end(); ++i) {
        const auto item = withdrawal_list.raw_item();
        if (!item || !decode_withdrawal(*item)) {
            return fault_at(BlockError::malformed_withdrawal, i, whole.message);
        }
    }
    return fault(BlockError::malformed_block, whole.message);
}

BlockError error_of(RequestsError error) noexcept {
    switch (error) {
        case RequestsError::deposit_layout: return BlockError::deposit_layout_invalid;
        case RequestsError::contract_missing: return BlockError::system_contract_missing;
        case RequestsError::call_failed: return BlockError::system_call_failed;
    }
    return BlockError::system_call_failed;
}

/// One transaction of a block: its limits within the block, execution and receipt.
std::optional<BlockFault> run_transaction(const Block& block, size_t index,
                                          const RecoveredSigners& signers, StateOverlay& state,
                                          const BlockEnvironment& environment,
                                          const BlockExecution& with, BlockResult& result) {
    const Transaction& tx = block.transactions[index];
    const Rules& rules = with.rules;
    if (!signers.sender) { return transaction_fault(TxError::signature_invalid, tx, index); }
    const uint64_t blobs = tx.blob_versioned_hashes.size();
    const uint64_t blobs_left =
        rules.blob.max - std::min(result.blob_gas_used / blob_gas_per_blob, rules.blob.max);
    // A transaction with more blobs than any block may have is refused for that reason instead.
    if (rules.blob_transactions && blobs > blobs_left && blobs <= rules.blob.max) {
        BlockFault f =
            fault_at(BlockError::blob_gas_limit_exceeded, index,
                     text_of(blobs) + " blobs, " + text_of(blobs_left) + " left in the block");
        f.transaction_type = tx.type;
        return f;
    }
    ExecutionOptions options;
    options.tracer = with.tracer;
    auto r = execute_transaction({tx, *signers.sender, signers.authorities}, state, with.workspace,
                                 rules, with.precompiles, environment,
                                 environment.gas_limit - result.gas_used, options);
    if (!r) { return transaction_fault(r.error(), tx, index); }
    state.apply(r->changes, rules.at_least(Revision::spurious_dragon));
    result.gas_used += r->gas_used;
    result.blob_gas_used += r->blob_gas_used;
    Receipt& receipt = result.receipts.emplace_back();
    receipt.type = tx.type;
    receipt.success = r->success();
    receipt.cumulative_gas_used = result.gas_used;
    receipt.logs = std::move(r->logs);
    receipt.bloom = bloom_of(receipt.logs);
    bloom_merge(result.logs_bloom, receipt.bloom);
    if (!rules.at_least(Revision::byzantium)) {
        receipt.state_root = with.commitment != nullptr ? with.commitment->root(state) : Hash256{};
    }
    return std::nullopt;
}

/// Runs the block over `state`. After a fault `result` holds what ran before it.
std::optional<BlockFault> run_block(const Block& block, std::span<const RecoveredSigners> signers,
                                    StateOverlay& state, const BlockExecution& with,
                                    BlockResult& result) {
    MILLRACE_ASSERT(signers.size() == block.transactions.size(),
                    "every transaction comes with its signers");
    const Rules& rules = with.rules;
    const BlockHeader& h = block.header;
    const BlockEnvironment environment = environment_of(h, rules);
    result.receipts.reserve(block.transactions.size());
    if (rules.dao_fork == DaoFork::moved) { move_dao_balances(state); }
    begin_block(state, with.workspace, rules, with.precompiles, environment, h.parent_hash,
                h.parent_beacon_block_root.value_or(Hash256{}));
    for (size_t i = 0; i < block.transactions.size(); ++i) {
        if (auto f = run_transaction(block, i, signers[i], state, environment, with, result)) {
            return f;
        }
    }
    if (block.withdrawals) { apply_withdrawals(state, *block.withdrawals, rules); }
    apply_rewards(state, h, block.ommers, rules);
    if (rules.at_least(Revision::prague) && rules.l1_requests) {
        std::vector<Log> logs;
        for (const Receipt& r : result.receipts) {
            logs.insert(logs.end(), r.logs.begin(), r.logs.end());
        }
        auto requests =
            collect_requests(state, with.workspace, rules, with.precompiles, environment, logs);
        if (!requests) { return fault(error_of(requests.error())); }
        result.requests = *std::move(requests);
    }
    return std::nullopt;
}

}  // namespace

std::string_view to_string(BlockError error) noexcept {
    switch (error) {
        case BlockError::malformed_block: return "malformed_block";
        case BlockError::malformed_header: return "malformed_header";
        case BlockError::malformed_transaction: return "malformed_transaction";
        case BlockError::malformed_ommer: return "malformed_ommer";
        case BlockError::malformed_withdrawal: return "malformed_withdrawal";
        case BlockError::block_too_large: return "block_too_large";
        case BlockError::parent_unknown: return "parent_unknown";
        case BlockError::field_missing: return "field_missing";
        case BlockError::field_not_allowed: return "field_not_allowed";
        case BlockError::number_invalid: return "number_invalid";
        case BlockError::timestamp_not_after_parent: return "timestamp_not_after_parent";
        case BlockError::gas_limit_out_of_range: return "gas_limit_out_of_range";
        case BlockError::gas_limit_step_too_large: return "gas_limit_step_too_large";
        case BlockError::gas_used_above_limit: return "gas_used_above_limit";
        case BlockError::extra_data_too_long: return "extra_data_too_long";
        case BlockError::extra_data_not_dao: return "extra_data_not_dao";
        case BlockError::difficulty_mismatch: return "difficulty_mismatch";
        case BlockError::difficulty_not_zero: return "difficulty_not_zero";
        case BlockError::nonce_not_zero: return "nonce_not_zero";
        case BlockError::seal_invalid: return "seal_invalid";
        case BlockError::base_fee_mismatch: return "base_fee_mismatch";
        case BlockError::excess_blob_gas_mismatch: return "excess_blob_gas_mismatch";
        case BlockError::transactions_root_mismatch: return "transactions_root_mismatch";
        case BlockError::ommers_hash_mismatch: return "ommers_hash_mismatch";
        case BlockError::ommers_not_allowed: return "ommers_not_allowed";
        case BlockError::too_many_ommers: return "too_many_ommers";
        case BlockError::ommer_repeated: return "ommer_repeated";
        case BlockError::ommer_is_ancestor: return "ommer_is_ancestor";
        case BlockError::ommer_already_included: return "ommer_already_included";
        case BlockError::ommer_parent_unknown: return "ommer_parent_unknown";
        case BlockError::ommer_header_invalid: return "ommer_header_invalid";
        case BlockError::withdrawals_missing: return "withdrawals_missing";
        case BlockError::withdrawals_not_allowed: return "withdrawals_not_allowed";
        case BlockError::withdrawals_root_mismatch: return "withdrawals_root_mismatch";
        case BlockError::transaction_invalid: return "transaction_invalid";
        case BlockError::blob_gas_limit_exceeded: return "blob_gas_limit_exceeded";
        case BlockError::deposit_layout_invalid: return "deposit_layout_invalid";
        case BlockError::system_contract_missing: return "system_contract_missing";
        case BlockError::system_call_failed: return "system_call_failed";
        case BlockError::gas_used_mismatch: return "gas_used_mismatch";
        case BlockError::blob_gas_used_mismatch: return "blob_gas_used_mismatch";
        case BlockError::blob_gas_used_above_limit: return "blob_gas_used_above_limit";
        case BlockError::logs_bloom_mismatch: return "logs_bloom_mismatch";
        case BlockError::receipts_root_mismatch: return "receipts_root_mismatch";
        case BlockError::state_root_mismatch: return "state_root_mismatch";
        case BlockError::requests_hash_mismatch: return "requests_hash_mismatch";
    }
    return "invalid_block";
}

std::string_view name_of(TxError error) noexcept {
    switch (error) {
        case TxError::type_not_supported: return "type_not_supported";
        case TxError::chain_id_mismatch: return "chain_id_mismatch";
        case TxError::signature_invalid: return "signature_invalid";
        case TxError::nonce_too_low: return "nonce_too_low";
        case TxError::nonce_too_high: return "nonce_too_high";
        case TxError::nonce_max: return "nonce_max";
        case TxError::sender_has_code: return "sender_has_code";
        case TxError::insufficient_funds: return "insufficient_funds";
        case TxError::intrinsic_gas_too_low: return "intrinsic_gas_too_low";
        case TxError::gas_below_floor: return "gas_below_floor";
        case TxError::gas_limit_exceeds_block: return "gas_limit_exceeds_block";
        case TxError::gas_limit_exceeds_cap: return "gas_limit_exceeds_cap";
        case TxError::fee_cap_below_base_fee: return "fee_cap_below_base_fee";
        case TxError::tip_above_fee_cap: return "tip_above_fee_cap";
        case TxError::fee_overflow: return "fee_overflow";
        case TxError::initcode_too_large: return "initcode_too_large";
        case TxError::blob_count_zero: return "blob_count_zero";
        case TxError::blob_count_exceeded: return "blob_count_exceeded";
        case TxError::blob_version_invalid: return "blob_version_invalid";
        case TxError::blob_fee_cap_too_low: return "blob_fee_cap_too_low";
        case TxError::creation_not_allowed: return "creation_not_allowed";
        case TxError::authorization_list_empty: return "authorization_list_empty";
    }
    return "invalid_transaction";
}

std::string BlockFault::name() const {
    std::string n{to_string(error)};
    if (transaction_error) { n += "." + std::string(name_of(*transaction_error)); }
    return n;
}

std::string BlockFault::text() const {
    std::string t = name();
    if (index) { t += " at index " + std::to_string(*index); }
    if (!detail.empty()) { t += ": " + detail; }
    return t;
}

BlockFault malformed_transaction(ByteView raw, const Error& error) {
    BlockFault f = fault(BlockError::malformed_transaction, error.message);
    if (raw.empty()) { return f; }
    if (raw[0] >= 0xc0) {
        f.transaction_type = TxType::legacy;
        return f;
    }
    const auto type = static_cast<TxType>(raw[0]);
    const bool needs_recipient = type == TxType::blob || type == TxType::set_code;
    if (!needs_recipient && type != TxType::access_list && type != TxType::dynamic_fee) {
        return f;
    }
    f.transaction_type = type;
    if (needs_recipient && lacks_recipient(raw.subspan(1))) {
        f.error = BlockError::transaction_invalid;
        f.transaction_error = TxError::creation_not_allowed;
    }
    return f;
}

std::expected<Block, BlockFault> decode_block_parts(ByteView raw) {
    auto block = decode_block(raw);
    if (!block) { return std::unexpected(locate_malformed(raw, block.error())); }
    return *std::move(block);
}

U256 next_difficulty(const Rules& rules, const BlockHeader& parent, uint64_t timestamp) noexcept {
    const uint64_t elapsed_s = timestamp > parent.timestamp ? timestamp - parent.timestamp : 0;
    const U256 quotum = parent.difficulty / U256{2048};
    // How many quota the difficulty rises, and falls.
    uint64_t up = 0;
    uint64_t down = 0;
    if (rules.at_least(Revision::homestead)) {
        const bool byzantium = rules.at_least(Revision::byzantium);
        const uint64_t base = byzantium && parent.ommers_hash != empty_ommers_hash ? 2 : 1;
        const uint64_t steps = std::min<uint64_t>(elapsed_s / (byzantium ? 9 : 10), base + 99);
        up = base > steps ? base - steps : 0;
        down = steps > base ? steps - base : 0;
    } else {
        (elapsed_s < 13 ? up : down) = 1;
    }
    U256 d = parent.difficulty + quotum * U256{up};
    const U256 fall = quotum * U256{down};
    d = d > fall ? d - fall : U256{};
    d = std::max(d, U256{difficulty_min});
    const uint64_t number = parent.number + 1;
    const uint64_t delayed =
        number > rules.difficulty_bomb_delay ? number - rules.difficulty_bomb_delay : 0;
    if (const uint64_t period = delayed / bomb_period_blocks; period >= 2) {
        d += shl(U256{1}, period - 2);
    }
    return d;
}

std::optional<BlockFault> validate_header(const BlockHeader& header, const BlockHeader& parent,
                                          const Rules& rules) {
    return first_fault(header_checks, header, parent, rules);
}

std::optional<BlockFault> validate_ommers(const Block& block, std::span<const Ancestor> ancestors,
                                          const ChainSpec& spec) {
    std::vector<BlockFault> faults = ommer_faults(block, ancestors, spec);
    if (faults.empty()) { return std::nullopt; }
    return std::move(faults.front());
}

std::vector<BlockFault> ommer_faults(const Block& block, std::span<const Ancestor> ancestors,
                                     const ChainSpec& spec) {
    std::vector<BlockFault> out;
    if (block.ommers.size() > ommers_max) {
        out.push_back(fault(BlockError::too_many_ommers,
                            text_of(uint64_t{block.ommers.size()}) + " ommers, at most 2"));
    }
    std::vector<Hash256> seen;
    for (size_t i = 0; i < block.ommers.size(); ++i) {
        const BlockHeader& ommer = block.ommers[i];
        const Hash256 hash = header_hash(ommer);
        const std::string id = to_hex(hash);
        if (std::find(seen.begin(), seen.end(), hash) != seen.end()) {
            out.push_back(fault_at(BlockError::ommer_repeated, i, id));
        }
        seen.push_back(hash);
        const Ancestor* parent = nullptr;
        for (size_t n = 0; n < ancestors.size() && n <= ommer_generations_max; ++n) {
            const Ancestor& a = ancestors[n];
            if (a.hash == hash) { out.push_back(fault_at(BlockError::ommer_is_ancestor, i, id)); }
            if (std::find(a.ommer_hashes.begin(), a.ommer_hashes.end(), hash) !=
                a.ommer_hashes.end()) {
                out.push_back(fault_at(BlockError::ommer_already_included, i, id));
            }
            // The parent of the block itself is no parent of an ommer: that would be a brother of
            // this block.
            if (n > 0 && a.hash == ommer.parent_hash) { parent = &a; }
        }
        if (parent == nullptr) {
            out.push_back(fault_at(BlockError::ommer_parent_unknown, i, id));
            continue;
        }
        std::vector<BlockFault> of_header;
        append_faults(of_header, header_checks, ommer, parent->header,
                      spec.rules_at(ommer.number, ommer.timestamp));
        for (const BlockFault& f : of_header) {
            BlockFault& of_ommer =
                out.emplace_back(fault_at(BlockError::ommer_header_invalid, i, f.text()));
            of_ommer.ommer_error = f.error;
        }
    }
    return out;
}

std::optional<BlockFault> validate_body(const Block& block, size_t encoded_bytes,
                                        const Rules& rules) {
    return first_fault(body_checks, block, encoded_bytes, rules);
}

std::expected<BlockResult, BlockFault> execute_block(const Block& block,
                                                     std::span<const RecoveredSigners> signers,
                                                     StateOverlay& state,
                                                     const BlockExecution& with) {
    BlockResult result;
    if (auto f = run_block(block, signers, state, with, result)) {
        return std::unexpected(*std::move(f));
    }
    return result;
}

Hash256 receipts_root(std::span<const Receipt> receipts) {
    std::vector<Bytes> items;
    items.reserve(receipts.size());
    for (const Receipt& r : receipts) { items.push_back(encode_receipt(r)); }
    return ordered_trie_root(items);
}

Hash256 requests_hash(std::span<const Bytes> requests, const PrecompileSet& precompiles) {
    Address sha256_address;
    sha256_address[19] = 2;
    auto sha256 = [&](ByteView input) {
        const auto r = precompiles.run(sha256_address, input, std::numeric_limits<uint64_t>::max(),
                                       Revision::frontier);
        MILLRACE_ASSERT(r.success && r.output.size() == Hash256::size_bytes,
                        "every set has SHA-256 at address 2");
        return Hash256::from(r.output);
    };
    Bytes digests;
    for (const Bytes& request : requests) {
        const Hash256 digest = sha256(request);
        digests.insert(digests.end(), digest.begin(), digest.end());
    }
    return sha256(digests);
}

std::optional<BlockFault> check_result(const BlockHeader& header, const BlockResult& result,
                                       const Rules& rules, const PrecompileSet& precompiles,
                                       bool with_receipts_root) {
    for (const auto check : outcome_checks) {
        if (check == check_receipts_root && !with_receipts_root) { continue; }
        if (auto f = check(header, result, rules, precompiles)) { return f; }
    }
    return std::nullopt;
}

std::expected<BlockResult, BlockFault> apply_block(const Block& block, size_t encoded_bytes,
                                                   const BlockHeader& parent,
                                                   std::span<const RecoveredSigners> signers,
                                                   StateOverlay& state,
                                                   const BlockExecution& with) {
    if (auto f = validate_header(block.header, parent, with.rules)) {
        return std::unexpected(*std::move(f));
    }
    if (auto f = validate_body(block, encoded_bytes, with.rules)) {
        return std::unexpected(*std::move(f));
    }
    auto result = execute_block(block, signers, state, with);
    if (!result) { return result; }
    if (auto f = check_result(block.header, *result, with.rules, with.precompiles)) {
        return std::unexpected(*std::move(f));
    }
    if (auto f = check_state_root(block.header, state, with.commitment)) {
        return std::unexpected(*std::move(f));
    }
    return result;
}

std::vector<BlockFault> block_faults(const Block& block, size_t encoded_bytes,
                                     const BlockHeader& parent,
                                     std::span<const RecoveredSigners> signers, StateOverlay& state,
                                     const BlockExecution& with) {
    std::vector<BlockFault> out;
    append_faults(out, header_checks, block.header, parent, with.rules);
    append_faults(out, body_checks, block, encoded_bytes, with.rules);
    BlockResult result;
    if (auto f = run_block(block, signers, state, with, result)) {
        if (f->transaction_error && signers[*f->index].sender) {
            const Transaction& tx = block.transactions[*f->index];
            const BlockEnvironment environment = environment_of(block.header, with.rules);
            for (const TxError e :
                 transaction_faults(tx, *signers[*f->index].sender, state, with.rules, environment,
                                    environment.gas_limit - result.gas_used)) {
                out.push_back(transaction_fault(e, tx, *f->index));
            }
        }
        out.push_back(*std::move(f));
        return out;
    }
    append_faults(out, outcome_checks, block.header, result, with.rules, with.precompiles);
    if (auto f = check_state_root(block.header, state, with.commitment)) {
        out.push_back(*std::move(f));
    }
    return out;
}

}  // namespace millrace::evm
