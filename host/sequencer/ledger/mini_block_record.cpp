// SPDX-License-Identifier: Apache-2.0
// Owns putting a mini-block's record together.
#include "host/sequencer/ledger/mini_block_record.hpp"

#include "net/sync/access_codec.hpp"

namespace millrace::sequencer {

Result<MiniBlockRecorder::Recorded>
MiniBlockRecorder::record(const Place& place, const MiniBlock& m, const AccessLog& accesses) {
    MILLRACE_ASSERT(accesses.transaction_count() == m.transactions.size(),
                    "the accesses are those of the mini-block");
    hashes_.clear();
    raw_.clear();
    for (const ExecutedPtr& t : m.transactions) {
        hashes_.push_back(t->admitted->hash);
        raw_.push_back(t->admitted->raw);
        receipts_digest_.add(t->receipt);
    }
    storage::MiniBlock fields;
    fields.chain_id = place.chain_id;
    fields.epoch = place.epoch;
    fields.number = m.number;
    fields.parent = place.parent;
    fields.block_number = m.block_number;
    fields.index = m.index;
    fields.time_us = m.time_us;
    fields.receipts_digest = receipts_digest_.finish();
    accesses.make(m.number, sync::transactions_digest(hashes_), fields.receipts_digest, builder_,
                  access_);
    encoded_access_.clear();
    MILLRACE_CHECK(sync::encode_access(access_, encoded_access_));
    payload_.clear();
    const Hash256 digest =
        storage::encode_mini_block({fields, raw_, encoded_access_, m.post_values}, payload_);
    return Recorded{payload_, encoded_access_, fields.receipts_digest, digest};
}

}  // namespace millrace::sequencer
