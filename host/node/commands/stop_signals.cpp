// SPDX-License-Identifier: Apache-2.0
// Owns the signals that end a measurement early.
#include "host/node/commands/stop_signals.hpp"

#include <csignal>

namespace millrace::node {
namespace {

std::atomic<bool> stop_asked{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may write it");

void ask_to_stop(int /*signal*/) { stop_asked.store(true, std::memory_order_relaxed); }

}  // namespace

const std::atomic<bool>& stop_on_signals() {
    struct sigaction action{};
    action.sa_handler = ask_to_stop;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    return stop_asked;
}

}  // namespace millrace::node
