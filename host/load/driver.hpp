// SPDX-License-Identifier: Apache-2.0
// Owns the sending: open and closed loop over the connections of a run, and its measuring.
#pragma once

#include <atomic>
#include <functional>

#include "host/load/arrivals.hpp"
#include "host/load/measurement.hpp"
#include "host/load/workload.hpp"

namespace millrace::load {

struct DriveOptions {
    SendMode mode = SendMode::batch;
    bool open_loop = false;
    ArrivalKind arrivals = ArrivalKind::poisson;
    double per_second = 0;  ///< open loop
    double seconds = 10;
    uint32_t batch = 100;        ///< most transactions of a request, mode batch
    uint32_t pipeline = 1;       ///< requests under way on a connection; above 1 WebSocket only
    uint64_t in_flight_max = 0;  ///< closed loop: accepted and not yet included; 0: no limit
    double drain_s = 15;         ///< how long to wait, after the last send, without any progress
    Track track = Track::automatic;
    uint64_t poll_ms = 20;
    uint64_t seed = 1;
    std::optional<int64_t> node_pid;
};

/// What a progress line shows.
struct Progress {
    double elapsed_s = 0;
    const Measurement* so_far = nullptr;
};

/// Whether each transaction was seen in a block, by number.
using Included = std::vector<bool>;

/// Sends the workload and waits for what comes of it. Each lane has one connection, on which at
/// most `pipeline` requests are under way. Arrivals are for priority lanes, where there are any,
/// with the probability `priority_fraction` of the workload. A closed loop sends as soon as a lane
/// is free and fewer than `in_flight_max` transactions wait; an open loop sends at times that do
/// not depend on the node, and a request carries all that is due; a batch waits at most 2 ms to be
/// filled. What the node has no room for stays with its lane and is sent again at the lane's next
/// turn: a nonce may not be left out. Its latency counts from the first time. `stop` (any thread)
/// ends sending early.
Result<Measurement> drive(EventLoop& loop, const Endpoint& endpoint, const Workload& workload,
                          const DriveOptions& options, const std::atomic<bool>& stop,
                          const std::function<void(const Progress&)>& progress, Included& included);

}  // namespace millrace::load
