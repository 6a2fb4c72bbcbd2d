// SPDX-License-Identifier: Apache-2.0
// Owns how the result of a single run is shown.
#pragma once

#include <optional>
#include <string>

#include <boost/json/object.hpp>

#include "host/node/run/message_run.hpp"

namespace millrace::node {

struct RunReport {
    MessageOutcome outcome;
    Hash256 state_root;  ///< after the run
    std::string fork;
    std::optional<MessageTiming> timing;
    std::optional<boost::json::object> alloc;  ///< the state after the run, when asked for
};

/// Why the run failed, with the reason that a revert gives; empty for a success. ASCII, one line.
std::string failure_text(const MessageOutcome& outcome);

/// One object: pass, error, output, gasUsed, gasRefund, created, logs, stateRoot, time
/// (nanoseconds), fork, and bench and alloc where there are any. Quantities are hex strings.
std::string report_json(const RunReport& report);
/// The timing for people, one line.
std::string timing_text(const MessageTiming& timing);

}  // namespace millrace::node
