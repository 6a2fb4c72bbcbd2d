// SPDX-License-Identifier: Apache-2.0
// Owns the signed transactions of a run, as the text that is sent.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "host/load/chain.hpp"

namespace millrace::load {

/// JSON-RPC method and shape of a request.
enum class SendMode : uint8_t {
    raw,    ///< eth_sendRawTransaction, one in each request
    batch,  ///< eth_sendRawTransaction, many in a JSON-RPC batch
    sync,   ///< eth_sendRawTransactionSync (EIP-7966), one in each request
};

/// Text of all requests together; more is refused before anything is signed.
inline constexpr uint64_t workload_bytes_max = uint64_t{4} << 30;
inline constexpr uint64_t transactions_max = 8'000'000;

struct WorkloadOptions {
    SendMode mode = SendMode::batch;
    uint32_t lane_count = 1;  ///< connections; each sender belongs to one
    uint64_t count = 0;       ///< of all lanes
    /// Share of `count` that has priority, from lanes and senders of its own; above 0 at least one
    /// lane, below 1 all but one at most, so it takes two lanes.
    double priority_fraction = 0;
    uint32_t sync_timeout_ms = 0;  ///< what sync sends ask for; 0: nothing
    unsigned threads = 1;
};

/// Transactions by number: lane by lane, in the order in which a lane sends them. A lane's senders
/// take turns, so that few transactions of one sender are under way at a time, and those of one
/// sender are in the order of their nonces.
class Workload {
public:
    /// Signs on `threads` threads; `progress` is called now and then with the number signed, on the
    /// caller's thread, and stops the work by false.
    static Result<Workload> sign(const Chain& chain, const WorkloadOptions& options,
                                 const std::function<bool(uint64_t)>& progress);

    uint32_t count() const noexcept { return static_cast<uint32_t>(hashes_.size()); }
    uint32_t lane_count() const noexcept { return static_cast<uint32_t>(lanes_.size()); }
    uint32_t lane_first(uint32_t lane) const noexcept { return lanes_[lane].first; }
    uint32_t lane_size(uint32_t lane) const noexcept { return lanes_[lane].count; }

    /// The request objects of transactions [first, end) of a lane's, joined by commas. The id of
    /// each is the transaction's number.
    std::string_view requests(uint32_t lane, uint32_t first, uint32_t end) const noexcept;
    bool is_priority(uint32_t number) const noexcept { return number >= first_priority_; }
    bool is_priority_lane(uint32_t lane) const noexcept {
        return lanes_[lane].count != 0 && is_priority(lanes_[lane].first);
    }
    /// As the workload was asked for.
    double priority_fraction() const noexcept { return priority_fraction_; }
    const Hash256& hash(uint32_t number) const noexcept { return hashes_[number]; }
    uint32_t sender(uint32_t number) const noexcept;
    uint64_t nth_of_sender(uint32_t number) const noexcept;
    /// The number of a sender's nth transaction.
    uint32_t number_of(uint32_t sender, uint64_t nth) const noexcept;
    /// The transaction with that hash, or `absent`.
    uint32_t find(const Hash256& hash) const noexcept;
    static constexpr uint32_t absent = UINT32_MAX;
    uint64_t text_bytes() const noexcept;

private:
    struct Lane {
        uint32_t first = 0;
        uint32_t count = 0;
        uint32_t first_sender = 0;
        uint32_t sender_count = 0;
        std::string text;
        std::vector<size_t> ends;  ///< of each request, without the comma behind it
    };
    uint32_t lane_of(uint32_t number) const noexcept;
    void index();

    std::vector<Lane> lanes_;
    std::vector<Hash256> hashes_;
    uint32_t first_priority_ = UINT32_MAX;  ///< of the numbers
    double priority_fraction_ = 0;
    std::vector<uint32_t> table_;  ///< open addressing by the hash's first bytes
    uint64_t table_mask_ = 0;
};

}  // namespace millrace::load
