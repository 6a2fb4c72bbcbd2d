// SPDX-License-Identifier: Apache-2.0
// Owns the block header, withdrawals and the block body with their wire forms and hashes.
#pragma once

#include <optional>
#include <vector>

#include "evm/tx/receipt.hpp"
#include "evm/tx/transaction.hpp"

namespace millrace::evm {

/// Ethereum header with the optional fields in the order in which forks added them. An encoded
/// header ends at the first absent field.
struct BlockHeader {
    Hash256 parent_hash;
    Hash256 ommers_hash;
    Address coinbase;
    Hash256 state_root;
    Hash256 transactions_root;
    Hash256 receipts_root;
    Bloom logs_bloom;
    U256 difficulty;
    uint64_t number = 0;
    uint64_t gas_limit = 0;
    uint64_t gas_used = 0;
    uint64_t timestamp = 0;  ///< seconds
    Bytes extra_data;
    Hash256 prev_randao;  ///< mix hash before the merge
    FixedBytes<8> nonce;
    std::optional<U256> base_fee_per_gas;             ///< London
    std::optional<Hash256> withdrawals_root;          ///< Shanghai
    std::optional<uint64_t> blob_gas_used;            ///< Cancun
    std::optional<uint64_t> excess_blob_gas;          ///< Cancun
    std::optional<Hash256> parent_beacon_block_root;  ///< Cancun
    std::optional<Hash256> requests_hash;             ///< Prague
    bool operator==(const BlockHeader&) const = default;
};

/// Keccak-256 of the empty list's RLP, the ommers hash of every block since the merge.
extern const Hash256 empty_ommers_hash;
/// Root of an empty trie: keccak(rlp("")).
extern const Hash256 empty_trie_root;
/// Keccak-256 of the empty string.
extern const Hash256 empty_code_hash;
/// EIP-7685 hash of an empty request list: sha256("").
extern const Hash256 empty_requests_hash;

Bytes encode_header(const BlockHeader& header);
/// Strict about the encoding; whether the fields fit the fork is decided elsewhere.
Result<BlockHeader> decode_header(ByteView raw);
Hash256 header_hash(const BlockHeader& header);

struct Withdrawal {
    uint64_t index = 0;
    uint64_t validator_index = 0;
    Address address;
    uint64_t amount_gwei = 0;
    bool operator==(const Withdrawal&) const = default;
};
Bytes encode_withdrawal(const Withdrawal& withdrawal);
Result<Withdrawal> decode_withdrawal(ByteView raw);

/// Keccak-256 of the list of headers, as it stands in BlockHeader::ommers_hash.
Hash256 ommers_hash(const std::vector<BlockHeader>& ommers);

struct Block {
    BlockHeader header;
    std::vector<Transaction> transactions;
    std::vector<BlockHeader> ommers;
    std::optional<std::vector<Withdrawal>> withdrawals;
    bool operator==(const Block&) const = default;
};
/// The wire form [header, transactions, ommers, withdrawals?]; typed transactions are byte strings
/// inside.
Bytes encode_block(const Block& block);
Result<Block> decode_block(ByteView raw);

}  // namespace millrace::evm
