// SPDX-License-Identifier: Apache-2.0
// Owns what is known of the machine's memory nodes.
#pragma once

#include <sched.h>

#include <cstdint>
#include <string>
#include <vector>

namespace millrace::kernels::detail {

/// The memory nodes that have processors, counted from 0 without gaps.
struct NumaTopology {
    /// Processors of each node; one node without processors when the system does not say.
    std::vector<std::vector<unsigned>> cpus_of_node;
    /// Indexed by processor; processors beyond its end belong to node 0.
    std::vector<uint16_t> node_of_cpu;

    size_t node_count() const noexcept { return cpus_of_node.size(); }
    /// The node of the processor that the calling thread runs on now.
    size_t node_here() const noexcept;
};

/// Reads the nodes below `root`; Linux has them in /sys/devices/system/node. Anything that is
/// missing or cannot be read makes one node.
NumaTopology read_numa_topology(const std::string& root = "/sys/devices/system/node");

/// The processors of a list such as "0-3,8"; empty when the text is no such list.
std::vector<unsigned> parse_cpu_list(const std::string& text);

/// Keeps the calling thread on the processors of one node, so that the memory which it touches
/// first, or has pinned, lies there. Does nothing when the system refuses.
class OnNode {
public:
    OnNode(const NumaTopology& topology, size_t node) noexcept;
    ~OnNode();
    OnNode(const OnNode&) = delete;
    OnNode& operator=(const OnNode&) = delete;

private:
    cpu_set_t before_;
    bool moved_ = false;
};

}  // namespace millrace::kernels::detail
