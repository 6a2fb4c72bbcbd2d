// SPDX-License-Identifier: Apache-2.0
// Owns the state transition of one block: what a header and a body must satisfy, execution, and the
// comparison of the outcome with what the header says.
#pragma once

#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "evm/core/block_rules.hpp"
#include "evm/core/chain_spec.hpp"
#include "evm/core/overlay.hpp"
#include "evm/core/transition.hpp"
#include "evm/tx/block.hpp"
#include "host/base/error.hpp"

namespace millrace::evm {

/// Why a block is refused. The names that to_string gives are stable.
enum class BlockError : uint8_t {
    // The bytes do not decode.
    malformed_block,
    malformed_header,
    malformed_transaction,
    malformed_ommer,
    malformed_withdrawal,
    block_too_large,  ///< EIP-7934
    // The header does not follow from its parent.
    parent_unknown,
    field_missing,
    field_not_allowed,
    number_invalid,
    timestamp_not_after_parent,
    gas_limit_out_of_range,
    gas_limit_step_too_large,
    gas_used_above_limit,
    extra_data_too_long,
    extra_data_not_dao,  ///< EIP-779
    difficulty_mismatch,
    difficulty_not_zero,
    nonce_not_zero,
    seal_invalid,  ///< proof of work; for callers that check it, nothing here does
    base_fee_mismatch,
    excess_blob_gas_mismatch,
    // The body is not the one of the header, or is not allowed.
    transactions_root_mismatch,
    ommers_hash_mismatch,
    ommers_not_allowed,
    too_many_ommers,
    ommer_repeated,
    ommer_is_ancestor,
    ommer_already_included,
    ommer_parent_unknown,
    ommer_header_invalid,
    withdrawals_missing,
    withdrawals_not_allowed,
    withdrawals_root_mismatch,
    // Execution.
    transaction_invalid,  ///< BlockFault::transaction_error says why
    blob_gas_limit_exceeded,
    deposit_layout_invalid,   ///< EIP-6110
    system_contract_missing,  ///< EIP-7002, EIP-7251
    system_call_failed,
    // The outcome is not the one of the header.
    gas_used_mismatch,
    blob_gas_used_mismatch,
    blob_gas_used_above_limit,
    logs_bloom_mismatch,
    receipts_root_mismatch,
    state_root_mismatch,
    requests_hash_mismatch,
};

std::string_view to_string(BlockError error) noexcept;
/// The identifier of the enumerator, e.g. "nonce_too_low"; stable, unlike the wording for people.
std::string_view name_of(TxError error) noexcept;

/// A refusal with what it is about.
struct BlockFault {
    BlockError error = BlockError::malformed_block;
    std::optional<TxError> transaction_error;  ///< with transaction_invalid
    std::optional<TxType> transaction_type;    ///< of the transaction at fault, when known
    std::optional<BlockError> ommer_error;     ///< of its header, with ommer_header_invalid
    std::optional<size_t> index;               ///< of the transaction, ommer or withdrawal at fault
    std::string detail;                        ///< for people: the values seen and expected

    /// "gas_used_mismatch" or "transaction_invalid.nonce_too_low".
    std::string name() const;
    /// The name, the index and the detail.
    std::string text() const;
};

/// Decodes a block; a failure says which part of it is malformed.
std::expected<Block, BlockFault> decode_block_parts(ByteView raw);
/// The fault of a transaction that decode_transaction refused with `error`.
BlockFault malformed_transaction(ByteView raw, const Error& error);

/// Difficulty of proof of work of a block with `timestamp` after `parent`.
U256 next_difficulty(const Rules& rules, const BlockHeader& parent, uint64_t timestamp) noexcept;

/// The checks of a header that need only its parent; the first fault. `rules` are those of
/// `header`. The proof of work itself is not checked (seal_invalid).
std::optional<BlockFault> validate_header(const BlockHeader& header, const BlockHeader& parent,
                                          const Rules& rules);

/// An ancestor as the check of ommers needs it.
struct Ancestor {
    Hash256 hash;
    BlockHeader header;
    std::vector<Hash256> ommer_hashes;
};
/// Ommers before Paris (yellow paper 11.1); the first fault. `ancestors` are the parent, its parent
/// and so on, at least 7 where there are so many. `spec` gives the rules of an ommer.
std::optional<BlockFault> validate_ommers(const Block& block, std::span<const Ancestor> ancestors,
                                          const ChainSpec& spec);
/// The same, with every fault instead of the first.
std::vector<BlockFault> ommer_faults(const Block& block, std::span<const Ancestor> ancestors,
                                     const ChainSpec& spec);

/// The roots of the body against the header, the presence of its parts, and the size of the whole
/// block's RLP.
std::optional<BlockFault> validate_body(const Block& block, size_t encoded_bytes,
                                        const Rules& rules);

/// Signers of a transaction, recovered outside, in batches; nothing for an invalid signature.
struct RecoveredSigners {
    std::optional<Address> sender;
    std::vector<std::optional<Address>> authorities;
};

/// Gives the root over a state, however that is kept.
class StateCommitment {
public:
    virtual ~StateCommitment() = default;
    /// The root over the base of `state` with everything that `state` has changed.
    virtual Hash256 root(StateOverlay& state) = 0;
};

/// What a block runs with. SHA-256 for the requests hash comes from `precompiles`.
struct BlockExecution {
    const Rules& rules;
    const PrecompileSet& precompiles;
    Workspace& workspace;
    /// Receipts before Byzantium hold a state root: zero where there is no commitment.
    StateCommitment* commitment = nullptr;
    Tracer* tracer = nullptr;
};

struct BlockResult {
    uint64_t gas_used = 0;
    uint64_t blob_gas_used = 0;
    Bloom logs_bloom;
    std::vector<Receipt> receipts;
    std::vector<Bytes> requests;  ///< EIP-7685, from Prague on
};

/// Runs everything in the block over `state`, which takes the changes: opening system calls,
/// transactions, withdrawals, rewards, requests. The header is taken as it is. After a fault the
/// state holds what ran before it.
std::expected<BlockResult, BlockFault> execute_block(const Block& block,
                                                     std::span<const RecoveredSigners> signers,
                                                     StateOverlay& state,
                                                     const BlockExecution& with);

/// Root over the receipts of a block.
Hash256 receipts_root(std::span<const Receipt> receipts);
/// EIP-7685: sha256 over the sha256 of each request.
Hash256 requests_hash(std::span<const Bytes> requests, const PrecompileSet& precompiles);

/// Compares what execution gave with the header: gas, bloom, receipts, blob gas, requests.
/// `with_receipts_root` is false where receipts cannot be complete.
std::optional<BlockFault> check_result(const BlockHeader& header, const BlockResult& result,
                                       const Rules& rules, const PrecompileSet& precompiles,
                                       bool with_receipts_root = true);

/// The whole transition of a decoded block after `parent`: header, body, execution, outcome and,
/// given a commitment, the state root. Ommers are checked apart (validate_ommers).
std::expected<BlockResult, BlockFault> apply_block(const Block& block, size_t encoded_bytes,
                                                   const BlockHeader& parent,
                                                   std::span<const RecoveredSigners> signers,
                                                   StateOverlay& state, const BlockExecution& with);

/// Every fault that the block has after `parent`, the one of apply_block among them: each check is
/// made whatever the others say, and a block whose header or body is wrong runs all the same, up to
/// the first transaction at fault. Ommers are apart here too (ommer_faults). For reports: which of
/// several faults a client finds first is no rule of consensus. `state` takes changes and is of no
/// use afterwards.
std::vector<BlockFault> block_faults(const Block& block, size_t encoded_bytes,
                                     const BlockHeader& parent,
                                     std::span<const RecoveredSigners> signers, StateOverlay& state,
                                     const BlockExecution& with);

}  // namespace millrace::evm
