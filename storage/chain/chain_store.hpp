// SPDX-License-Identifier: Apache-2.0
// Owns the data of sealed blocks (headers, transactions, receipts) and the look-ups into it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/base/byte_list.hpp"
#include "storage/io/file_system.hpp"

namespace millrace::storage {

/// A sealed block. Everything encoded is opaque here.
struct StoredBlock {
    uint64_t number = 0;
    Hash256 hash;
    Bytes header;                             ///< RLP
    ByteList transactions;                    ///< wire forms
    std::vector<Hash256> transaction_hashes;  ///< as many
    ByteList receipts;                        ///< as many, in the caller's encoding
    /// Number of transactions up to and including each mini-block; never falls, ends at the number
    /// of transactions (empty for a block without mini-blocks).
    std::vector<uint32_t> mini_block_ends;
    uint64_t first_mini_block_number = 0;  ///< of the first mini-block, when there is one
    bool operator==(const StoredBlock&) const = default;
};

using StoredBlockPtr = std::shared_ptr<const StoredBlock>;

struct TransactionPlace {
    uint64_t block_number = 0;
    uint32_t index = 0;  ///< within the block
    bool operator==(const TransactionPlace&) const = default;
};

struct ChainStoreOptions {
    uint64_t block_bytes_max = uint64_t{256} << 20;  ///< of one encoded block
    size_t cached_blocks = 64;                       ///< newest ones kept decoded
    uint64_t cached_bytes = uint64_t{128} << 20;     ///< of their encoded forms, at most
};

struct ChainRecovery {
    uint64_t torn_bytes = 0;  ///< cut off at the end; the log has these blocks
    std::string torn_place;
};

/// Append-only file with an index in memory, rebuilt at start. One writer; reads on any thread.
/// Appended blocks are durable after sync(), which must precede a checkpoint: until then the log
/// can restore them, afterwards it may be pruned.
class ChainStore {
public:
    /// Opens or creates `directory`. An invalid end is cut off; damage to data that a later entry
    /// knows to have been synced is `ErrorCode::corrupt` with file, offset and remedy. The node
    /// appends the blocks that the log has and this store lacks; append() refuses a gap.
    static Result<std::unique_ptr<ChainStore>> open(FileSystem& fs, const std::string& directory,
                                                    const ChainStoreOptions& options = {});
    virtual ~ChainStore() = default;

    virtual const ChainRecovery& recovery() const noexcept = 0;

    /// The first block may have any number; each later one has the number after its predecessor.
    /// `ErrorCode::invalid_input` when it does not, when the parts do not fit each other or when
    /// the block is larger than `block_bytes_max`; `ErrorCode::limit` means a full disk and nothing
    /// else.
    virtual Result<void> append(StoredBlockPtr block) = 0;
    Result<void> append(StoredBlock block) {
        return append(std::make_shared<const StoredBlock>(std::move(block)));
    }
    /// A failure is final, and `ErrorCode::io` whatever the system said.
    virtual Result<void> sync() = 0;
    /// Removes the blocks after `number`, durably (a revert).
    virtual Result<void> truncate_after(uint64_t number) = 0;

    virtual std::optional<uint64_t> first_number() const = 0;
    virtual std::optional<uint64_t> last_number() const = 0;
    virtual std::optional<uint64_t> number_of(const Hash256& block_hash) const = 0;
    virtual std::optional<Hash256> hash_of(uint64_t number) const = 0;
    virtual std::optional<TransactionPlace> find_transaction(const Hash256& hash) const = 0;
    /// `ErrorCode::not_found` when there is no such block.
    virtual Result<StoredBlockPtr> block(uint64_t number) const = 0;
    virtual Result<StoredBlockPtr> block(const Hash256& hash) const = 0;
};

}  // namespace millrace::storage
