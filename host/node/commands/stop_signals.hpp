// SPDX-License-Identifier: Apache-2.0
// Owns how a measurement learns that its user has had enough.
#pragma once

#include <atomic>

namespace millrace::node {

/// From the call on SIGINT and SIGTERM set the flag it gives; the second signal ends the program at
/// once.
const std::atomic<bool>& stop_on_signals();

}  // namespace millrace::node
