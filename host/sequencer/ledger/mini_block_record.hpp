// SPDX-License-Identifier: Apache-2.0
// Owns the making of a mini-block's record in the log, access list included.
#pragma once

#include <vector>

#include "evm/tx/receipts_digest.hpp"
#include "host/sequencer/executor/access_log.hpp"
#include "host/sequencer/types.hpp"
#include "storage/wal/record.hpp"

namespace millrace::sequencer {

/// Makes records, one after another, in memory that is used again. One thread.
class MiniBlockRecorder {
public:
    /// Where in the log the mini-block stands.
    struct Place {
        uint64_t chain_id = 0;
        uint64_t epoch = 0;
        Hash256 parent;  ///< digest of the mini-block before
    };
    /// Views are valid until the next call.
    struct Recorded {
        ByteView payload;  ///< the record in its encoded form
        ByteView access;   ///< the access list within (net/sync/access_codec.hpp)
        Hash256 receipts_digest;
        Hash256 digest;  ///< parent of the next
    };
    /// `accesses` are those of the mini-block's transactions. `ErrorCode::limit` when the access
    /// list is longer than its encoding may be.
    Result<Recorded> record(const Place& place, const MiniBlock& mini_block,
                            const AccessLog& accesses);

private:
    evm::ReceiptsDigest receipts_digest_;
    sync::AccessBuilder builder_;
    sync::MiniBlockAccess access_;
    std::vector<Hash256> hashes_;
    std::vector<ByteView> raw_;
    Bytes encoded_access_;
    Bytes payload_;
};

}  // namespace millrace::sequencer
