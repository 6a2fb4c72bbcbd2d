// SPDX-License-Identifier: Apache-2.0
// Owns what a run measured.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "host/load/histogram.hpp"
#include "host/load/inclusion_feed.hpp"

namespace millrace::load {

/// From the moment at which a transaction was meant to be sent (open loop) or was sent (closed
/// loop), so that a node that stalls cannot hide it.
struct Latencies {
    LatencyHistogram acknowledged;  ///< to the answer of eth_sendRawTransaction
    LatencyHistogram included;      ///< to knowing the block or mini-block with it
    LatencyHistogram receipt;       ///< to the receipt of eth_sendRawTransactionSync
    /// Mini-blocks that were heard of between the first send and the one with it, that one
    /// included; with Track::mini_blocks only.
    LatencyHistogram mini_blocks;
};

/// Of the node's process, when --pid is given.
struct ProcessUse {
    double cpu_s = 0;
    uint64_t rss_start_bytes = 0;
    uint64_t rss_max_bytes = 0;
};

struct Measurement {
    uint64_t offered = 0;  ///< arrivals (open loop) or first sends (closed loop)
    uint64_t sent = 0;     ///< sends, repeated ones too
    uint64_t accepted = 0;
    uint64_t refused = 0;           ///< sends that the node had no room for (-32005)
    uint64_t priority_refused = 0;  ///< of these with priority
    uint64_t rejected = 0;          ///< answered with any other error
    uint64_t included = 0;
    uint64_t reverted = 0;  ///< receipts of sync sends that say "failed"
    bool ran_out = false;   ///< all signed transactions were sent before the time was over
    std::vector<std::string> reasons;  ///< of rejections, the first few that differ

    Latencies all;
    Latencies priority;
    LatencyHistogram
        send_lag;  ///< how late sends were: the generator's own fault, or no free connection

    double sending_s = 0;
    double whole_s = 0;  ///< from the first send to the last thing seen
    /// Included transactions after the first block of the run, over the time from that block to the
    /// last one.
    double included_per_s = 0;
    /// All included transactions over `whole_s`.
    double included_per_s_whole = 0;
    std::vector<uint64_t> included_by_second;
    double generator_cpu_s = 0;  ///< of this process, from the first send on
    std::optional<ProcessUse> node;
    Track track = Track::none;
};

}  // namespace millrace::load
