// SPDX-License-Identifier: Apache-2.0
// Owns how one message is run on its own, and how that is timed.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "evm/core/evm.hpp"
#include "evm/core/state_view.hpp"
#include "evm/tx/receipt.hpp"

namespace millrace::node {

/// The message and what it sees of its block.
struct MessageRun {
    evm::Rules rules;
    evm::BlockEnvironment block;
    Address sender;    ///< also the origin
    Address receiver;  ///< not for a creation
    bool creates = false;
    Bytes input;  ///< call data, or init code
    U256 value;
    U256 gas_price;
    int64_t gas = 0;
    std::vector<Hash256> blob_hashes;
};

struct MessageOutcome {
    evm::Status status = evm::Status::success;
    Bytes output;  ///< of a creation that succeeded: the deployed code
    int64_t gas_used = 0;
    int64_t gas_refund = 0;  ///< the counter, neither capped nor taken off `gas_used`
    std::optional<Address> created;
    std::vector<evm::Log> logs;
    evm::StateChanges changes;
    int64_t cpu_ns = 0;  ///< of the run itself, tracing included
};

/// CPU time of runs.
struct MessageTiming {
    size_t runs = 0;
    double median_us = 0;
    double min_us = 0;
    double p99_us = 0;           ///< nearest rank
    double mgas_per_second = 0;  ///< at the median
};

/// Runs a message again and again over a state that it does not change. One thread at a time.
class MessageRunner {
public:
    /// `message` and `state` must outlive it.
    MessageRunner(const MessageRun& message, evm::StateView& state);

    MessageOutcome run(evm::Tracer* tracer = nullptr);
    /// Times `runs` runs; with 0, as many as fit one second, at least 10 and at most a million.
    MessageTiming time(size_t runs);

private:
    evm::CallOutcome execute(evm::Tracer* tracer);

    const MessageRun& message_;
    evm::StateView& state_;
    std::unique_ptr<evm::Workspace> workspace_;
    std::optional<Address> created_;
};

/// Exposed for tests: the figures of sorted times in nanoseconds.
MessageTiming timing_of(const std::vector<int64_t>& sorted_ns, int64_t gas_used);

}  // namespace millrace::node
