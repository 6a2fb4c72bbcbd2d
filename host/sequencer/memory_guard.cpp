// SPDX-License-Identifier: Apache-2.0
// Owns the comparison of the commitment's memory with its limit.
#include "host/sequencer/memory_guard.hpp"

#include <string>

#include "host/base/log.hpp"

namespace millrace::sequencer {
namespace {

metrics::Gauge* part_gauge(metrics::Registry& registry, const std::string& part) {
    return &registry.gauge("millrace_state_memory_bytes", "Memory of the state engine by part",
                           "part=\"" + part + "\"");
}

}  // namespace

MemoryGuard::MemoryGuard(uint64_t limit_bytes, metrics::Registry& registry)
    : limit_bytes_(limit_bytes),
      parts_{part_gauge(registry, "index"),     part_gauge(registry, "tree"),
             part_gauge(registry, "places"),    part_gauge(registry, "blocks"),
             part_gauge(registry, "snapshots"), part_gauge(registry, "work")} {
    registry
        .gauge("millrace_state_memory_limit_bytes",
               "Where no more transactions are taken (memory.state-mib); 0: nowhere")
        .set(static_cast<int64_t>(limit_bytes));
}

void MemoryGuard::note(const storage::CommitmentMemory& memory) {
    const std::array parts{memory.index,  memory.tree,      memory.places,
                           memory.blocks, memory.snapshots, memory.work};
    for (size_t i = 0; i < parts.size(); ++i) { parts_[i]->set(static_cast<int64_t>(parts[i])); }
    const uint64_t used = memory.total();
    used_.store(used, std::memory_order_relaxed);
    if (limit_bytes_ == 0) { return; }
    const uint64_t enough = full() ? limit_bytes_ - limit_bytes_ / 16 : limit_bytes_;
    const bool now_full = used >= enough;
    if (now_full != full()) {
        full_.store(now_full, std::memory_order_relaxed);
        if (now_full) {
            log::warn("the state has reached its limit of memory: no transactions are taken; raise "
                      "memory.state-mib, if the machine has more, and start again",
                      {{"used_bytes", used}, {"limit_bytes", limit_bytes_}});
        } else {
            log::info("the state has memory again",
                      {{"used_bytes", used}, {"limit_bytes", limit_bytes_}});
        }
    }
    const bool near = used >= limit_bytes_ - limit_bytes_ / 10;
    if (near && !warned_ && !now_full) {
        log::warn("the state has nine tenths of the memory that it may take; at the limit no "
                  "transactions are taken (memory.state-mib)",
                  {{"used_bytes", used}, {"limit_bytes", limit_bytes_}});
    }
    // Not again before it has been clearly below.
    warned_ = warned_ ? used >= limit_bytes_ - limit_bytes_ / 8 : near;
}

}  // namespace millrace::sequencer
