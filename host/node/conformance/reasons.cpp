// SPDX-License-Identifier: Apache-2.0
// Owns the table from the fixtures' names of reasons to ours.
#include "host/node/conformance/reasons.hpp"

#include <optional>
#include <span>

namespace millrace::node {
namespace {

using evm::BlockError;
using evm::BlockFault;
using evm::TxError;
using evm::TxType;

/// One meaning of a name: a block error, or a transaction error, perhaps only for one type.
struct Meaning {
    std::string_view name;
    BlockError error = BlockError::transaction_invalid;
    std::optional<TxError> transaction_error = std::nullopt;
    std::optional<TxType> type = std::nullopt;
};

constexpr Meaning transaction(std::string_view name, TxError error,
                              std::optional<TxType> type = std::nullopt) {
    return {name, BlockError::transaction_invalid, error, type};
}
constexpr Meaning malformed(std::string_view name, std::optional<TxType> type = std::nullopt) {
    return {name, BlockError::malformed_transaction, std::nullopt, type};
}

// A name may stand here several times: any of its meanings will do.
constexpr Meaning transaction_meanings[] = {
    transaction("TYPE_NOT_SUPPORTED", TxError::type_not_supported),
    malformed("TYPE_NOT_SUPPORTED"),
    transaction("TYPE_1_TX_PRE_FORK", TxError::type_not_supported, TxType::access_list),
    transaction("TYPE_2_TX_PRE_FORK", TxError::type_not_supported, TxType::dynamic_fee),
    transaction("TYPE_3_TX_PRE_FORK", TxError::type_not_supported, TxType::blob),
    transaction("TYPE_3_TX_ZERO_BLOBS_PRE_FORK", TxError::type_not_supported, TxType::blob),
    transaction("TYPE_4_TX_PRE_FORK", TxError::type_not_supported, TxType::set_code),
    transaction("SENDER_NOT_EOA", TxError::sender_has_code),
    transaction("NONCE_MISMATCH_TOO_HIGH", TxError::nonce_too_high),
    transaction("NONCE_MISMATCH_TOO_LOW", TxError::nonce_too_low),
    transaction("NONCE_TOO_BIG", TxError::nonce_max),
    transaction("NONCE_IS_MAX", TxError::nonce_max),
    transaction("GASLIMIT_PRICE_PRODUCT_OVERFLOW", TxError::fee_overflow),
    transaction("GASLIMIT_PRICE_PRODUCT_OVERFLOW", TxError::insufficient_funds),
    transaction("INVALID_SIGNATURE_VRS", TxError::signature_invalid),
    malformed("INVALID_SIGNATURE_VRS"),
    transaction("EC_RECOVERY_FAIL", TxError::signature_invalid),
    transaction("INVALID_CHAINID", TxError::chain_id_mismatch),
    malformed("INVALID_CHAINID"),
    transaction("INSUFFICIENT_ACCOUNT_FUNDS", TxError::insufficient_funds),
    transaction("INSUFFICIENT_ACCOUNT_FUNDS", TxError::fee_overflow),
    transaction("INSUFFICIENT_MAX_FEE_PER_GAS", TxError::fee_cap_below_base_fee),
    transaction("PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS", TxError::tip_above_fee_cap),
    transaction("PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS_2", TxError::tip_above_fee_cap),
    transaction("INSUFFICIENT_MAX_FEE_PER_BLOB_GAS", TxError::blob_fee_cap_too_low),
    transaction("INTRINSIC_GAS_TOO_LOW", TxError::intrinsic_gas_too_low),
    transaction("INTRINSIC_GAS_BELOW_FLOOR_GAS_COST", TxError::gas_below_floor),
    transaction("INITCODE_SIZE_EXCEEDED", TxError::initcode_too_large),
    transaction("TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH", TxError::blob_version_invalid),
    malformed("TYPE_3_TX_WITH_FULL_BLOBS", TxType::blob),
    transaction("TYPE_3_TX_BLOB_COUNT_EXCEEDED", TxError::blob_count_exceeded),
    transaction("TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED", TxError::blob_count_exceeded),
    {"TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED", BlockError::blob_gas_limit_exceeded},
    transaction("TYPE_3_TX_CONTRACT_CREATION", TxError::creation_not_allowed, TxType::blob),
    transaction("TYPE_3_TX_ZERO_BLOBS", TxError::blob_count_zero),
    transaction("GAS_ALLOWANCE_EXCEEDED", TxError::gas_limit_exceeds_block),
    transaction("GAS_LIMIT_EXCEEDS_MAXIMUM", TxError::gas_limit_exceeds_cap),
    transaction("TYPE_4_EMPTY_AUTHORIZATION_LIST", TxError::authorization_list_empty),
    malformed("TYPE_4_INVALID_AUTHORITY_SIGNATURE", TxType::set_code),
    malformed("TYPE_4_INVALID_AUTHORITY_SIGNATURE_S_TOO_HIGH", TxType::set_code),
    malformed("TYPE_4_INVALID_AUTHORIZATION_FORMAT", TxType::set_code),
    transaction("TYPE_4_TX_CONTRACT_CREATION", TxError::creation_not_allowed, TxType::set_code),
    malformed("ADDRESS_TOO_SHORT"),
    malformed("ADDRESS_TOO_LONG"),
    malformed("NONCE_OVERFLOW"),
    transaction("NONCE_OVERFLOW", TxError::nonce_max),
    malformed("GASLIMIT_OVERFLOW"),
    transaction("GASLIMIT_OVERFLOW", TxError::gas_limit_exceeds_cap),
    malformed("VALUE_OVERFLOW"),
    malformed("GASPRICE_OVERFLOW"),
    malformed("PRIORITY_OVERFLOW"),
};

constexpr Meaning block_meanings[] = {
    {"TOO_MANY_UNCLES", BlockError::too_many_ommers},
    {"UNCLE_IN_CHAIN", BlockError::ommer_already_included},
    {"UNCLE_IS_ANCESTOR", BlockError::ommer_is_ancestor},
    {"UNCLE_IS_BROTHER", BlockError::ommer_repeated},
    {"UNCLE_IS_BROTHER", BlockError::ommer_parent_unknown},
    {"UNCLE_PARENT_INCORRECT", BlockError::ommer_parent_unknown},
    {"UNCLE_PARENT_INCORRECT", BlockError::ommer_header_invalid},
    {"UNCLE_UNKNOWN_PARENT", BlockError::ommer_parent_unknown},
    {"EXTRA_DATA_TOO_BIG", BlockError::extra_data_too_long},
    {"EXTRA_DATA_INVALID_DAO", BlockError::extra_data_not_dao},
    {"UNKNOWN_PARENT", BlockError::parent_unknown},
    {"UNKNOWN_PARENT_ZERO", BlockError::parent_unknown},
    {"GASLIMIT_TOO_BIG", BlockError::gas_limit_out_of_range},
    {"INVALID_BLOCK_NUMBER", BlockError::number_invalid},
    {"INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT", BlockError::timestamp_not_after_parent},
    {"INVALID_DIFFICULTY", BlockError::difficulty_mismatch},
    {"INVALID_DIFFICULTY", BlockError::difficulty_not_zero},
    {"INVALID_LOG_BLOOM", BlockError::logs_bloom_mismatch},
    {"INVALID_STATE_ROOT", BlockError::state_root_mismatch},
    {"INVALID_RECEIPTS_ROOT", BlockError::receipts_root_mismatch},
    {"INVALID_TRANSACTIONS_ROOT", BlockError::transactions_root_mismatch},
    {"INVALID_UNCLES_HASH", BlockError::ommers_hash_mismatch},
    {"GAS_USED_OVERFLOW", BlockError::transaction_invalid, TxError::gas_limit_exceeds_block},
    {"GAS_USED_OVERFLOW", BlockError::gas_used_above_limit},
    {"INVALID_GASLIMIT", BlockError::gas_limit_step_too_large},
    {"INVALID_GASLIMIT", BlockError::gas_limit_out_of_range},
    {"INVALID_BASEFEE_PER_GAS", BlockError::base_fee_mismatch},
    {"INVALID_GAS_USED", BlockError::gas_used_mismatch},
    {"INVALID_GAS_USED_ABOVE_LIMIT", BlockError::gas_used_above_limit},
    {"INVALID_WITHDRAWALS_ROOT", BlockError::withdrawals_root_mismatch},
    {"INCORRECT_BLOCK_FORMAT", BlockError::field_missing},
    {"INCORRECT_BLOCK_FORMAT", BlockError::field_not_allowed},
    {"INCORRECT_BLOCK_FORMAT", BlockError::withdrawals_missing},
    {"INCORRECT_BLOCK_FORMAT", BlockError::withdrawals_not_allowed},
    {"INCORRECT_BLOCK_FORMAT", BlockError::malformed_header},
    {"INCORRECT_BLOCK_FORMAT", BlockError::malformed_block},
    {"BLOB_GAS_USED_ABOVE_LIMIT", BlockError::blob_gas_used_above_limit},
    {"BLOB_GAS_USED_ABOVE_LIMIT", BlockError::blob_gas_limit_exceeded},
    {"INCORRECT_BLOB_GAS_USED", BlockError::blob_gas_used_mismatch},
    {"INCORRECT_BLOB_GAS_USED", BlockError::blob_gas_used_above_limit},
    {"INCORRECT_EXCESS_BLOB_GAS", BlockError::excess_blob_gas_mismatch},
    {"RLP_STRUCTURES_ENCODING", BlockError::malformed_block},
    {"RLP_STRUCTURES_ENCODING", BlockError::malformed_header},
    {"RLP_STRUCTURES_ENCODING", BlockError::malformed_transaction},
    {"RLP_STRUCTURES_ENCODING", BlockError::malformed_ommer},
    {"RLP_STRUCTURES_ENCODING", BlockError::malformed_withdrawal},
    {"RLP_WITHDRAWALS_NOT_READ", BlockError::malformed_withdrawal},
    {"RLP_WITHDRAWALS_NOT_READ", BlockError::withdrawals_missing},
    {"RLP_INVALID_FIELD_OVERFLOW_64", BlockError::malformed_header},
    {"RLP_INVALID_FIELD_OVERFLOW_64", BlockError::malformed_transaction},
    {"RLP_INVALID_FIELD_OVERFLOW_64", BlockError::malformed_withdrawal},
    {"RLP_INVALID_FIELD_OVERFLOW_64", BlockError::malformed_ommer},
    {"RLP_INVALID_ADDRESS", BlockError::malformed_withdrawal},
    {"RLP_INVALID_ADDRESS", BlockError::malformed_header},
    {"RLP_BLOCK_LIMIT_EXCEEDED", BlockError::block_too_large},
    {"INVALID_REQUESTS", BlockError::requests_hash_mismatch},
    {"IMPORT_IMPOSSIBLE_LEGACY", BlockError::field_missing},
    {"IMPORT_IMPOSSIBLE_LEGACY_WRONG_PARENT", BlockError::field_missing},
    {"IMPORT_IMPOSSIBLE_LONDON_WRONG_PARENT", BlockError::field_not_allowed},
    {"IMPORT_IMPOSSIBLE_LONDON_OVER_PARIS", BlockError::difficulty_not_zero},
    {"IMPORT_IMPOSSIBLE_PARIS_WRONG_POW", BlockError::difficulty_not_zero},
    {"IMPORT_IMPOSSIBLE_PARIS_WRONG_POS", BlockError::difficulty_mismatch},
    {"IMPORT_IMPOSSIBLE_PARIS_OVER_SHANGHAI", BlockError::field_missing},
    {"IMPORT_IMPOSSIBLE_SHANGHAI", BlockError::field_not_allowed},
    {"IMPORT_IMPOSSIBLE_UNCLES_OVER_PARIS", BlockError::ommers_not_allowed},
    {"IMPORT_IMPOSSIBLE_DIFFICULTY_OVER_PARIS", BlockError::difficulty_not_zero},
    {"SYSTEM_CONTRACT_EMPTY", BlockError::system_contract_missing},
    {"SYSTEM_CONTRACT_CALL_FAILED", BlockError::system_call_failed},
    {"INVALID_DEPOSIT_EVENT_LAYOUT", BlockError::deposit_layout_invalid},
};

/// The names of fixtures before they were unified.
constexpr Meaning legacy_meanings[] = {
    transaction("IntrinsicGas", TxError::intrinsic_gas_too_low),
    transaction("TR_IntrinsicGas", TxError::intrinsic_gas_too_low),
    transaction("TR_NoFunds", TxError::insufficient_funds),
    transaction("TR_NoFunds", TxError::fee_overflow),
    transaction("TR_NoFundsX", TxError::insufficient_funds),
    transaction("TR_NoFundsX", TxError::fee_overflow),
    transaction("TR_NoFundsValue", TxError::insufficient_funds),
    transaction("TR_NoFundsOrGas", TxError::insufficient_funds),
    transaction("TR_NoFundsOrGas", TxError::intrinsic_gas_too_low),
    transaction("BlockGasLimitReached", TxError::gas_limit_exceeds_block),
    transaction("TR_GasLimitReached", TxError::gas_limit_exceeds_block),
    transaction("TR_FeeCapLessThanBlocks", TxError::fee_cap_below_base_fee),
    transaction("TR_FeeCapLessThanBlocksORGasLimitReached", TxError::fee_cap_below_base_fee),
    transaction("TR_FeeCapLessThanBlocksORGasLimitReached", TxError::gas_limit_exceeds_block),
    transaction("TR_FeeCapLessThanBlocksORNoFunds", TxError::fee_cap_below_base_fee),
    transaction("TR_FeeCapLessThanBlocksORNoFunds", TxError::insufficient_funds),
    transaction("TR_TipGtFeeCap", TxError::tip_above_fee_cap),
    transaction("TR_TypeNotSupported", TxError::type_not_supported),
    transaction("TR_TypeNotSupportedBlob", TxError::type_not_supported),
    transaction("TR_NonceHasMaxValue", TxError::nonce_max),
    transaction("TR_NonceTooHigh", TxError::nonce_too_high),
    transaction("TR_NonceTooLow", TxError::nonce_too_low),
    transaction("TR_InitCodeLimitExceeded", TxError::initcode_too_large),
    transaction("SenderNotEOA", TxError::sender_has_code),
    transaction("SenderNotEOAorNoCASH", TxError::sender_has_code),
    transaction("SenderNotEOAorNoCASH", TxError::insufficient_funds),
    transaction("TR_EMPTYBLOB", TxError::blob_count_zero),
    transaction("TR_BLOBCREATE", TxError::creation_not_allowed, TxType::blob),
    transaction("TR_BLOBVERSION_INVALID", TxError::blob_version_invalid),
    transaction("TR_BLOBLIST_OVERSIZE", TxError::blob_count_exceeded),
    malformed("TR_RLP_WRONGVALUE"),
    {"UnknownParent", BlockError::parent_unknown},
    {"UnknownParent2", BlockError::parent_unknown},
    {"InvalidNumber", BlockError::number_invalid},
    {"InvalidTimestamp", BlockError::timestamp_not_after_parent},
    {"InvalidTimestampOlderParent", BlockError::timestamp_not_after_parent},
    {"InvalidGasLimit", BlockError::gas_limit_out_of_range},
    {"InvalidGasLimit", BlockError::gas_limit_step_too_large},
    {"InvalidGasLimit2", BlockError::gas_limit_out_of_range},
    {"InvalidGasLimit2", BlockError::gas_limit_step_too_large},
    {"TooMuchGasUsed", BlockError::gas_used_above_limit},
    transaction("TooMuchGasUsed", TxError::gas_limit_exceeds_block),
    {"ExtraDataTooBig", BlockError::extra_data_too_long},
    {"ExtraDataIncorrectDAO", BlockError::extra_data_not_dao},
    {"InvalidBlockNonce", BlockError::seal_invalid},
    {"InvalidDifficulty", BlockError::difficulty_mismatch},
    {"InvalidDifficulty", BlockError::difficulty_not_zero},
    {"PostParisDifficultyIsNot0", BlockError::difficulty_not_zero},
    {"3675PoWBlockRejected", BlockError::difficulty_not_zero},
    {"3675PreParis1559BlockRejected", BlockError::difficulty_not_zero},
    {"3675PreParis1559BlockRejected", BlockError::ommers_not_allowed},
    {"3675PoSBlockRejected", BlockError::difficulty_mismatch},
    {"1559BlockImportImpossible_BaseFeeWrong", BlockError::base_fee_mismatch},
    {"1559BlockImportImpossible_HeaderIsLegacy", BlockError::field_not_allowed},
    {"LegacyBlockImportImpossible", BlockError::field_missing},
    {"LegacyBlockImportImpossible2", BlockError::field_missing},
    {"ParisBlockImportImpossible", BlockError::field_missing},
    {"ShanghaiBlockImportImpossible", BlockError::field_not_allowed},
    {"InvalidTransactionsRoot", BlockError::transactions_root_mismatch},
    {"InvalidUnclesHash", BlockError::ommers_hash_mismatch},
    {"InvalidWithdrawals", BlockError::withdrawals_root_mismatch},
    {"PostParisUncleHashIsNotEmpty", BlockError::ommers_not_allowed},
    {"TooManyUncles", BlockError::too_many_ommers},
    {"UncleInChain", BlockError::ommer_already_included},
    {"UncleInChain", BlockError::ommer_is_ancestor},
    {"UncleInChain", BlockError::ommer_repeated},
    {"UncleIsAncestor", BlockError::ommer_is_ancestor},
    {"UncleIsBrother", BlockError::ommer_repeated},
    {"UncleIsBrother", BlockError::ommer_parent_unknown},
    {"UncleTooOld", BlockError::ommer_parent_unknown},
    {"UncleParentIsNotAncestor", BlockError::ommer_parent_unknown},
    {"InvalidUncleParentHash", BlockError::ommer_parent_unknown},
    {"InvalidGasUsed", BlockError::gas_used_mismatch},
    {"InvalidLogBloom", BlockError::logs_bloom_mismatch},
    {"InvalidReceiptsStateRoot", BlockError::receipts_root_mismatch},
    {"InvalidStateRoot", BlockError::state_root_mismatch},
    {"INPUT_UNMARSHAL_ERROR", BlockError::malformed_withdrawal},
    {"INPUT_UNMARSHAL_ADDRESS_ERROR", BlockError::malformed_withdrawal},
    {"RLP_ExpectedAsList", BlockError::withdrawals_missing},
    {"RLP_ExpectedAsList", BlockError::malformed_withdrawal},
};

bool is_meant(const Meaning& m, const BlockFault& f) {
    // What is said of a header holds for the header of an ommer.
    const bool same_error = m.error == f.error || m.error == f.ommer_error;
    return same_error && m.transaction_error == f.transaction_error &&
           (!m.type || m.type == f.transaction_type);
}

ReasonMatch match_among(std::span<const Meaning> meanings, std::string_view name,
                        const BlockFault& fault) {
    ReasonMatch result = ReasonMatch::unknown_name;
    for (const Meaning& m : meanings) {
        if (m.name != name) { continue; }
        if (is_meant(m, fault)) { return ReasonMatch::same; }
        result = ReasonMatch::different;
    }
    return result;
}

ReasonMatch match_one(std::string_view name, const BlockFault& fault) {
    constexpr std::string_view of_transaction = "TransactionException.";
    constexpr std::string_view of_block = "BlockException.";
    if (name.starts_with(of_transaction)) {
        name.remove_prefix(of_transaction.size());
        // Every way in which the encoding of a transaction can be wrong.
        if (name.starts_with("RLP_")) {
            return fault.error == BlockError::malformed_transaction ? ReasonMatch::same
                                                                    : ReasonMatch::different;
        }
        return match_among(transaction_meanings, name, fault);
    }
    if (name.starts_with(of_block)) {
        name.remove_prefix(of_block.size());
        return match_among(block_meanings, name, fault);
    }
    return match_among(legacy_meanings, name, fault);
}

std::string_view trimmed(std::string_view text) {
    while (text.starts_with(' ')) { text.remove_prefix(1); }
    while (text.ends_with(' ')) { text.remove_suffix(1); }
    return text;
}

}  // namespace

ReasonMatch match_reason(std::string_view expected, const BlockFault& fault) {
    ReasonMatch result = ReasonMatch::unknown_name;
    while (true) {
        const size_t bar = expected.find('|');
        const ReasonMatch one = match_one(trimmed(expected.substr(0, bar)), fault);
        if (one == ReasonMatch::same) { return one; }
        if (one == ReasonMatch::different) { result = one; }
        if (bar == std::string_view::npos) { return result; }
        expected.remove_prefix(bar + 1);
    }
}

}  // namespace millrace::node
